import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.fourier import irfft, plan, rfft
from pipeline.audio.long_fourier import irfft_of_one, padded_length, rfft_of_one

LENGTHS = (2, 4, 6, 8, 10, 12, 34, 64, 100, 128, 400, 512, 1000, 1024, 2048)


def signals(count: int, length: int) -> np.ndarray:
    return np.random.default_rng([count, length]).uniform(-1.0, 1.0, (count, length))


@pytest.mark.parametrize("length", LENGTHS)
def test_rfft_agrees_with_scipy(length: int) -> None:
    # One more than a transform holds.
    values = signals(17, length)
    expected = scipy.fft.rfft(values, axis=1)
    np.testing.assert_allclose(
        rfft(values), expected, rtol=0, atol=1e-15 * np.abs(expected).max() * (1 + np.log2(length))
    )


@pytest.mark.parametrize("length", LENGTHS)
def test_irfft_agrees_with_scipy_whatever_the_imaginary_parts_at_both_ends(length: int) -> None:
    generator = np.random.default_rng(length)
    spectra = generator.normal(size=(17, length // 2 + 1)) + 1j * generator.normal(size=(17, length // 2 + 1))
    expected = scipy.fft.irfft(spectra, n=length, axis=1)
    np.testing.assert_allclose(irfft(spectra, length), expected, rtol=0, atol=1e-14)


@given(count=st.integers(1, 40), half=st.integers(1, 48))
def test_irfft_undoes_rfft(count: int, half: int) -> None:
    values = signals(count, 2 * half)
    np.testing.assert_allclose(irfft(rfft(values), 2 * half), values, rtol=0, atol=1e-14)


@given(count=st.integers(1, 40))
def test_a_signal_has_the_same_bits_in_any_company(count: int) -> None:
    values = signals(count, 96)
    np.testing.assert_array_equal(rfft(values)[-1:], rfft(values[-1:]))
    spectra = rfft(values)
    np.testing.assert_array_equal(irfft(spectra, 96)[-1:], irfft(spectra[-1:], 96))


def test_an_odd_length_is_refused() -> None:
    with pytest.raises(ValueError, match="even, not 15"):
        rfft(signals(1, 15))


@pytest.mark.parametrize("length", LENGTHS)
def test_single_precision_stays_single(length: int) -> None:
    # One more than a transform holds.
    values = signals(17, length).astype(np.float32)
    spectra = rfft(values)
    assert spectra.dtype == np.complex64
    expected = scipy.fft.rfft(values.astype(np.float64), axis=1)
    np.testing.assert_allclose(spectra, expected, rtol=0, atol=5e-7 * np.abs(expected).max())
    restored = irfft(spectra, length)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, values, rtol=0, atol=2e-6)


@pytest.mark.parametrize("length", LENGTHS)
def test_plan_holds_the_unit_circle_and_its_axes_exactly(length: int) -> None:
    factors, cosine, sine = plan(length)
    angle = -2.0 * np.pi * np.arange(length) / length
    assert np.prod(factors, initial=1) == length // 2
    np.testing.assert_allclose(cosine + 1j * sine, np.exp(1j * angle), rtol=0, atol=2e-15)
    if length % 4 == 0:
        quarters = cosine[:: length // 4] + 1j * sine[:: length // 4]
        np.testing.assert_array_equal(quarters, [1, -1j, -1, 1j])


@pytest.mark.parametrize("n_samples", [1, 63, 64, 65, 96, 97, 1600, 48_001])
def test_one_long_signal_agrees_with_scipy_and_comes_back(n_samples: int) -> None:
    signal = signals(1, n_samples)[0]
    length = padded_length(n_samples)
    assert n_samples <= length <= 1.2 * n_samples + 16
    spectrum = rfft_of_one(signal, length)
    np.testing.assert_allclose(spectrum, scipy.fft.rfft(signal, n=length), rtol=0, atol=1e-13 * np.sqrt(length))
    np.testing.assert_allclose(irfft_of_one(spectrum, n_samples), signal, rtol=0, atol=1e-13)
