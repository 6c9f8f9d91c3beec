"""What every front end has: its parameters' common keys, and the protocol that store, training, report and export use.

A front end turns a waveform into a spectrogram in dB, [frames, n_bins]. What a bin is belongs to the kind alone; whatever
comes after knows `n_bins` and `bin_axis()`.
"""

from abc import abstractmethod
from typing import Any, ClassVar, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.audio import Waveform
from pipeline.section import ClipParams

# Keys that decide which clips are refused, not what a spectrogram looks like.
_REFUSAL_KEYS: Final = {"min_duration_s", "max_duration_s", "silence_db", "max_reject_fraction"}


class FrontEndParams(ClipParams):
    """The keys of the section `features` that every kind has. A kind adds its own and says how many bins they give.

    Attributes:
        kind: Name of the front end.
        hop_length: Samples from frame to frame.
        floor_db: Absolute floor of the power of a bin in dB, after the scaling to `level_dbfs`.
        level_dbfs: Level to which every clip is scaled, in dB relative to full scale (`pipeline.frontends.level`); None leaves
            clips as they are recorded.
    """

    kind: str
    hop_length: int = Field(ge=1, le=16384)
    floor_db: float = Field(ge=-200.0, le=0.0)
    level_dbfs: float | None = Field(default=None, ge=-80.0, le=0.0)

    @property
    @abstractmethod
    def n_bins(self) -> int:
        """Bins of a spectrogram."""

    def spectral(self) -> dict[str, Any]:
        """The parameters that decide the values of a spectrogram, as JSON values."""
        return self.model_dump(mode="json", exclude=_REFUSAL_KEYS)


class BinAxis(NamedTuple):
    """What the bins of a spectrogram stand for.

    Attributes:
        quantity: In words, such as "frequency".
        unit: Its unit, or "" without one.
        values: float64 [n_bins], the value of each bin.
    """

    quantity: str
    unit: str
    values: npt.NDArray[np.float64]

    @property
    def title(self) -> str:
        """Quantity and unit, as a plot or a table states them."""
        return f"{self.quantity}, {self.unit}" if self.unit else self.quantity


class FrontEnd(Protocol):
    """Waveforms to spectrograms. Made once, called for every clip; a call changes nothing in it, so threads may share it.

    Attributes:
        version: Raised by hand when the same waveform would give other values; it makes older feature stores stale.
    """

    version: ClassVar[int]

    @property
    def kind(self) -> str:
        """The value of `features.kind` that chooses it."""

    @property
    def n_bins(self) -> int:
        """Bins of a spectrogram."""

    def n_frames(self, n_samples: int) -> int:
        """Frames of the spectrogram of a waveform of `n_samples` samples."""

    def bin_axis(self) -> BinAxis:
        """What the bins stand for: the centre frequency in Hz, or the number of a cepstral coefficient."""

    def level_response(self) -> npt.NDArray[np.float32]:
        """What each bin gains where the waveform is 1 dB louder and `level_dbfs` is None, float32 [n_bins]."""

    def __call__(self, waveform: Waveform) -> npt.NDArray[np.float32]:
        """Computes the spectrogram of a clip.

        Args:
            waveform: float32 [samples], in [-1, 1], at the front end's sample rate, at least one sample.

        Returns:
            float32 [frames, n_bins], in dB, with `n_frames(samples)` frames.
        """


class PowerFrontEnd:
    """What front ends share whose bins are powers at some frequency, in dB.

    Args:
        params: Of the kind.
        frequencies: The centre of each bin in Hz, float64 [n_bins].
    """

    def __init__(self, params: FrontEndParams, frequencies: npt.NDArray[np.float64]) -> None:
        self._params = params
        self._frequencies = frequencies

    @property
    def kind(self) -> str:
        """The value of `features.kind` that chooses it."""
        return self._params.kind

    @property
    def n_bins(self) -> int:
        """Bins of a spectrogram."""
        return self._params.n_bins

    def bin_axis(self) -> BinAxis:
        """The centre frequency of each bin in Hz."""
        return BinAxis("frequency", "Hz", self._frequencies)

    def level_response(self) -> npt.NDArray[np.float32]:
        """What each bin gains where the waveform is 1 dB louder, float32 [n_bins]: 1 dB."""
        return np.ones(self.n_bins, np.float32)
