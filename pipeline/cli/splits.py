"""The table of a store's splits, which `bonafide features` and `bonafide store show` print."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from pipeline.cli.console import size, table


def splits_table(title: str, splits: Mapping[str, Mapping[str, Any]]) -> Table:
    """What each split holds, from the counts of store.json. Unlabelled clips have a column if there are any."""
    from pipeline.corpus.schema import SPLITS

    has_unlabelled = any(counts["unlabelled"] for counts in splits.values())
    names = ("shards", "bona_fide", "spoof", *["unlabelled"] * has_unlabelled, "examples", "rejects")
    rows = [
        (
            split,
            *(f"{counts[name]:,}" for name in names),
            f"{counts['duration_s'] / 3600:.2f}",
            size(counts["record_bytes"]),
        )
        for split, counts in ((split, splits[split]) for split in SPLITS)
    ]
    return table(title, ("split", *(name.replace("_", " ") for name in names), "hours", "size"), rows)
