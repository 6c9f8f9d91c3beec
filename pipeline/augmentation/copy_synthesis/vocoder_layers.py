"""The layers of the neural vocoder's network in loops whose sums have one order, the same on every processor.

Values are float32 [frames, channels]. The loops run over output channels innermost, which the compiler can do several at a time
without another order of any sum.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.audio.compiled import compiled
from pipeline.augmentation.copy_synthesis.arithmetic import cosine_sine, exponential, natural_log
from pipeline.augmentation.copy_synthesis.base import FloatArray

Array = npt.NDArray[np.float32]

_LEAST_BAND: Final = 1e-5
_NORM_EPSILON: Final = 1e-6
_LARGEST_LOG_MAGNITUDE: Final = 5.0


def log_bands(magnitude: FloatArray, filterbank: Array) -> Array:
    """Natural logarithms of magnitudes in bands.

    Args:
        magnitude: float64 [frames, bins].
        filterbank: float32 [bands, bins].

    Returns:
        float32 [frames, bands].
    """
    bands = dense(
        magnitude.astype(np.float32), np.ascontiguousarray(filterbank.T), np.zeros(len(filterbank), np.float32)
    )
    _logarithms(bands)
    return bands


def convolved(values: Array, kernel: Array, bias: Array) -> Array:
    """A convolution over frames, with zeros beyond the ends; kernel [width, channels in, channels out], of odd width."""
    out = np.empty((len(values), len(bias)), np.float32)
    out[:] = bias
    for tap in range(len(kernel)):
        shift = tap - len(kernel) // 2
        first, last = max(0, -shift), min(len(values), len(values) - shift)
        if first < last:
            _add_product(values[first + shift : last + shift], np.ascontiguousarray(kernel[tap]), out[first:last])
    return out


def dense(values: Array, kernel: Array, bias: Array) -> Array:
    """A product with a matrix [channels in, channels out], and a bias."""
    out = np.empty((len(values), len(bias)), np.float32)
    out[:] = bias
    _add_product(values, kernel, out)
    return out


def depthwise(values: Array, kernel: Array, bias: Array) -> Array:
    """A convolution over frames of each channel by itself; kernel [width, channels, 1], of odd width."""
    out = np.empty_like(values)
    out[:] = bias
    _add_taps(values, np.ascontiguousarray(kernel[:, :, 0]), out)
    return out


def normalised(values: Array, gamma: Array, beta: Array) -> Array:
    """Every frame with mean 0 and deviation 1 over its channels, times `gamma`, plus `beta`."""
    out = np.empty_like(values)
    _normalise(values, gamma, beta, out)
    return out


def polar(values: Array) -> npt.NDArray[np.complex128]:
    """Spectra [frames, bins] of log magnitudes and of phases in turns, side by side in [frames, 2 · bins]."""
    out = np.empty((len(values), values.shape[1] // 2), np.complex128)
    _polar(values, out)
    return out


@compiled
def _logarithms(values: Any) -> None:
    for t in range(values.shape[0]):
        for band in range(values.shape[1]):
            value: Any = np.float64(values[t, band])
            values[t, band] = natural_log(max(value, _LEAST_BAND))


@compiled
def _add_product(values: Any, kernel: Any, out: Any) -> None:
    n_in, n_out = kernel.shape
    whole = n_in // 4 * 4
    for t in range(values.shape[0]):
        row = out[t]
        for i in range(0, whole, 4):
            a, b, c, d = values[t, i], values[t, i + 1], values[t, i + 2], values[t, i + 3]
            for j in range(n_out):
                value = row[j] + a * kernel[i, j]
                value += b * kernel[i + 1, j]
                value += c * kernel[i + 2, j]
                row[j] = value + d * kernel[i + 3, j]
        for i in range(whole, n_in):
            a = values[t, i]
            for j in range(n_out):
                row[j] += a * kernel[i, j]


@compiled
def _add_taps(values: Any, kernel: Any, out: Any) -> None:
    n_frames, n_channels = values.shape
    for t in range(n_frames):
        for tap in range(len(kernel)):
            source = t + tap - len(kernel) // 2
            if 0 <= source < n_frames:
                for c in range(n_channels):
                    out[t, c] += values[source, c] * kernel[tap, c]


@compiled
def _normalise(values: Any, gamma: Any, beta: Any, out: Any) -> None:
    n_frames, n_channels = values.shape
    for t in range(n_frames):
        total: Any = 0.0
        for c in range(n_channels):
            total += np.float64(values[t, c])
        mean = total / n_channels
        total = 0.0
        for c in range(n_channels):
            difference = np.float64(values[t, c]) - mean
            total += difference * difference
        scale = 1.0 / np.sqrt(total / n_channels + _NORM_EPSILON)
        for c in range(n_channels):
            out[t, c] = (np.float64(values[t, c]) - mean) * scale * np.float64(gamma[c]) + np.float64(beta[c])


@compiled
def _polar(values: Any, out: Any) -> None:
    n_bins = out.shape[1]
    for t in range(out.shape[0]):
        for k in range(n_bins):
            log_magnitude: Any = np.float64(values[t, k])
            turns: Any = np.float64(values[t, n_bins + k])
            magnitude = exponential(min(log_magnitude, _LARGEST_LOG_MAGNITUDE))
            cosine, sine = cosine_sine(turns)
            out[t, k] = complex(magnitude * cosine, magnitude * sine)
