"""Linear prediction keeps the envelope and the pitch, and the residual is gone."""

import numpy as np
import pytest
from scipy.signal import lfilter

from pipeline.augmentation.copy_synthesis.lpc import Lpc, LpcValues, predict
from pipeline.augmentation.copy_synthesis.pitch import fundamental
from tests.support.speech import RATE, noise, speechlike

POLE = 0.95 * np.exp(2j * np.pi * 1500.0 / RATE)
RESONATOR = np.array([1.0, -2.0 * POLE.real, abs(POLE) ** 2])


def values(excitation: str = "pulses") -> LpcValues:
    return LpcValues(order=18, window=400, overlap=2, excitation=excitation, noise=0.3, edge_hz=3000.0, seed=1)


def test_the_filter_of_an_all_pole_signal_is_found() -> None:
    signal = lfilter([1.0], RESONATOR, noise(RATE).astype(float))
    np.testing.assert_allclose(predict(signal * np.hanning(RATE), 2), RESONATOR, atol=0.02)


@pytest.mark.parametrize("excitation", ["pulses", "mixed", "bands"])
def test_the_envelope_is_kept_and_the_waveform_is_another(excitation: str) -> None:
    clip = lfilter([0.05], RESONATOR, speechlike()).astype(np.float32)
    result = Lpc().apply(clip, values(excitation), RATE)
    level = np.sqrt(np.mean(np.square(clip)) / np.mean(np.square(result)))
    assert 0.5 < level < 2.0
    envelopes = [
        20 * np.log10(1.0 / np.abs(np.fft.rfft(predict(np.asarray(signal, float), 18), 512)))
        for signal in (clip, result)
    ]
    before, after = (envelope - envelope.mean() for envelope in envelopes)
    assert np.sqrt(np.mean((after - before)[5:200] ** 2)) < 4.0
    assert abs(np.corrcoef(result, clip)[0, 1]) < 0.7


def test_pulses_keep_the_pitch() -> None:
    clip = speechlike()
    pitch = fundamental(clip, RATE)
    after = fundamental(Lpc().apply(clip, values(), RATE).astype(np.float32), RATE)
    both = (pitch > 0) & (after > 0)
    assert np.count_nonzero(both) > 0.6 * np.count_nonzero(pitch)
    assert np.median(np.abs(after[both] / pitch[both] - 1.0)) < 0.03
