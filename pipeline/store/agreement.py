"""Records compared with their rows of the index: a record with right checksums can still be that of another example."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from pipeline.errors import StoreError
from pipeline.store.records import Example, decode_example, unframe

COMPARED: Final = ("utterance_id", "speaker_id", "attack_id", "label", "copy", "n_frames")
"""The columns of the index that a record repeats."""

_EXPONENT: Final = 0x7C00


def disagreements(example: Example, row: Mapping[str, Any], n_bins: int | None) -> Iterator[str]:
    """What differs between a record and its row.

    Args:
        example: The content of the record.
        row: Its row of the index, with the columns `COMPARED`.
        n_bins: Bins of the store's front end; None if unknown.
    """
    for name in ("utterance_id", "speaker_id", "attack_id", "label", "copy"):
        if getattr(example, name) != row[name]:
            yield f"{name} is {getattr(example, name)!r}, the index says {row[name]!r}"
    n_frames, found_bins = example.features.shape
    if n_frames != row["n_frames"]:
        yield f"it has {n_frames} frames, the index says {row['n_frames']}"
    if n_bins not in (None, found_bins):
        yield f"it has {found_bins} bins, the store's front end {n_bins}"
    # Seven times as fast as np.isfinite on float16.
    not_finite = (example.features.view(np.uint16) & _EXPONENT) == _EXPONENT
    if not_finite.any():
        yield f"{np.count_nonzero(not_finite)} values are not finite"


def checked_example(record: bytes, row: Mapping[str, Any], n_bins: int) -> Example:
    """The example of a TFRecord frame, once its checksums are right and it agrees with its row.

    Args:
        record: The whole frame.
        row: Its row of the index, with the columns `COMPARED`.
        n_bins: Bins of the store's front end.

    Raises:
        StoreError: The record is damaged, or another example's.
    """
    example = decode_example(unframe(record))
    for problem in disagreements(example, row, n_bins):
        raise StoreError(problem)
    return example
