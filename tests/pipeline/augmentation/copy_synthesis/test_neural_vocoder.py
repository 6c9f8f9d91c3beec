"""The neural vocoder keeps what mel bands hold and makes the rest anew, in loops that give the values of its layers."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.augmentation.copy_synthesis import neural_vocoder
from pipeline.augmentation.copy_synthesis.neural_vocoder import Network, NeuralVocoder, NeuralVocoderValues
from pipeline.augmentation.copy_synthesis.short_time import ShortTime, magnitudes
from pipeline.augmentation.copy_synthesis.vocoder_layers import convolved, dense, depthwise, normalised, polar
from pipeline.errors import ParamsError
from tests.support.speech import RATE, noise, speechlike

PLAIN = NeuralVocoderValues(level=1.0, band_noise=0.0, seed=1)


def resynthesis(clip: np.ndarray, values: NeuralVocoderValues = PLAIN, rate: int = RATE) -> np.ndarray:
    return NeuralVocoder().apply(clip, values, rate)


def band_levels_db(waveform: np.ndarray, bands: int = 16) -> np.ndarray:
    """Levels of equal bands over time, [frames, bands], in dB about their mean; the ends are left out."""
    spectra = magnitudes(ShortTime(len(waveform), 512, 256).analyse(waveform))[2:-2, 8:248]
    powers = (spectra**2).reshape(len(spectra), bands, -1).mean(axis=2)
    levels = 10.0 * np.log10(powers + 1e-12)
    return levels - levels.mean()


def test_bands_over_time_stay_and_the_phase_does_not() -> None:
    clip = speechlike(3 * RATE)
    made = resynthesis(clip)
    assert np.corrcoef(band_levels_db(clip).ravel(), band_levels_db(made).ravel())[0, 1] > 0.9
    spectra = [ShortTime(len(clip), 512, 128).analyse(waveform)[4:-4, 64:128] for waveform in (clip, made)]
    turned = np.exp(1j * np.angle(spectra[0] * spectra[1].conj()))
    # Of equal phases up to a delay and a constant, the mean over a frame would be near 1.
    assert np.abs(turned.mean(axis=1)).mean() < 0.6


def test_it_does_not_depend_on_the_level_of_the_clip() -> None:
    clip = speechlike()
    quiet, loud = (resynthesis((gain * clip).astype(np.float32)) for gain in (0.125, 0.5))
    np.testing.assert_allclose(quiet, loud, atol=1e-3 * np.abs(loud).max())


def test_level_and_noise_on_the_bands_change_what_is_made() -> None:
    clip = speechlike()
    plain = resynthesis(clip)
    for values in (
        NeuralVocoderValues(0.5, 0.0, 1),
        NeuralVocoderValues(1.0, 0.3, 1),
        NeuralVocoderValues(1.0, 0.3, 2),
    ):
        other = resynthesis(clip, values)
        assert np.abs(other / other.std() - plain / plain.std()).mean() > 0.01


def test_above_8_khz_the_original_stays() -> None:
    rate = 48000
    clip = noise(rate, seed=3)
    made = resynthesis(clip, rate=rate)
    high, low = (
        [np.fft.rfft(waveform)[slice(*band)] for waveform in (clip, made)] for band in ((9000, 23000), (500, 7000))
    )

    def likeness(pair: list[np.ndarray]) -> float:
        return float(np.abs(np.vdot(*pair)) / np.sqrt(np.vdot(pair[0], pair[0]) * np.vdot(pair[1], pair[1])).real)

    assert likeness(high) > 0.99
    assert likeness(low) < 0.3


def test_layers_are_those_that_numpy_computes() -> None:
    generator = np.random.default_rng(5)

    def values(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape).astype(np.float32)

    x, bias = values(9, 6), values(11)
    np.testing.assert_allclose(dense(x, (kernel := values(6, 11)), bias), x @ kernel + bias, atol=1e-5)
    padded = np.pad(x, ((3, 3), (0, 0)))
    kernel = values(7, 6, 11)
    wanted = sum(padded[tap : tap + 9] @ kernel[tap] for tap in range(7)) + bias
    np.testing.assert_allclose(convolved(x, kernel, bias), wanted, atol=1e-5)
    kernel = values(7, 6, 1)
    wanted = sum(padded[tap : tap + 9] * kernel[tap, :, 0] for tap in range(7)) + bias[:6]
    np.testing.assert_allclose(depthwise(x, kernel, bias[:6]), wanted, atol=1e-5)
    gamma, beta = values(6), values(6)
    wanted = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-6) * gamma + beta
    np.testing.assert_allclose(normalised(x, gamma, beta), wanted, atol=1e-5)
    np.testing.assert_allclose(polar(x), np.exp(x[:, :3]) * np.exp(2j * np.pi * x[:, 3:]), rtol=1e-6)


def test_one_frame_is_shorter_than_the_filters() -> None:
    kernel = np.ones((7, 2, 3), np.float32)
    np.testing.assert_array_equal(convolved(np.ones((1, 2), np.float32), kernel, np.zeros(3, np.float32)), [[2, 2, 2]])


def test_another_file_of_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "neural_vocoder.npz"
    other.write_bytes(neural_vocoder.WEIGHTS_FILE.read_bytes()[:-1])
    monkeypatch.setattr(neural_vocoder, "WEIGHTS_FILE", other)
    Network.load.cache_clear()
    with pytest.raises(ParamsError, match=r"neural_vocoder\.npz: not the weights of this version.*install it again"):
        resynthesis(speechlike())
    Network.load.cache_clear()
