"""Runs of frames out of single examples, without the rest of their records.

A record holds its frames as raw float16 in one piece. The index states where a record is and how long, so the place of each
frame follows. The checksum of a record covers all of its bytes and is not checked here; sizes are.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import StoreError
from pipeline.store.reader import FeatureStore
from pipeline.store.records import HEADER_BYTES, Example, bytes_after_features
from pipeline.store.schema import records_path

_BYTES_PER_VALUE = 2


class FrameReader:
    """Reads frames of the examples of a store or of a selection. Threads may share it.

    Attributes:
        n_frames: int64 [examples], frames of each example, in the order of the index.
        n_bins: Bins of a frame.
    """

    def __init__(self, store: FeatureStore) -> None:
        """Finds the place of every example.

        Raises:
            StoreError: A file of records does not have the size that store.json states, or a record is too short for the
                frames that its index row states.
        """
        index = store.index
        self.n_bins = store.features.n_bins
        self.n_frames: npt.NDArray[np.int64] = index["n_frames"].to_numpy()
        self._storage = store.storage
        shards = index["shard"].combine_chunks().dictionary_encode()
        self._paths = [records_path(shard) for shard in shards.dictionary.to_pylist()]
        self._shard = shards.indices.to_numpy()
        self._frame_bytes = self.n_bins * _BYTES_PER_VALUE
        begin = index["offset"].to_numpy()
        end = begin + index["length"].to_numpy() - _tails(index, self.n_bins)
        self._start = end - self.n_frames * self._frame_bytes
        self._check(store.info["files"], index, begin)

    def read(self, example: int, first: int, out: npt.NDArray[np.float16]) -> None:
        """Reads consecutive frames of an example.

        Args:
            example: Its row number in the index.
            first: Number of the first frame, from 0.
            out: Filled with the frames, in dB: float16 [frames, n_bins], contiguous. All of the frames exist.

        Raises:
            StoreError: The file cannot be read, or was cut.
        """
        offset = int(self._start[example]) + first * self._frame_bytes
        self._storage.read_into(self._paths[self._shard[example]], offset, out.reshape(-1).view(np.uint8).data)

    def _check(self, files: dict[str, Any], index: pa.Table, begin: npt.NDArray[np.int64]) -> None:
        for path in self._paths:
            size, stated = self._storage.size(path), files[path]["size"]
            if size != stated:
                raise StoreError(
                    f"{self._storage.url_of(path)} has {size:,} bytes, store.json states {stated:,}; "
                    "run `bonafide store verify`"
                )
        wrong = np.flatnonzero(self._start < begin + HEADER_BYTES)
        if len(wrong):
            name = index["utterance_id"][int(wrong[0])].as_py()
            raise StoreError(
                f"{self._storage.url}: the record of {name} is too short for the frames that its index row states; "
                "run `bonafide store verify`"
            )


def _tails(index: pa.Table, n_bins: int) -> npt.NDArray[np.int64]:
    """Bytes of each record that follow its features: int64 [examples]."""
    # Once for all rows whose fields have the same lengths.
    columns = [
        pc.fill_null(index["label"], -1).to_numpy(),
        index["n_frames"].to_numpy(),
        *(pc.binary_length(pc.fill_null(index[name], "")).to_numpy() for name in ("speaker_id", "utterance_id")),
    ]
    kinds, members = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    sizes = [_tail(*kind, n_bins=n_bins) for kind in kinds.tolist()]
    return np.array(sizes, dtype=np.int64)[members.reshape(-1)]  # type: ignore[no-any-return]


def _tail(label: int, n_frames: int, speaker: int, utterance: int, *, n_bins: int) -> int:
    features = np.broadcast_to(np.float16(0), (n_frames, n_bins))  # of that shape, without memory
    return bytes_after_features(Example("x" * utterance, "x" * speaker, None, label, 0, features))
