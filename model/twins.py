"""Copy-synthesis twins of bona fide clips: the same speech through a vocoder or another resynthesis, frame for frame.

A twin differs from its clip by the artefacts of the resynthesis alone: same length, same augmentation. The index states in
`twin_of` the copy number of the clip that a row is a twin of.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import StoreError

Numbers = npt.NDArray[np.int64]


class Twins:
    """The twins of each row of an index.

    Attributes:
        is_twin: bool [rows], whether a row is a twin.
        rows: int64 [twins], the twins of which the index has the clip, those of one clip in a row.
        count: int64 [rows], how many twins a row has.
    """

    def __init__(self, index: pa.Table) -> None:
        """Finds the twins of every row.

        Args:
            index: With the columns `utterance_id`, `copy`, `twin_of` and `n_frames`.

        Raises:
            StoreError: A twin has another length than its clip.
        """
        twin_of = index["twin_of"]
        self.is_twin: npt.NDArray[np.bool_] = pc.is_valid(twin_of).to_numpy()
        copies = index["copy"].to_numpy()
        utterances = index["utterance_id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
        # One number for each utterance and copy.
        base = int(max(copies.max(initial=0), pc.max(twin_of).as_py() or 0)) + 1
        keys = utterances * base + copies
        twins = np.flatnonzero(self.is_twin)
        wanted = utterances[twins] * base + pc.fill_null(twin_of, 0).to_numpy()[twins]
        by_key = np.argsort(keys)
        places = np.searchsorted(keys, wanted, sorter=by_key).clip(max=max(len(keys) - 1, 0))
        owners = by_key[places]
        found = keys[owners] == wanted
        owners, twins = owners[found], twins[found]
        _check_lengths(index, owners, twins)
        self.rows: Numbers = twins[np.argsort(owners, kind="stable")]
        self.count: Numbers = np.bincount(owners, minlength=len(keys))
        self._first = np.cumsum(self.count) - self.count

    def draw(self, rows: Numbers, draw: np.random.Generator) -> Numbers:
        """One twin of each row, drawn evenly: int64 [rows]. Each row has one at least."""
        return self.rows[self._first[rows] + draw.integers(0, self.count[rows])]


def _check_lengths(index: pa.Table, owners: Numbers, twins: Numbers) -> None:
    n_frames = index["n_frames"].to_numpy()
    wrong = np.flatnonzero(n_frames[owners] != n_frames[twins])
    if len(wrong):
        owner, twin = int(owners[wrong[0]]), int(twins[wrong[0]])
        raise StoreError(
            f"{index['utterance_id'][twin].as_py()}: its copy-synthesis twin, copy {index['copy'][twin].as_py()}, has "
            f"{n_frames[twin]:,} frames, the clip {n_frames[owner]:,}; make the store again with `bonafide features`"
        )
