"""Pulses and noise through minimum-phase filters: pitch, envelope and level are kept, the phase is not."""

import numpy as np

from pipeline.augmentation.copy_synthesis.lpc import predict
from pipeline.augmentation.copy_synthesis.pitch import fundamental
from pipeline.augmentation.copy_synthesis.source_filter import SourceFilter, SourceFilterValues
from tests.support.speech import RATE, noise, speechlike


def values(semitones: float = 0.0) -> SourceFilterValues:
    return SourceFilterValues(coefficients=60, semitones=semitones, aperiodic_hz=12000.0, seed=1)


def test_the_pitch_is_kept_or_moved_by_the_semitones() -> None:
    clip = speechlike()
    pitch = fundamental(clip, RATE)
    for semitones in (0.0, 3.0):
        result = SourceFilter().apply(clip, values(semitones), RATE)
        after = fundamental(result.astype(np.float32), RATE)
        both = (pitch > 0) & (after > 0)
        assert np.count_nonzero(both) > 0.6 * np.count_nonzero(pitch)
        assert abs(np.median(after[both] / pitch[both]) / 2 ** (semitones / 12) - 1.0) < 0.02
        assert 0.6 < np.std(result) / np.std(clip) < 1.6


def test_the_envelope_is_kept() -> None:
    clip = speechlike()
    result = SourceFilter().apply(clip, values(), RATE)
    envelopes = [
        20 * np.log10(1.0 / np.abs(np.fft.rfft(predict(np.asarray(signal, float), 16), 512)))
        for signal in (clip, result)
    ]
    before, after = (envelope - envelope.mean() for envelope in envelopes)
    assert np.sqrt(np.mean((after - before)[5:] ** 2)) < 4.0


def test_unvoiced_speech_becomes_noise_of_its_level() -> None:
    hiss = noise(2 * RATE)
    result = SourceFilter().apply(hiss, values(), RATE)
    assert 0.7 < np.std(result) / np.std(hiss) < 1.3
    assert abs(np.corrcoef(result, hiss)[0, 1]) < 0.1
    power = np.abs(np.fft.rfft(result)) ** 2
    thirds = [part.mean() for part in np.array_split(power[100:], 3)]
    assert max(thirds) < 1.5 * min(thirds)
