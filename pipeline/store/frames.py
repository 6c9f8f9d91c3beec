"""Runs of frames out of single examples, without the rest of their records.

A record holds its frames as raw float16 in one piece. The index states where a record is and how long, so the place of each
frame follows. The checksum of a record covers all of its bytes: a record is read whole and checked once, the first time that
frames of it are asked for, and only these frames are read from then on.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.store.damage import damaged
from pipeline.store.reader import FeatureStore, index_of_records
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
            StoreError: A record is too short for the frames that its index row states.
        """
        index = store.index
        self.n_bins = store.features.n_bins
        self.n_frames: npt.NDArray[np.int64] = index["n_frames"].to_numpy()
        self._store = store
        self._rows = index_of_records(index)
        self._is_checked = np.zeros(len(store), dtype=bool)
        shards = index["shard"].combine_chunks().dictionary_encode()
        self._paths = [records_path(shard) for shard in shards.dictionary.to_pylist()]
        self._shard = shards.indices.to_numpy()
        self._frame_bytes = self.n_bins * _BYTES_PER_VALUE
        begin = index["offset"].to_numpy()
        end = begin + index["length"].to_numpy() - _tails(index, self.n_bins)
        self._start = end - self.n_frames * self._frame_bytes
        for wrong in np.flatnonzero(self._start < begin + HEADER_BYTES):
            name = index["utterance_id"][int(wrong)].as_py()
            raise damaged(
                store.storage,
                index["shard"][int(wrong)].as_py(),
                f"the record of {name} is too short for the frames that its index row states",
            )

    def read(self, example: int, first: int, out: npt.NDArray[np.float16]) -> None:
        """Reads consecutive frames of an example; checks its record first, unless that was done before.

        Args:
            example: Its row number in the index.
            first: Number of the first frame, from 0.
            out: Filled with the frames, in dB: float16 [frames, n_bins], contiguous. All of the frames exist.

        Raises:
            StoreError: The file cannot be read or was cut, or the record is damaged or another example's.
        """
        if not self._is_checked[example]:
            self._read_checked(example, first, out)
            self._is_checked[example] = True  # two threads may both come here, which costs time alone
            return
        offset = int(self._start[example]) + first * self._frame_bytes
        self._store.records.read_into(self._paths[self._shard[example]], offset, out.reshape(-1).view(np.uint8).data)

    def _read_checked(self, example: int, first: int, out: npt.NDArray[np.float16]) -> None:
        row = self._rows.slice(example, 1).to_pylist()[0]
        record = self._store.records.read_range(self._paths[self._shard[example]], row["offset"], row["length"])
        features = self._store.checked(record, row).features
        start = int(self._start[example]) - row["offset"]
        # Later reads trust this place.
        if record[start : start + features.nbytes] != features.tobytes():
            raise damaged(
                self._store.storage,
                row["shard"],
                f"the record of {row['utterance_id']} has its fields in another order",
            )
        out[:] = features[first : first + len(out)]


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
