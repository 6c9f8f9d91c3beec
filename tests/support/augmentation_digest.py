"""Digest of augmented waveforms, to compare processes: `python -m tests.support.augmentation_digest` prints it."""

import hashlib

import numpy as np

from pipeline.augmentation.band_limit import BandLimitValues, limit_band
from pipeline.augmentation.codec import through_codec
from pipeline.augmentation.copy_synthesis.params import TWIN_KINDS, CopySynthesisParams
from pipeline.augmentation.copy_synthesis.synthesizer import Synthesizer
from pipeline.augmentation.noise import Noise, NoiseValues
from pipeline.augmentation.params import CodecKind, NoiseKind, NoiseParams
from pipeline.augmentation.pitch_tempo import change_pitch_and_tempo
from pipeline.augmentation.rawboost import convolutive, impulsive, stationary
from pipeline.augmentation.room import RoomValues, reverberate
from tests.support.speech import RATE, Waveform

KINDS: tuple[NoiseKind, ...] = ("white", "pink", "babble")
CODECS: tuple[CodecKind, ...] = ("mu_law", "a_law", "gsm")


def augmentation_digest() -> str:
    """SHA-256 of results of every kind, of waveforms that are made of integers and so are the same everywhere."""
    waveforms = [
        (np.random.default_rng(seed).integers(-8192, 8192, 20001 + seed) / 32768.0).astype(np.float32)
        for seed in range(4)
    ]
    clips = dict(zip("abc", waveforms[1:], strict=True))
    augmentation = Noise(NoiseParams(probability=1.0, snr_db=(10.0, 30.0), kinds=KINDS), RATE)
    results = []
    for seed in range(8):
        for kind in KINDS:
            values = NoiseValues(kind, 7.1 + 3.3 * seed, seed, tuple("abc") if kind == "babble" else (), kind)
            results.append(augmentation.apply(waveforms[0], values, clips))
        semitones, rate = -1.9 + 0.57 * seed, 0.91 + 0.023 * seed
        results += channels(waveforms[0], seed)
        results += [change_pitch_and_tempo(waveforms[0], *values, RATE) for values in ((semitones, rate), (0.0, rate))]
    # A sawtooth of 160 Hz with noise counts as voiced.
    sawtooth = ((np.arange(20001) * 327 % 32768 - 16384) / 65536.0).astype(np.float32) + waveforms[0] / np.float32(8.0)
    synthesizer = Synthesizer(CopySynthesisParams(copies=2, kinds=TWIN_KINDS), 2019, RATE)
    for number in range(2 * len(TWIN_KINDS)):
        results.append(synthesizer.apply(sawtooth, synthesizer.draw("LA_T_1000137", 0, number)))
    return hashlib.sha256(b"".join(result.tobytes() for result in results)).hexdigest()


def channels(waveform: Waveform, seed: int) -> list[Waveform]:
    """A waveform through rooms, RawBoost, limits of the band and the codecs that are integer codes."""
    limits = (
        BandLimitValues("low_pass", 3400.7 + 400.1 * seed),
        BandLimitValues("telephone"),
        BandLimitValues("8_khz"),
    )
    return [
        # Rooms from one length of transform to the next.
        reverberate(waveform, RoomValues(0.07 + 0.11 * seed, -1.7 + 1.9 * seed, seed), RATE),
        convolutive(waveform, RATE, np.random.default_rng(seed)),
        impulsive(waveform, np.random.default_rng(seed)),
        stationary(waveform, RATE, np.random.default_rng(seed)),
        *(limit_band(waveform, values, RATE) for values in limits),
        *(through_codec(waveform, kind, RATE) for kind in CODECS),
    ]


if __name__ == "__main__":
    print(augmentation_digest())
