"""The high band becomes an image of the low band; the low band is kept."""

import numpy as np
import pytest

from pipeline.augmentation.copy_synthesis.spectral_images import SpectralImages, SpectralImagesValues
from tests.support.speech import RATE, noise, speechlike


def power_near(waveform: np.ndarray, hz: float) -> float:
    power = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))) ** 2
    at = round(hz * len(waveform) / RATE)
    return float(power[at - 20 : at + 21].sum())


@pytest.mark.parametrize(("is_mirrored", "image_hz"), [(True, 7000.0), (False, 5000.0)])
def test_a_tone_has_an_image_above_the_edge(is_mirrored: bool, image_hz: float) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 1000.0 * np.arange(RATE) / RATE) + 0.01 * noise(RATE)
    values = SpectralImagesValues(edge=0.5, share=1.0, is_mirrored=is_mirrored)
    result = SpectralImages().apply(tone.astype(np.float32), values, RATE)
    elsewhere = 12000.0 - image_hz
    assert power_near(result, image_hz) > 5.0 * power_near(result, elsewhere)


def test_the_low_band_is_kept() -> None:
    clip = speechlike()
    values = SpectralImagesValues(edge=0.5, share=1.0, is_mirrored=True)
    result = SpectralImages().apply(clip, values, RATE)
    below = slice(0, len(clip) // 2 * 3800 // 8000)
    before, after = np.fft.rfft(clip)[below], np.fft.rfft(result)[below]
    assert np.linalg.norm(after - before) < 0.05 * np.linalg.norm(before)
