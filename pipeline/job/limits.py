"""Conditions that end a run with an error: the disk cannot hold the store, or too many utterances are rejected."""

import shutil

import pyarrow as pa

from pipeline.errors import StoreError
from pipeline.storage import LocalStorage, Storage


def require_space(storage: Storage, n_bytes: int) -> None:
    """Checks that a local disk has room for what a run is going to write.

    Args:
        storage: Of the store; an object store has no limit.
        n_bytes: Expected size in bytes.

    Raises:
        StoreError: The disk has less free space.
    """
    if not isinstance(storage, LocalStorage):
        return
    folder = storage.root.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise StoreError(
            f"{storage.url} needs about {n_bytes / 2**30:.1f} GiB, the disk has {free / 2**30:.1f} GiB free; "
            "make room or name another folder with --output"
        )


def require_few_rejects(rejects: pa.Table, utterances: int, limit: float) -> None:
    """Checks that the share of rejected utterances is at most `limit`.

    Args:
        rejects: Table with the columns of `REJECTS_SCHEMA`.
        utterances: Of the manifest.
        limit: `features.max_reject_fraction`, in [0, 1].

    Raises:
        StoreError: There are more; lists the reasons per class.
    """
    if rejects.num_rows <= limit * utterances:
        return
    listed = "\n".join(
        f"  {count:6d}  {reason} ({label})" for (reason, label), count in sorted(count_rejects(rejects).items())
    )
    first = rejects.slice(0, 1).to_pylist()[0]
    raise StoreError(
        f"{rejects.num_rows} of {utterances} utterances were rejected, more than features.max_reject_fraction {limit} allows\n"
        f"{listed}\n  the first: {first['utterance_id']}, {first['path']}: {first['reason']}, {first['detail']}\n"
        "repair the files, or raise the limit if these files are meant to be left out; finished shards are kept"
    )


def count_rejects(rejects: pa.Table) -> dict[tuple[str, str], int]:
    """Counts rejects by (reason, class), class being "bona fide", "spoof" or "unlabelled"."""
    names = {1: "bona fide", 0: "spoof", None: "unlabelled"}
    counts: dict[tuple[str, str], int] = {}
    for reason, label in zip(rejects["reason"].to_pylist(), rejects["label"].to_pylist(), strict=True):
        counts[reason, names[label]] = counts.get((reason, names[label]), 0) + 1
    return counts
