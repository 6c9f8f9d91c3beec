"""Discrete Fourier transforms of real signals, the same bits on every processor.

Compilers fuse the multiplications and additions of scipy's FFT where the processor has such an instruction (all ARM ones do),
so its last bits differ there. Here every operation is rounded by itself (`pipeline.audio.compiled`). The algorithm is
Stockham's, of radix 4 with a pass for every other prime factor (Van Loan, "Computational Frameworks for the Fast Fourier
Transform", 1992, section 1.7). Eight signals of float64 or sixteen of float32 are transformed side by side; none has an
influence on another. A real signal is taken as a complex one of half the length, of its even and its odd samples (section 4.3
there).
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.audio.compiled import compiled
from pipeline.audio.lanes import load, minus, plus, scaled, store

# Samples that are moved for all signals before the next ones: their places stay in the processor's first cache.
_RUN = 64


class Plan(NamedTuple):
    """What the transforms of one length need beside their values.

    Attributes:
        factors: int64, the radices of the passes; their product is half the length.
        cosine: float64 [length], cos(2π i / length).
        sine: float64 [length], -sin(2π i / length).
    """

    factors: npt.NDArray[np.int64]
    cosine: npt.NDArray[np.float64]
    sine: npt.NDArray[np.float64]

    def buffers(self, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[np.floating[Any]]:
        """Zeros in the shape that `transform` takes: [4, length / 2 × signals]."""
        return np.zeros((4, len(self.cosine) // 2 * (64 // np.dtype(dtype).itemsize)), dtype)


# The lengths of clips vary.
@functools.lru_cache(maxsize=64)
def plan(length: int) -> Plan:
    """The plan of transforms of `length` samples, an even number; its arrays are not to be written to."""
    if length % 2:
        raise ValueError(f"the length of a transform must be even, not {length}")
    factors, rest = [], length // 2
    for radix in (4, *range(2, length)):
        while rest % radix == 0 and rest > 1:
            factors.append(radix)
            rest //= radix
        if rest == 1:
            break
    # The turn is brought to an eighth of a circle, where Taylor series up to the 19th power err by less than the rounding.
    eighths = 8 * np.arange(length)
    octant, within = eighths // length, eighths % length
    odd = octant % 2 == 1
    angle = np.where(odd, length - within, within) * (math.pi / 4) / length
    square = angle * angle
    cosine, sine = np.ones(length), np.ones(length)
    for power in range(18, 0, -2):
        sine = 1.0 - sine * square / (power * (power + 1))
        cosine = 1.0 - cosine * square / (power * (power - 1))
    sine *= angle
    swapped = np.isin(octant, (1, 2, 5, 6))
    across, along = np.where(swapped, sine, cosine), np.where(swapped, cosine, sine)
    return Plan(
        np.array(factors, np.int64),
        np.where(np.isin(octant, (2, 3, 4, 5)), -across, across),
        np.where(octant < 4, -along, along),
    )


def rfft(signals: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.complexfloating[Any, Any]]:
    """The transforms of real signals, as `scipy.fft.rfft` defines them, in the precision of the signals.

    Args:
        signals: float32 or float64 [signals, samples], an even number of samples.

    Returns:
        complex64 or complex128 [signals, samples / 2 + 1]
    """
    length = signals.shape[1]
    spectra = np.empty((len(signals), length // 2 + 1), np.result_type(signals, np.complex64))
    _forward(signals, plan(length), plan(length).buffers(signals.dtype), spectra)
    return spectra


def irfft(spectra: npt.NDArray[np.complexfloating[Any, Any]], length: int) -> npt.NDArray[np.floating[Any]]:
    """The real signals of transforms, as `scipy.fft.irfft` defines them, in the precision of the spectra.

    Args:
        spectra: complex64 or complex128 [signals, length / 2 + 1]; the imaginary parts of the first and the last bin have no
            influence.
        length: Samples of a signal, an even number.

    Returns:
        float32 or float64 [signals, length]
    """
    signals = np.empty((len(spectra), length), spectra.real.dtype)
    _inverse(spectra, plan(length), plan(length).buffers(signals.dtype), signals)
    return signals


@compiled
def transform(plan: Any, buffers: Any) -> Any:
    """Transforms complex signals of half the plan's length.

    Args:
        plan: Of twice their length.
        buffers: From `Plan.buffers`: real parts, imaginary parts, and room for twice as much. Value number i of signal number
            s is at i × signals + s.

    Returns:
        The rows of `buffers` that hold the real and the imaginary parts of the result.
    """
    factors, cosine, sine = plan
    rest, done, source = len(cosine) // 2, 1, 0
    for radix in factors:
        target = 2 - source
        ins, outs = buffers[source : source + 2], buffers[target : target + 2]
        if radix == 4:
            _pass_of_four(ins[0], ins[1], outs[0], outs[1], rest, done, cosine, sine)
        elif radix == 2:
            _pass_of_two(ins[0], ins[1], outs[0], outs[1], rest, done, cosine, sine)
        else:
            _pass(ins[0], ins[1], outs[0], outs[1], rest, done, radix, cosine, sine)
        rest //= radix
        done *= radix
        source = target
    return buffers[source], buffers[source + 1]


@compiled
def spectrum(plan: Any, real: Any, imag: Any, k: int) -> Any:
    """Bin k of the real signals whose even and odd samples `transform` has turned into `real` + i `imag`.

    Returns:
        Real parts and imaginary parts, groups of `pipeline.audio.lanes`.
    """
    _, cosine, sine = plan
    half, lanes = len(cosine) // 2, len(load(real, 0))
    here, there = k % half * lanes, (half - k) % half * lanes
    even_real, even_imag = plus(load(real, here), load(real, there)), minus(load(imag, here), load(imag, there))
    odd_real, odd_imag = plus(load(imag, here), load(imag, there)), minus(load(real, there), load(real, here))
    turned_real = minus(scaled(cosine[k], odd_real), scaled(sine[k], odd_imag))
    turned_imag = plus(scaled(cosine[k], odd_imag), scaled(sine[k], odd_real))
    return scaled(0.5, plus(even_real, turned_real)), scaled(0.5, plus(even_imag, turned_imag))


@compiled
def _pass_of_four(
    real: Any, imag: Any, out_real: Any, out_imag: Any, rest: int, done: int, cosine: Any, sine: Any
) -> None:
    """A pass of radix 4 over what is left of the length, `rest`, after the passes so far, `done`."""
    lanes = len(load(real, 0))
    quarter, step, stride = rest // 4, len(cosine) // rest, done * lanes
    for group in range(quarter):
        turn_1, turn_2, turn_3 = group * step, 2 * group * step, 3 * group * step
        for place in range(done):
            a = (place + done * group) * lanes
            b, c, d = a + quarter * stride, a + 2 * quarter * stride, a + 3 * quarter * stride
            sum_real, sum_imag = plus(load(real, a), load(real, c)), plus(load(imag, a), load(imag, c))
            gap_real, gap_imag = minus(load(real, a), load(real, c)), minus(load(imag, a), load(imag, c))
            other_real, other_imag = plus(load(real, b), load(real, d)), plus(load(imag, b), load(imag, d))
            # -i (b - d)
            side_real, side_imag = minus(load(imag, b), load(imag, d)), minus(load(real, d), load(real, b))
            out = (place + 4 * done * group) * lanes
            store(out_real, out, plus(sum_real, other_real))
            store(out_imag, out, plus(sum_imag, other_imag))
            real_1, imag_1 = plus(gap_real, side_real), plus(gap_imag, side_imag)
            _store_turned(real_1, imag_1, cosine[turn_1], sine[turn_1], out_real, out_imag, out + stride)
            real_2, imag_2 = minus(sum_real, other_real), minus(sum_imag, other_imag)
            _store_turned(real_2, imag_2, cosine[turn_2], sine[turn_2], out_real, out_imag, out + 2 * stride)
            real_3, imag_3 = minus(gap_real, side_real), minus(gap_imag, side_imag)
            _store_turned(real_3, imag_3, cosine[turn_3], sine[turn_3], out_real, out_imag, out + 3 * stride)


@compiled
def _pass_of_two(
    real: Any, imag: Any, out_real: Any, out_imag: Any, rest: int, done: int, cosine: Any, sine: Any
) -> None:
    """A pass of radix 2, as `_pass_of_four`."""
    lanes = len(load(real, 0))
    half, step, stride = rest // 2, len(cosine) // rest, done * lanes
    for group in range(half):
        turn = group * step
        for place in range(done):
            a = (place + done * group) * lanes
            b = a + half * stride
            a_real, a_imag, b_real, b_imag = load(real, a), load(imag, a), load(real, b), load(imag, b)
            out = (place + 2 * done * group) * lanes
            store(out_real, out, plus(a_real, b_real))
            store(out_imag, out, plus(a_imag, b_imag))
            gap_real, gap_imag = minus(a_real, b_real), minus(a_imag, b_imag)
            _store_turned(gap_real, gap_imag, cosine[turn], sine[turn], out_real, out_imag, out + stride)


@compiled
def _pass(
    real: Any, imag: Any, out_real: Any, out_imag: Any, rest: int, done: int, radix: int, cosine: Any, sine: Any
) -> None:
    """A pass of any radix, as `_pass_of_four`."""
    lanes = len(load(real, 0))
    parts, step, stride = rest // radix, len(cosine) // rest, done * lanes
    root = len(cosine) // radix
    for group in range(parts):
        for place in range(done):
            first = (place + done * group) * lanes
            for number in range(radix):
                total_real, total_imag = load(real, first), load(imag, first)
                for part in range(1, radix):
                    turn = part * number % radix * root
                    part_real = load(real, first + part * parts * stride)
                    part_imag = load(imag, first + part * parts * stride)
                    turned_real = minus(scaled(cosine[turn], part_real), scaled(sine[turn], part_imag))
                    turned_imag = plus(scaled(cosine[turn], part_imag), scaled(sine[turn], part_real))
                    total_real, total_imag = plus(total_real, turned_real), plus(total_imag, turned_imag)
                turn = group * number * step
                out = (place + (radix * group + number) * done) * lanes
                _store_turned(total_real, total_imag, cosine[turn], sine[turn], out_real, out_imag, out)


@compiled
def _store_turned(real: Any, imag: Any, cosine: float, sine: float, out_real: Any, out_imag: Any, out: int) -> None:
    """Writes complex values × one complex number."""
    store(out_real, out, minus(scaled(cosine, real), scaled(sine, imag)))
    store(out_imag, out, plus(scaled(cosine, imag), scaled(sine, real)))


@compiled
def _forward(signals: Any, plan: Any, buffers: Any, out: Any) -> None:
    """`rfft` of any number of signals."""
    half, lanes = signals.shape[1] // 2, len(load(buffers[0], 0))
    values = np.empty((2, lanes), signals.dtype)
    for first in range(0, len(signals), lanes):
        rows = min(lanes, len(signals) - first)
        for begin in range(0, half, _RUN):
            for row in range(rows):
                signal = signals[first + row]
                for i in range(begin, min(begin + _RUN, half)):
                    buffers[0, i * lanes + row] = signal[2 * i]
                    buffers[1, i * lanes + row] = signal[2 * i + 1]
        real, imag = transform(plan, buffers)
        for k in range(half + 1):
            bin_real, bin_imag = spectrum(plan, real, imag, k)
            store(values[0], 0, bin_real)
            store(values[1], 0, bin_imag)
            for row in range(rows):
                out[first + row, k] = complex(values[0, row], values[1, row])


@compiled
def _inverse(spectra: Any, plan: Any, buffers: Any, out: Any) -> None:
    """`irfft` of any number of spectra: `transform` with real and imaginary parts exchanged, divided by half the length."""
    half, lanes = out.shape[1] // 2, len(load(buffers[0], 0))
    parts = np.zeros((2, (half + 1) * lanes), out.dtype)
    share = 1.0 / half
    for first in range(0, len(spectra), lanes):
        rows = min(lanes, len(spectra) - first)
        for begin in range(0, half + 1, _RUN):
            for row in range(rows):
                spectrum = spectra[first + row]
                for k in range(begin, min(begin + _RUN, half + 1)):
                    parts[0, k * lanes + row] = spectrum[k].real
                    parts[1, k * lanes + row] = spectrum[k].imag
        parts[1, :lanes] = 0.0
        parts[1, half * lanes :] = 0.0
        _join(parts[0], parts[1], plan, buffers[1], buffers[0])
        imag, real = transform(plan, buffers)
        for begin in range(0, half, _RUN):
            for row in range(rows):
                signal = out[first + row]
                for i in range(begin, min(begin + _RUN, half)):
                    signal[2 * i] = real[i * lanes + row] * share
                    signal[2 * i + 1] = imag[i * lanes + row] * share


@compiled
def _join(real: Any, imag: Any, plan: Any, out_real: Any, out_imag: Any) -> None:
    """The transforms of the even samples + i × those of the odd samples, from the transforms of all samples."""
    _, cosine, sine = plan
    half, lanes = len(cosine) // 2, len(load(real, 0))
    for k in range(half):
        here, there = k * lanes, (half - k) * lanes
        even_real, even_imag = plus(load(real, here), load(real, there)), minus(load(imag, here), load(imag, there))
        odd_real, odd_imag = minus(load(real, here), load(real, there)), plus(load(imag, here), load(imag, there))
        turned_real = plus(scaled(cosine[k], odd_real), scaled(sine[k], odd_imag))
        turned_imag = minus(scaled(cosine[k], odd_imag), scaled(sine[k], odd_real))
        store(out_real, here, scaled(0.5, minus(even_real, turned_imag)))
        store(out_imag, here, scaled(0.5, plus(even_imag, turned_real)))
