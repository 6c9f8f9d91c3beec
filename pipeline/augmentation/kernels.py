"""The inner loops of augmentation, compiled by numba: normal and pink noise, mixing, and the phase vocoder.

Results do not depend on the processor: the loops use + - * /, square roots and integers only (`pipeline.audio.compiled`).
The logarithm, sine and cosine are series written out here, accurate to better than 1e-9. Filters are in `filters`.
"""

from typing import Any

import numpy as np

from pipeline.audio.compiled import compiled
from pipeline.audio.kernels import mean

# Pairs of normal values computed together; their scratch arrays stay in the processor's first cache.
_PAIRS = 256

# The smallest normal number in float32.
_TINY = np.float32(2.0**-126)


@compiled
def normal_values(words: Any, out: Any) -> None:
    """Fills `out` with independent values of the standard normal distribution (Box and Muller 1958).

    Each word gives two values: its upper half is the uniform value u of the radius √(−2 ln u), its lower half the angle. The
    largest value possible is √(2 ln 2³³) = 6.76.

    Args:
        words: uint64 [ceil(values / 2)], random bits.
        out: float32 [values].
    """
    uniform, angle, exponent = np.full(_PAIRS, 0.5), np.zeros(_PAIRS), np.empty(_PAIRS)
    first, second = np.empty(_PAIRS), np.empty(_PAIRS)
    for start in range(0, len(words), _PAIRS):
        _split_words(words[start : start + _PAIRS], uniform, angle)
        _split_exponent(uniform, exponent)
        _box_muller(uniform, exponent, angle, first, second)
        block = out[2 * start : 2 * (start + _PAIRS)]
        for i in range(len(block) // 2):
            block[2 * i] = first[i]
            block[2 * i + 1] = second[i]
        if len(block) % 2 == 1:
            block[-1] = first[len(block) // 2]


@compiled
def _split_words(words: Any, uniform: Any, quarter_angle: Any) -> None:
    """A uniform value in (0, 1) of the upper half of each word, a quarter of an angle in (−π, π) of the lower half."""
    for i in range(len(words)):
        uniform[i] = (np.float64(np.int64(words[i] >> np.uint64(32))) + 0.5) * 2.0**-32
        quarter_angle[i] = (np.float64(np.int64(words[i] & np.uint64(0xFFFFFFFF))) - (2.0**31 - 0.5)) * (
            np.pi * 2.0**-33
        )


@compiled
def _split_exponent(values: Any, exponents: Any) -> None:
    """Divides positive `values` by powers of two, so that they lie in [√½, √2); `exponents` receives the exponents."""
    bits = values.view(np.int64)
    for i in range(len(values)):
        # The bits of √½ are subtracted: 52 bits of fraction lie below the exponent.
        exponent = (bits[i] - 0x3FE6A09E667F3BCD) >> 52
        bits[i] -= exponent << 52
        exponents[i] = exponent


@compiled
def _box_muller(mantissa: Any, exponent: Any, quarter_angle: Any, first: Any, second: Any) -> None:
    """Pairs of normal values of uniform values mantissa × 2^exponent and quarters of angles."""
    for i in range(len(mantissa)):
        # ln m = 2 artanh((m − 1) / (m + 1)), of which |s| ≤ 0.172.
        s = (mantissa[i] - 1.0) / (mantissa[i] + 1.0)
        z = s * s
        series = 1.0 + z * (1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13))))))
        radius = np.sqrt(-2.0 * (exponent[i] * 0.6931471805599453 + 2.0 * s * series))
        # Taylor series up to π / 4, then sin 2x = 2 sin x cos x and cos 2x = 1 − 2 sin² x, twice.
        x = quarter_angle[i]
        q = x * x
        sine = x * (1.0 - q * (1 / 6 - q * (1 / 120 - q * (1 / 5040 - q * (1 / 362880 - q * (1 / 39916800))))))
        cosine = 1.0 - q * (
            1 / 2 - q * (1 / 24 - q * (1 / 720 - q * (1 / 40320 - q * (1 / 3628800 - q * (1 / 479001600)))))
        )
        cosine_2 = 1.0 - 2.0 * sine * sine
        sine_2 = 2.0 * sine * cosine
        first[i] = radius * (1.0 - 2.0 * sine_2 * sine_2)
        second[i] = radius * (2.0 * sine_2 * cosine_2)


@compiled
def filter_cascade(values: Any, zeros: Any, poles: Any) -> None:
    """Filters in place by the product over k of (1 − zeros[k] z⁻¹) / (1 − poles[k] z⁻¹), from a state of rest.

    Args:
        values: float32 [samples].
        zeros: float64 [sections].
        poles: float64 [sections].
    """
    states = np.zeros(len(poles))
    for i in range(len(values)):
        value: Any = np.float64(values[i])
        for k in range(len(poles)):
            result = value + states[k]
            states[k] = poles[k] * result - zeros[k] * value
            value = result
        values[i] = value


@compiled
def mean_power(values: Any) -> float:
    """Mean square of at least one value, in float64."""
    return _power_about(values, 0.0)


@compiled
def power_about_mean(values: Any) -> float:
    """Mean square of at least one value about the mean: what can be heard of a waveform with a constant offset."""
    return _power_about(values, mean(values))


@compiled
def _power_about(values: Any, offset: Any) -> float:
    # Eight sums at once fill a vector unit; their order is the same with and without one.
    totals = np.zeros(8)
    whole = len(values) // 8 * 8
    for i in range(0, whole, 8):
        for lane in range(8):
            value: Any = np.float64(values[i + lane]) - offset
            totals[lane] += value * value
    for i in range(whole, len(values)):
        value = np.float64(values[i]) - offset
        totals[i - whole] += value * value
    total = 0.0
    for lane in range(8):
        total += totals[lane]
    return float(total / len(values))


