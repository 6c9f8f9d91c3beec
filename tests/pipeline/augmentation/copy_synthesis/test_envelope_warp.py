"""The envelope is warped and tilted; excitation and phase are kept."""

import numpy as np
from scipy.signal import lfilter

from pipeline.augmentation.copy_synthesis.envelope_warp import EnvelopeWarp, EnvelopeWarpValues
from pipeline.augmentation.copy_synthesis.pitch import fundamental
from tests.support.speech import RATE, noise, speechlike


def values(warp: float = 1.0, tilt: float = 0.0) -> EnvelopeWarpValues:
    return EnvelopeWarpValues(n_fft=1024, coefficients=40, warp=warp, is_bilinear=False, tilt=tilt, bend=0.0)


def test_no_warp_and_no_tilt_give_the_original() -> None:
    clip = speechlike()
    np.testing.assert_allclose(EnvelopeWarp().apply(clip, values(), RATE), clip, atol=1e-6)


def test_a_formant_moves_by_the_factor() -> None:
    pole = 0.98 * np.exp(2j * np.pi * 2000.0 / RATE)
    clip = lfilter([1.0], [1.0, -2.0 * pole.real, abs(pole) ** 2], 0.01 * noise(4 * RATE)).astype(np.float32)

    def formant(waveform: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(waveform)) ** 2
        smooth = np.convolve(power, np.ones(801) / 801, "same")
        return float(np.argmax(smooth) * RATE / len(waveform))

    moved = formant(EnvelopeWarp().apply(clip, values(warp=1.15), RATE)) / formant(clip)
    assert abs(moved - 1.15) < 0.03


def test_a_tilt_lifts_the_low_band_and_the_pitch_is_kept() -> None:
    clip = speechlike()
    result = EnvelopeWarp().apply(clip, values(tilt=0.5), RATE)
    before, after = np.abs(np.fft.rfft(clip)), np.abs(np.fft.rfft(result))
    low = slice(200, 1000)
    assert 1.3 < np.linalg.norm(after[low]) / np.linalg.norm(before[low]) < 1.8
    pitch, pitch_after = fundamental(clip, RATE), fundamental(result.astype(np.float32), RATE)
    both = (pitch > 0) & (pitch_after > 0)
    assert np.median(np.abs(pitch_after[both] / pitch[both] - 1.0)) < 0.01
