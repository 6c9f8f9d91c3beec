"""Limits of the band: a drawn low-pass filter, the telephone's band, or the way through a sample rate of 8 kHz."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from pipeline.audio import Waveform
from pipeline.augmentation.base import Augmentation, Clip, between
from pipeline.augmentation.filters import filter_linear_phase, low_pass, telephone_band, through_rate
from pipeline.augmentation.params import BandKind, BandLimitParams

_TRANSITION_HZ: Final = 400.0
_NARROW_RATE: Final = 8000


@dataclass(frozen=True)
class BandLimitValues:
    """A limit of the band.

    Attributes:
        kind: Which.
        cutoff_hz: Of a low-pass filter, where its gain is -6 dB; None for other kinds.
    """

    kind: BandKind
    cutoff_hz: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """One entry, `band_limit`, with `cutoff_hz` only for a low-pass filter."""
        entry: dict[str, Any] = {"kind": self.kind}
        return {"band_limit": entry if self.cutoff_hz is None else entry | {"cutoff_hz": self.cutoff_hz}}


class BandLimit(Augmentation[BandLimitValues]):
    """Removes the frequencies that a channel does not carry."""

    name: ClassVar[str] = "band_limit"

    def __init__(self, params: BandLimitParams, sample_rate: int) -> None:
        self._params = params
        self._sample_rate = sample_rate

    def draw(self, generator: np.random.Generator, clip: Clip) -> BandLimitValues | None:
        chance, kind_draw, cutoff = generator.random(3)
        if chance >= self._params.probability:
            return None
        kind = self._params.kinds[int(kind_draw * len(self._params.kinds))]
        return BandLimitValues(kind, between(self._params.cutoff_hz, cutoff) if kind == "low_pass" else None)

    def apply(self, waveform: Waveform, values: BandLimitValues, clips: Mapping[str, Waveform]) -> Waveform:
        """Limits the band; length and place of the signal are kept."""
        return limit_band(waveform, values, self._sample_rate)


def limit_band(waveform: Waveform, values: BandLimitValues, sample_rate: int) -> Waveform:
    """Limits the band of a waveform, float32 [samples], and keeps its length and place in time.

    A cutoff from half the sample rate on changes nothing.
    """
    match values.kind:
        case "telephone":
            return filter_linear_phase(waveform, telephone_band(sample_rate))
        case "8_khz":
            return through_rate(waveform, sample_rate, _NARROW_RATE) if sample_rate > _NARROW_RATE else waveform
        case "low_pass":
            if values.cutoff_hz is None or values.cutoff_hz >= sample_rate / 2.0:
                return waveform
            return filter_linear_phase(waveform, low_pass(values.cutoff_hz, _TRANSITION_HZ, sample_rate))