@compiled
def add_repeated(values: Any, first: int, gain: float, out: Any) -> None:
    """Adds gain × `values` to `out`, from value `first` on and repeated to the length of `out`."""
    written = 0
    source = first
    while written < len(out):
        run = min(len(values) - source, len(out) - written)
        target, repeated = out[written : written + run], values[source : source + run]
        for i in range(run):
            target[i] += gain * repeated[i]
        written += run
        source = 0


@compiled
def add_scaled(waveform: Any, noise: Any, gain: float, out: Any) -> None:
    """Sets `out` (float32) to waveform + gain × noise, computed in float64."""
    for i in range(len(out)):
        out[i] = np.float64(waveform[i]) + gain * np.float64(noise[i])


@compiled
def phase_vocoder(
    spectra: Any, first_input: int, n_inputs: int, rate: float, first_output: int, phase: Any, out: Any
) -> None:
    """Resamples a short-time spectrum in time, keeping each bin's phase advance from frame to frame.

    Output frame t lies at input position t × rate. Its magnitude is interpolated between the two input frames around that
    position, and its phase is the sum of their phase differences so far (Laroche and Dolson 1999; Ellis 2002, as in
    librosa). A phase is kept as a unit phasor, float64: multiplying by u₁ conj(u₀) adds the difference without
    trigonometric functions. librosa removes multiples of 2π from the difference; for a phasor they make no difference.

    Frames are computed in blocks, one call each, in order.

    Args:
        spectra: complex [frames, bins], the input frames from `first_input` on that the block needs.
        first_input: Number of the first frame of `spectra`, at most first_output × rate.
        n_inputs: Input frames of the whole signal; those after the last count as zeros.
        rate: Input frames per output frame.
        first_output: Number of the first frame of `out`.
        phase: float64 [2, bins], real and imaginary part of the phasors, changed. The first call sets them.
        out: complex [output frames, bins].
    """
    if first_output == 0:
        for k in range(spectra.shape[1]):
            real: Any = np.float64(spectra[0, k].real)
            imag: Any = np.float64(spectra[0, k].imag)
            magnitude = np.sqrt(real * real + imag * imag)
            phase[0, k] = real / magnitude if magnitude > 0.0 else 1.0
            phase[1, k] = imag / magnitude if magnitude > 0.0 else 0.0
    silence = np.zeros_like(spectra[0])
    for t in range(out.shape[0]):
        position = (first_output + t) * rate
        # A product that rounding lifts past the last frame counts as the last frame.
        before = min(int(position), n_inputs - 1)
        row = before - first_input
        after = spectra[row + 1] if before + 1 < n_inputs else silence
        _vocoder_frame(spectra[row], after, position - before, phase[0], phase[1], out[t])


@compiled
def _vocoder_frame(before: Any, after: Any, weight: float, phase_real: Any, phase_imag: Any, out: Any) -> None:
    """One output frame, `weight` of the way from `before` to `after`; then the phase advances by their difference."""
    for k in range(len(out)):
        real_0: Any = np.float64(before[k].real)
        imag_0: Any = np.float64(before[k].imag)
        real_1: Any = np.float64(after[k].real)
        imag_1: Any = np.float64(after[k].imag)
        magnitude_0: Any = np.sqrt(real_0 * real_0 + imag_0 * imag_0)
        magnitude_1: Any = np.sqrt(real_1 * real_1 + imag_1 * imag_1)
        magnitude = (1.0 - weight) * magnitude_0 + weight * magnitude_1
        out[k] = complex(phase_real[k] * magnitude, phase_imag[k] * magnitude)
        # The phase of a bin without energy counts as 0.
        if magnitude_0 == 0.0:
            real_0 = 1.0
            magnitude_0 = 1.0
        if magnitude_1 == 0.0:
            real_1 = 1.0
            magnitude_1 = 1.0
        scale = 1.0 / (magnitude_0 * magnitude_1)
        step_real = (real_1 * real_0 + imag_1 * imag_0) * scale
        step_imag = (imag_1 * real_0 - real_1 * imag_0) * scale
        turned_real = phase_real[k] * step_real - phase_imag[k] * step_imag
        phase_imag[k] = phase_real[k] * step_imag + phase_imag[k] * step_real
        phase_real[k] = turned_real


@compiled
def overlap_add(frames: Any, window: Any, hop_length: int, first: int, out: Any) -> None:
    """Adds windowed frames to `out`, which must be long enough; `first` is the number of the first of `frames`."""
    for row in range(len(frames)):
        start = (first + row) * hop_length
        target, frame = out[start : start + len(window)], frames[row]
        for i in range(len(window)):
            target[i] += frame[i] * window[i]


@compiled
def divide_by_window_energy(window: Any, hop_length: int, n_frames: int, out: Any) -> None:
    """Divides overlapped frames by the sum of the squared windows at each sample; a sum of 0 divides nothing.

    Args:
        window: float32 [window], a whole number of hops long.
        hop_length: In samples.
        n_frames: Frames that were added to `out`, at least one.
        out: float32 [samples], a whole number of hops long, changed.
    """
    overlap = len(window) // hop_length
    energy = np.zeros(hop_length, np.float32)
    for block in range(len(out) // hop_length):
        # The sums repeat from hop to hop wherever `overlap` frames lie over each other.
        if block < overlap or block >= n_frames:
            energy[:] = 0.0
            for frame in range(max(0, block - overlap + 1), min(block + 1, n_frames)):
                for i in range(hop_length):
                    energy[i] += window[(block - frame) * hop_length + i] * window[(block - frame) * hop_length + i]
        for i in range(hop_length):
            if energy[i] > _TINY:
                out[block * hop_length + i] /= energy[i]
