"""Linear-phase filters, convolution and the way through another sample rate, for the kinds of augmentation that share them.

Results do not depend on the processor: filters are made with + - * / alone, transforms are those of `pipeline.audio.fourier`,
and soxr computes its very high quality in plain float64.
"""

import functools
import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import soxr

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.audio.fourier import irfft, rfft
from pipeline.audio.kernels import total

Taps = npt.NDArray[np.float64]

BLACKMAN: Final = (0.42, 0.5, 0.08)
"""Cosine terms of the window with 74 dB of attenuation in the stop band."""

HAMMING: Final = (0.54, 0.46, 0.0)
"""Cosine terms of the window with 53 dB of attenuation in the stop band."""

# Half the length of a Blackman-windowed filter, times its transition band in cycles per sample.
_BLACKMAN_WIDTH: Final = 2.75
# Transforms are never shorter, so most filters need one length of transform only.
_SHORTEST_FFT: Final = 4096


def low_pass(cutoff_hz: float, transition_hz: float, sample_rate: int) -> Taps:
    """A low-pass filter, a sinc under a Blackman window (Oppenheim and Schafer, section 7.5): 74 dB down in the stop band.

    Args:
        cutoff_hz: Where the gain is one half (-6 dB), below half the sample rate.
        transition_hz: From the pass band to the stop band, centred on the cutoff.
        sample_rate: Hz.

    Returns:
        float64 [taps], an odd number, symmetric, with gain 1 at 0 Hz.
    """
    half = math.ceil(_BLACKMAN_WIDTH * sample_rate / transition_hz)
    taps = windowed_sinc(cutoff_hz / sample_rate, half, BLACKMAN)
    taps /= total(taps)
    return taps


def band_pass(low_hz: float, high_hz: float, transition_hz: float, sample_rate: int) -> Taps:
    """A band-pass filter, the difference of two of `low_pass`; without its upper edge where the sample rate has none."""
    below = low_pass(low_hz, transition_hz, sample_rate)
    if high_hz < sample_rate / 2.0:
        return low_pass(high_hz, transition_hz, sample_rate) - below
    taps = -below
    taps[len(taps) // 2] += 1.0
    return taps


def windowed_sinc(cutoff: float, half: int, window: tuple[float, float, float]) -> Taps:
    """The ideal low-pass filter under a window of cosines, not scaled.

    Args:
        cutoff: In cycles per sample, in [0, 0.5].
        half: Taps on each side of the middle one.
        window: The cosine terms a of a[0] + a[1] cos(π k / half) + a[2] cos(2π k / half).
    """
    taps = np.empty(2 * half + 1)
    _fill_windowed_sinc(cutoff, half, window, taps)
    return taps


def convolve(waveform: Waveform, taps: npt.NDArray[np.floating[Any]], delay: int = 0) -> Waveform:
    """Convolves with a filter or an impulse response, block by block.

    Args:
        waveform: float32 [samples].
        taps: [taps].
        delay: Samples that are cut off the beginning: half the taps of a linear-phase filter keep the signal in its place.

    Returns:
        float32 [samples], as long as the waveform.
    """
    n_fft = max(_SHORTEST_FFT, 1 << (2 * len(taps) - 1).bit_length())
    block = n_fft - len(taps) + 1
    n_blocks = -(-len(waveform) // block)
    blocks = np.zeros((n_blocks, n_fft), np.float32)
    for number in range(n_blocks):
        part = waveform[number * block : (number + 1) * block]
        blocks[number, : len(part)] = part
    spectra = rfft(blocks)
    response = _response(taps, n_fft)
    for spectrum in spectra:
        _multiply(spectrum, response)
    result = np.zeros(n_blocks * block + len(taps) - 1, np.float32)
    for number, filtered in enumerate(irfft(spectra, n_fft)):
        result[number * block : number * block + n_fft] += filtered
    return result[delay : delay + len(waveform)]


def filter_linear_phase(waveform: Waveform, taps: Taps) -> Waveform:
    """Applies a symmetric filter with an odd number of taps and keeps the signal in its place."""
    return convolve(waveform, taps, len(taps) // 2)


def peak_gain(taps: Taps) -> float:
    """The largest gain of a filter, on a grid of 4096 frequencies or more."""
    n_fft = max(2 * _SHORTEST_FFT, 1 << len(taps).bit_length())
    return float(_largest_magnitude(_response(taps, n_fft)))


def _response(taps: npt.NDArray[np.floating[Any]], n_fft: int) -> npt.NDArray[np.complex64]:
    """The frequency response of a filter, complex64 [n_fft / 2 + 1]."""
    padded = np.zeros((1, n_fft), np.float32)
    padded[0, : len(taps)] = taps
    return np.asarray(rfft(padded)[0])


def change_rate(waveform: Waveform, from_rate: int, to_rate: int) -> Waveform:
    """Resamples with soxr at its very high quality, without a delay; float32 [about samples × to_rate / from_rate]."""
    if from_rate == to_rate:
        return waveform
    return np.ascontiguousarray(soxr.resample(waveform, from_rate, to_rate, quality="VHQ"), dtype=np.float32)


def through_rate(waveform: Waveform, sample_rate: int, other_rate: int) -> Waveform:
    """Resamples to another rate and back; float32 of the same length.

    Through a lower rate, nothing above 0.46 of that rate is left.
    """
    there = change_rate(waveform, sample_rate, other_rate)
    return fit_length(change_rate(there, other_rate, sample_rate), len(waveform))


def fit_length(waveform: Waveform, n_samples: int) -> Waveform:
    """Cuts the end off or appends zeros; float32 [n_samples]."""
    result = np.zeros(n_samples, np.float32)
    kept = waveform[:n_samples]
    result[: len(kept)] = kept
    return result


@functools.cache
def telephone_band(sample_rate: int) -> Taps:
    """The band of analogue telephony, 300 to 3400 Hz (ITU-T G.712), as a filter that is not to be written to."""
    return band_pass(300.0, 3400.0, 200.0, sample_rate)


@compiled
def _fill_windowed_sinc(cutoff: float, half: int, window: Any, out: Any) -> None:
    out[half] = 2.0 * cutoff * (window[0] + window[1] + window[2])
    for k in range(1, half + 1):
        place = k / half
        weight = window[0] + window[1] * _sin_pi(place + 0.5) + window[2] * _sin_pi(2.0 * place + 0.5)
        value = _sin_pi(2.0 * cutoff * k) / (np.pi * k) * weight
        out[half + k] = value
        out[half - k] = value


@compiled
def _sin_pi(value: Any) -> Any:
    """sin(π value) of a value of at most a few thousand, to about 1e-13: a Taylor series up to π / 2."""
    nearest = int(value + 0.5) if value >= -0.5 else int(value - 0.5)
    angle = np.pi * (value - nearest)
    square = angle * angle
    series = 1.0
    for power in range(22, 0, -2):
        series = 1.0 - series * square / (power * (power + 1))
    return -angle * series if nearest % 2 != 0 else angle * series


@compiled
def _multiply(spectrum: Any, response: Any) -> None:
    """Multiplies complex values in place. numpy's own product is rounded otherwise where the processor has fused operations."""
    for k in range(len(spectrum)):
        a, b = spectrum[k], response[k]
        spectrum[k] = complex(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real)


@compiled
def _largest_magnitude(spectrum: Any) -> Any:
    largest: Any = 0.0
    for value in spectrum:
        real: Any = np.float64(value.real)
        imag: Any = np.float64(value.imag)
        largest = max(largest, real * real + imag * imag)
    return np.sqrt(largest)
