"""Fourier transforms of one long signal, such as a whole clip, the same bits on every processor.

`pipeline.audio.fourier` transforms eight signals side by side. Here these are every eighth sample of one signal, from the
first, the second … on; a last pass of radix 8 joins them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.audio.compiled import compiled
from pipeline.audio.fourier import irfft, plan, rfft

_PARTS = 8


def padded_length(n_samples: int) -> int:
    """The shortest length of a transform that holds `n_samples`: a multiple of 16 without prime factors above 5."""
    sixteenth = max(1, -(-n_samples // 16))
    while not _has_small_factors(sixteenth):
        sixteenth += 1
    return 16 * sixteenth


def _has_small_factors(number: int) -> bool:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number == 1


def rfft_of_one(signal: npt.NDArray[np.floating[Any]], length: int) -> npt.NDArray[np.complex128]:
    """The transform of a real signal with zeros behind it, as `scipy.fft.rfft` defines it.

    Args:
        signal: float [samples], at most `length`.
        length: From `padded_length`.

    Returns:
        complex128 [length / 2 + 1]
    """
    padded = np.zeros(length)
    padded[: len(signal)] = signal
    parts = rfft(padded.reshape(-1, _PARTS).T)
    spectrum = np.empty(length // 2 + 1, np.complex128)
    _, cosine, sine = plan(length)
    _join(parts, cosine, sine, spectrum)
    return spectrum


def irfft_of_one(spectrum: npt.NDArray[np.complex128], n_samples: int) -> npt.NDArray[np.float64]:
    """The first samples of a real signal from its transform.

    Args:
        spectrum: complex128 [length / 2 + 1], of a length from `padded_length`.
        n_samples: At most that length.

    Returns:
        float64 [n_samples]
    """
    length = 2 * (len(spectrum) - 1)
    parts = np.empty((_PARTS, length // _PARTS // 2 + 1), np.complex128)
    _, cosine, sine = plan(length)
    _split(spectrum, cosine, sine, parts)
    return np.ascontiguousarray(irfft(parts, length // _PARTS).T).reshape(-1)[:n_samples]


@compiled
def _join(parts: Any, cosine: Any, sine: Any, out: Any) -> None:
    """Bin k is the sum over the parts r of their bin k × exp(-2π i r k / length)."""
    length = len(cosine)
    size = length // _PARTS
    for k in range(len(out)):
        within = k % size
        mirrored = within > size // 2
        place = size - within if mirrored else within
        real: Any = 0.0
        imag: Any = 0.0
        for part in range(_PARTS):
            value = parts[part, place]
            value_imag = -value.imag if mirrored else value.imag
            turn = part * k % length
            real += value.real * cosine[turn] - value_imag * sine[turn]
            imag += value.real * sine[turn] + value_imag * cosine[turn]
        out[k] = complex(real, imag)


@compiled
def _split(spectrum: Any, cosine: Any, sine: Any, out: Any) -> None:
    """Undoes `_join`: a part's bin is the mean over the eight bins k that it contributes to × exp(2π i r k / length)."""
    length = len(cosine)
    size = length // _PARTS
    for part in range(_PARTS):
        for within in range(size // 2 + 1):
            real: Any = 0.0
            imag: Any = 0.0
            for block in range(_PARTS):
                k = within + block * size
                value = spectrum[length - k] if k > length // 2 else spectrum[k]
                value_imag = -value.imag if k > length // 2 else value.imag
                turn = part * k % length
                real += value.real * cosine[turn] + value_imag * sine[turn]
                imag += value_imag * cosine[turn] - value.real * sine[turn]
            out[part, within] = complex(real / _PARTS, imag / _PARTS)
