"""Short-time spectra and back, and what kinds do with magnitude and phase, the same on every processor.

numpy multiplies complex arrays with fused operations where the processor has them, so complex arithmetic is in the loops here.
"""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.audio.compiled import compiled
from pipeline.audio.fourier import irfft, rfft
from pipeline.audio.kernels import windowed_frames
from pipeline.audio.windows import hann
from pipeline.augmentation.copy_synthesis.arithmetic import cosine_sine, exponentials, logarithms
from pipeline.augmentation.copy_synthesis.base import FloatArray
from pipeline.augmentation.kernels import overlap_add
from pipeline.augmentation.noise import white_noise

Spectra = npt.NDArray[np.complex128]

_LEAST_ENERGY = 1e-6
# Added to magnitudes before their logarithm, and the least that is divided by.
MAGNITUDE_FLOOR = 1e-6


class ShortTime:
    """Frames of a Hann window and their spectra, for a waveform of a given length.

    Frame t is centred at sample t × hop; beyond the waveform are zeros.

    Args:
        n_samples: Of the waveform.
        n_fft: Length of a window and its transform, even.
        hop_length: At most half of `n_fft`.
    """

    def __init__(self, n_samples: int, n_fft: int, hop_length: int) -> None:
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.n_frames = 1 + -(-n_samples // hop_length)
        self.n_bins = n_fft // 2 + 1
        self._n_samples = n_samples
        self._window = _window(n_fft)
        squares = np.broadcast_to(self._window, (self.n_frames, n_fft))
        self._energy = np.maximum(self._overlapped(squares), _LEAST_ENERGY)

    def analyse(self, waveform: npt.NDArray[np.floating[Any]]) -> Spectra:
        """The spectra of a waveform of floats [samples], complex128 [frames, bins]."""
        frames = np.empty((self.n_frames, self.n_fft))
        windowed_frames(waveform, self._window, self.hop_length, -(self.n_fft // 2), frames)
        return np.asarray(rfft(frames))

    def synthesise(self, spectra: Spectra) -> FloatArray:
        """The waveform, float64 [samples], whose spectra are nearest to those given in the least squares (Griffin 1984)."""
        frames = irfft(spectra, self.n_fft)
        return np.asarray(self._overlapped(frames) / self._energy)

    def _overlapped(self, frames: FloatArray) -> FloatArray:
        out = np.zeros((self.n_frames - 1) * self.hop_length + self.n_fft)
        overlap_add(frames, self._window, self.hop_length, 0, out)
        return out[self.n_fft // 2 :][: self._n_samples]


@functools.cache
def _window(n_fft: int) -> FloatArray:
    return np.asarray(hann(n_fft), np.float64)


def magnitudes(spectra: Spectra) -> FloatArray:
    """Absolute values, float64 in the same shape."""
    out = np.empty(spectra.shape)
    _magnitudes(spectra.ravel(), out.ravel())
    return out


def log_magnitudes(spectra: Spectra) -> FloatArray:
    """Natural logarithms of the magnitudes plus `MAGNITUDE_FLOOR`."""
    return logs(magnitudes(spectra))


def logs(values: FloatArray) -> FloatArray:
    """Natural logarithms of values of at least 0, plus `MAGNITUDE_FLOOR`."""
    out = np.empty(values.shape)
    logarithms(np.ascontiguousarray(values).ravel(), MAGNITUDE_FLOOR, out.ravel())
    return out


def exps(values: FloatArray) -> FloatArray:
    """E to the power of the values, in the same shape."""
    out = np.empty(values.shape)
    exponentials(np.ascontiguousarray(values).ravel(), out.ravel())
    return out


def scaled(spectra: Spectra, gains: FloatArray) -> Spectra:
    """Spectra times real gains, which broadcast to their shape."""
    parts = np.ascontiguousarray(spectra).view(np.float64).reshape(*spectra.shape, 2) * gains[..., np.newaxis]
    return np.asarray(parts.view(np.complex128)[..., 0])


def random_phases(shape: tuple[int, ...], generator: np.random.Generator) -> Spectra:
    """Phasors of magnitude 1 with even random phases, complex128 in this shape."""
    out = np.empty(shape, np.complex128)
    _phasors(generator.random(out.size), out.ravel())
    return out


def turn_phases(spectra: Spectra, deviations: FloatArray, generator: np.random.Generator) -> Spectra:
    """Turns every phase by a normal value.

    Args:
        spectra: complex128 [frames, bins].
        deviations: float64 [bins], standard deviations in radians.
        generator: Of the normal values.
    """
    noise = white_noise(spectra.size, generator).reshape(spectra.shape)
    out = np.empty_like(spectra)
    _turned(spectra, noise, deviations, out)
    return out


def with_magnitudes(spectra: Spectra, wanted: FloatArray) -> Spectra:
    """The phases of `spectra` with other magnitudes; a bin of 0 gets phase 0."""
    out = np.empty_like(spectra)
    _projected(spectra.ravel(), spectra.ravel(), 0.0, np.ascontiguousarray(wanted).ravel(), out.ravel())
    return out


def griffin_lim(
    short_time: ShortTime, wanted: FloatArray, spectra: Spectra, iterations: int, momentum: float
) -> FloatArray:
    """The waveform after iterations of the fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard 2013).

    Args:
        short_time: Analysis and synthesis.
        wanted: Magnitudes, float64 [frames, bins].
        spectra: What to begin with, complex128 [frames, bins].
        iterations: 0 or more.
        momentum: 0 for the algorithm of Griffin and Lim 1984.
    """
    previous = spectra
    for iteration in range(iterations):
        found = short_time.analyse(short_time.synthesise(spectra))
        spectra = np.empty_like(found)
        weight = momentum if iteration else 0.0
        _projected(found.ravel(), previous.ravel(), weight, wanted.ravel(), spectra.ravel())
        previous = found
    return short_time.synthesise(spectra)


@compiled
def _magnitudes(spectra: Any, out: Any) -> None:
    for i in range(len(out)):
        value = spectra[i]
        out[i] = np.sqrt(value.real * value.real + value.imag * value.imag)


@compiled
def _phasors(turns: Any, out: Any) -> None:
    for i in range(len(out)):
        cosine, sine = cosine_sine(turns[i])
        out[i] = complex(cosine, sine)


@compiled
def _turned(spectra: Any, noise: Any, deviations: Any, out: Any) -> None:
    for t in range(spectra.shape[0]):
        for k in range(spectra.shape[1]):
            cosine, sine = cosine_sine(np.float64(noise[t, k]) * deviations[k] * 0.15915494309189535)
            value = spectra[t, k]
            out[t, k] = complex(value.real * cosine - value.imag * sine, value.real * sine + value.imag * cosine)


@compiled
def _projected(found: Any, previous: Any, momentum: float, wanted: Any, out: Any) -> None:
    """The wanted magnitudes with the phases of found + momentum × (found − previous)."""
    for i in range(len(out)):
        real: Any = found[i].real + momentum * (found[i].real - previous[i].real)
        imag: Any = found[i].imag + momentum * (found[i].imag - previous[i].imag)
        magnitude = np.sqrt(real * real + imag * imag)
        if magnitude > 1e-12:
            out[i] = complex(wanted[i] * real / magnitude, wanted[i] * imag / magnitude)
        else:
            out[i] = complex(wanted[i], 0.0)
