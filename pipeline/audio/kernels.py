"""The inner loops of signal processing, compiled by numba.

Arithmetic is strict (no fast-math, no threads): every sum runs in the order of the code, and every operation is one that
IEEE 754 rounds exactly (+ - * / sqrt, conversions). Results are therefore the same on every processor, whatever its vector
units. numba's own logarithm, exponential and trigonometric functions call the system's libm, which chooses by processor;
no kernel uses them. The compiled code is cached beside the module or in the user's cache folder, so only the first process
on a machine compiles.
"""

from typing import Any

import numpy as np

from pipeline.audio.compiled import compiled


@compiled
def windowed_frames(signal: Any, window: Any, hop_length: int, first_sample: int, out: Any) -> None:
    """Cuts a signal into frames and multiplies each by the window.

    Args:
        signal: float [samples].
        window: float [length].
        hop_length: Samples from frame to frame.
        first_sample: Where the first frame begins; samples before and behind the signal are zeros.
        out: float [frames, length], receives the frames.
    """
    length = len(window)
    for row in range(out.shape[0]):
        start = first_sample + row * hop_length
        # The frame's samples from `low` to `high` lie within the signal.
        low = min(max(0, -start), length)
        high = max(min(length, len(signal) - start), low)
        frame = out[row]
        frame[:low] = 0.0
        frame[high:] = 0.0
        inside = frame[low:high]
        samples = signal[start + low : start + high]
        weights = window[low:high]
        for i in range(len(inside)):
            inside[i] = samples[i] * weights[i]


@compiled
def decibels(power: Any, floor_db: float) -> Any:
    """10 log10 of a power, at least `floor_db`, within 1e-13 dB of the exact value.

    The power is 2^exponent × mantissa with a mantissa between sqrt(½) and sqrt(2), whose natural logarithm is
    2 artanh(s) = 2 s + 2 s³/3 + 2 s⁵/5 + … with s = (mantissa - 1) / (mantissa + 1), |s| < 0.172.

    Args:
        power: float64, 0 or more and finite. Numbers below the smallest normal one count as at most that.
        floor_db: The result for 0.
    """
    bits = np.float64(power).view(np.int64)
    # 0x3FE6A09E667F3BCD are the bits of sqrt(½).
    exponent = (bits - 0x3FE6A09E667F3BCD) >> 52
    mantissa = np.int64(bits - (exponent << 52)).view(np.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z = s * s
    series: Any = 2.0 / 15.0
    series = series * z + 2.0 / 13.0
    series = series * z + 2.0 / 11.0
    series = series * z + 2.0 / 9.0
    series = series * z + 2.0 / 7.0
    series = series * z + 2.0 / 5.0
    series = series * z + 2.0 / 3.0
    series = series * z + 2.0
    # ln 2, and 10 / ln 10. The exponent as int32 is what every vector unit converts.
    value = (s * series + np.float64(np.int32(exponent)) * 0.6931471805599453) * 4.342944819032518
    return value if value > floor_db else floor_db


@compiled
def cell_energies(waveform: Any, mean: float, cell_length: int, out: Any) -> None:
    """Sums of squares about `mean` of adjacent cells, one for each value of `out` (float64); the last extends to the end."""
    n_cells = len(out)
    # Eight cells at once: the sums of one cell depend on each other, those of eight fill a vector unit. The last one, which
    # may be longer, is left to the loop below.
    n_abreast = (n_cells - 1) // 8 * 8
    totals = np.zeros(8)
    for first in range(0, n_abreast, 8):
        cells = waveform[first * cell_length : (first + 8) * cell_length].reshape(8, cell_length)
        totals[:] = 0.0
        for i in range(cell_length):
            for cell in range(8):
                value: Any = np.float64(cells[cell, i]) - mean
                totals[cell] += value * value
        out[first : first + 8] = totals
    for number in range(n_abreast, n_cells):
        end = len(waveform) if number == n_cells - 1 else (number + 1) * cell_length
        energy: Any = 0.0
        for sample in waveform[number * cell_length : end]:
            value = np.float64(sample) - mean
            energy += value * value
        out[number] = energy


@compiled
def frame_levels(energies: Any, firsts: Any, lengths: Any, frame_cells: int, floor_db: float, out: Any) -> None:
    """Levels of frames that are made of cells.

    Args:
        energies: float64 [cells], the sum of squares of each cell.
        firsts: int [frames], the first cell of each frame.
        lengths: int [frames], samples of each frame.
        frame_cells: Cells of a frame.
        floor_db: Lowest level.
        out: float64 [frames], receives 10 log10 of the mean square of each frame.
    """
    for frame in range(len(out)):
        energy: Any = 0.0
        for cell in range(frame_cells):
            energy += energies[firsts[frame] + cell]
        out[frame] = decibels(energy / lengths[frame], floor_db)


@compiled
def total(values: Any) -> Any:
    """The sum of float values in float64, from the first to the last."""
    result: Any = 0.0
    for value in values:
        result += value
    return result


@compiled
def percentile(values: Any, percent: float) -> Any:
    """The percentile of at least one float64 value, interpolated linearly as `numpy.percentile` does by default."""
    ordered = np.sort(values)
    position = (len(ordered) - 1) * (percent / 100.0)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    weight = position - below
    step = ordered[above] - ordered[below]
    # Two forms, so that the result is exact at both ends.
    return ordered[below] + step * weight if weight < 0.5 else ordered[above] - step * (1.0 - weight)


@compiled
def mean(samples: Any) -> Any:
    """The mean of at least one sample, in float64: the constant offset of a waveform."""
    # Eight sums at once fill a vector unit; their order is the same with and without one.
    totals = np.zeros(8)
    whole = len(samples) // 8 * 8
    for i in range(0, whole, 8):
        for lane in range(8):
            totals[lane] += np.float64(samples[i + lane])
    for i in range(whole, len(samples)):
        totals[i - whole] += np.float64(samples[i])
    result: Any = 0.0
    for value in totals:
        result += value
    return result / len(samples)


@compiled
def largest_deviation(samples: Any) -> Any:
    """The largest distance of contiguous finite float32 samples, at least one, from their mean.

    As integers, the bits of floats are in the order of the numbers once those of negative ones are reversed.
    """
    bits = samples.view(np.int32)
    lowest, highest = np.int32(0x7FFFFFFF), np.int32(-0x80000000)
    for i in range(len(bits)):
        ordered = bits[i] ^ ((bits[i] >> np.int32(31)) & np.int32(0x7FFFFFFF))
        lowest, highest = min(lowest, ordered), max(highest, ordered)
    low = np.int32(lowest ^ ((lowest >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)
    high = np.int32(highest ^ ((highest >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)
    offset = mean(samples)
    return max(np.float64(high) - offset, offset - np.float64(low))


@compiled
def mean_of_channels(samples: Any, out: Any) -> None:
    """Means of the channels of float32 [samples, channels], summed in float64, rounded to float32 [samples] in `out`."""
    for i in range(len(out)):
        total: Any = 0.0
        for value in samples[i]:
            total += np.float64(value)
        out[i] = total / samples.shape[1]


@compiled
def peak(samples: Any) -> Any:
    """The largest absolute value of contiguous float32 samples, at least one; infinite or NaN if any sample is.

    Without its sign bit, a larger number has larger bits as an integer; infinity and NaN have the largest. The maximum of
    integers is the same in any order, so the compiler may use vector units.
    """
    bits = samples.view(np.int32)
    largest = np.int32(0)
    for i in range(len(bits)):
        largest = max(largest, bits[i] & np.int32(0x7FFFFFFF))
    return float(np.int32(largest).view(np.float32))
