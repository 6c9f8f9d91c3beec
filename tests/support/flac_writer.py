"""A FLAC encoder for tests (RFC 9639): makes what usual encoders do not, such as samples beyond full scale.

Every subframe has the same form: fixed or linear prediction, residuals as Rice codes or as plain numbers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Form:
    """How subframes are coded.

    Attributes:
        order: Of the fixed predictor, 0 to 4; not used with `coefficients`.
        coefficients: Of a linear predictor, as integers; their scale is 2^-`shift`.
        shift: See `coefficients`.
        rice: Parameter of the Rice codes; None for residuals as plain numbers of 20 bits.
        wasted: Zeros at the low end of every sample.
        variable: Whether frames state the number of their first sample instead of their own.
    """

    order: int = 0
    coefficients: tuple[int, ...] = ()
    shift: int = 0
    rice: int | None = 9
    wasted: int = 0
    variable: bool = False


class _Bits:
    def __init__(self) -> None:
        self._text: list[str] = []

    def put(self, value: int, width: int) -> None:
        if width:
            self._text.append(format(value & ((1 << width) - 1), f"0{width}b"))

    def unary(self, zeros: int) -> None:
        self._text.append("0" * zeros + "1")

    def done(self) -> bytes:
        text = "".join(self._text)
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def crc(data: bytes, polynomial: int, width: int) -> int:
    remainder = 0
    for byte in data:
        remainder ^= byte << (width - 8)
        for _ in range(8):
            remainder = remainder << 1 ^ (polynomial if remainder >> (width - 1) & 1 else 0)
            remainder &= (1 << width) - 1
    return remainder


def encode(
    samples: Samples,
    rate: int = 16_000,
    depth: int = 16,
    form: Form | None = None,
    blocks: Sequence[int] = (),
    stated: int | None = None,
    md5: bool = True,
) -> bytes:
    """A FLAC file.

    Args:
        samples: int64 [channels, samples].
        rate: Hz.
        depth: Bits per sample.
        form: Of all subframes.
        blocks: Lengths of the frames; default: 4096 each.
        stated: Samples that the header states; default: as many as there are.
        md5: Whether the header states the MD5 of the samples.
    """
    form = form or Form()
    n_samples = samples.shape[1]
    edges = np.cumsum([0, *blocks]) if blocks else np.arange(0, n_samples + 4096, 4096).clip(max=n_samples)
    frames = [
        _frame(samples[:, begin:end], rate, depth, form, int(begin) if form.variable else number)
        for number, (begin, end) in enumerate(pairwise(edges))
        if end > begin
    ]
    width = (depth + 7) // 8
    packed = np.ascontiguousarray(samples.T, "<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    info = _Bits()
    longest = int(max(np.diff(edges)))
    for value, bits in (
        (longest, 16),
        (longest, 16),
        (0, 24),
        (max(map(len, frames)), 24),
        (rate, 20),
        (len(samples) - 1, 3),
        (depth - 1, 5),
        (n_samples if stated is None else stated, 36),
    ):
        info.put(value, bits)
    digest = hashlib.md5(packed).digest() if md5 else bytes(16)
    return b"fLaC\x80\x00\x00\x22" + info.done() + digest + b"".join(frames)


def _frame(samples: Samples, rate: int, depth: int, form: Form, number: int) -> bytes:
    header = _Bits()
    header.put(0b11111111111110_0 << 1 | form.variable, 16)
    depths = {8: 1, 12: 2, 16: 4, 20: 5, 24: 6}
    for value, bits in ((7, 4), (13, 4), (len(samples) - 1, 4), (depths[depth], 3), (0, 1)):
        header.put(value, bits)
    header.put(int.from_bytes(_number(number), "big"), 8 * len(_number(number)))
    header.put(samples.shape[1] - 1, 16)
    header.put(rate, 16)
    start = header.done()
    bits = _Bits()
    for channel in samples:
        _subframe(bits, channel >> form.wasted, depth - form.wasted, form)
    frame = start + crc(start, 0x07, 8).to_bytes(1, "big") + bits.done()
    return frame + crc(frame, 0x8005, 16).to_bytes(2, "big")


def _number(value: int) -> bytes:
    """A number in the extended UTF-8 of frame headers."""
    if value < 0x80:
        return bytes([value])
    tail = []
    while value >= 1 << (6 - len(tail)):
        tail.append(0x80 | value & 0x3F)
        value >>= 6
    return bytes([(0xFF << (7 - len(tail)) & 0xFF) | value, *reversed(tail)])


def _subframe(bits: _Bits, samples: Samples, depth: int, form: Form) -> None:
    linear = form.coefficients
    order = len(linear) or form.order
    bits.put((31 + order if linear else 8 + order) << 1 | (form.wasted > 0), 8)
    if form.wasted:
        bits.unary(form.wasted - 1)
    for sample in samples[:order]:
        bits.put(int(sample), depth)
    if linear:
        bits.put(14, 4)  # 15 bits for a coefficient
        bits.put(form.shift, 5)
        for coefficient in linear:
            bits.put(coefficient, 15)
    fixed = ((), (1,), (2, -1), (3, -3, 1), (4, -6, 4, -1))
    taps, residuals = linear or fixed[order], []
    for i in range(order, len(samples)):
        prediction = sum(tap * int(samples[i - 1 - j]) for j, tap in enumerate(taps)) >> form.shift
        residuals.append(int(samples[i]) - prediction)
    bits.put(0, 6)  # Rice codes with parameters of 4 bits, one partition
    bits.put(15 if form.rice is None else form.rice, 4)
    if form.rice is None:
        bits.put(20, 5)
    for residual in residuals:
        if form.rice is None:
            bits.put(residual, 20)
        else:
            code = residual << 1 if residual >= 0 else -residual * 2 - 1
            bits.unary(code >> form.rice)
            bits.put(code, form.rice)
