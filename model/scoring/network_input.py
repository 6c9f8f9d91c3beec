"""What a network takes of a waveform: the spectrogram of its front end, and its windows in it."""

from collections.abc import Callable
from typing import Final

import numpy as np

from model.scoring.scorer import Cut
from model.scoring.windows import window_places
from pipeline.audio import Waveform
from pipeline.audio.level import limit_peak
from pipeline.frontends import FeatureParams, FrontEnd, make_front_end

_MARGIN_S: Final = 0.5


class NetworkInput:
    """What a network takes of a waveform.

    Args:
        params: Its front end.
        n_frames: Frames of its window.
    """

    def __init__(self, params: FeatureParams, n_frames: int) -> None:
        self.params = params
        self.n_frames = n_frames
        self.front_end: FrontEnd = make_front_end(params)
        self.stride = max(1, n_frames // 2)
        self.margin = round(_MARGIN_S * params.sample_rate / params.hop_length) * params.hop_length

    @property
    def hop_s(self) -> float:
        """Seconds from frame to frame."""
        return self.params.hop_length / self.params.sample_rate

    @property
    def window_s(self) -> float:
        """Seconds of the network's window."""
        return self.n_frames * self.hop_s

    def equals(self, other: "NetworkInput") -> bool:
        """Whether two networks take the same spectrograms and windows."""
        return self.n_frames == other.n_frames and self.params.spectral() == other.params.spectral()

    def whole(self, waveform: Waveform) -> Cut:
        """A short recording, with the windows of the evaluation."""
        features = self.front_end(waveform).astype(np.float16)
        return Cut(features, window_places(len(features), self.n_frames))

    def frames_of(self, samples: int) -> int:
        """Frames of the windows that begin in a stretch of a long recording and overlap by half."""
        count = -(-samples // (self.stride * self.params.hop_length))
        return (count - 1) * self.stride + self.n_frames

    def piece(self, buffer: Waveform, begin: int, n_frames: int) -> tuple[Waveform, Callable[[], Cut]]:
        """The `n_frames` frames from a sample on.

        Args:
            buffer: A stretch of a long recording.
            begin: Sample of it at which the first window begins.
            n_frames: Frames.

        Returns:
            The waveform, with a margin on both sides where the buffer has it, and what computes its cut.
        """
        hop = self.params.hop_length
        low, high = max(0, begin - self.margin), min(len(buffer), begin + (n_frames - 1) * hop + self.margin)
        waveform, skipped = buffer[low:high], (begin - low) // hop

        def cut() -> Cut:
            features = self.front_end(limit_peak(waveform))[skipped : skipped + n_frames].astype(np.float16)
            starts = np.arange(0, max(1, len(features) - self.n_frames + 1), self.stride)
            if starts[-1] + self.n_frames < len(features):
                starts = np.append(starts, len(features) - self.n_frames)
            return Cut(features, (starts[:, np.newaxis] + np.arange(self.n_frames)) % len(features))

        return waveform, cut
