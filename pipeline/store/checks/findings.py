"""Findings: what a check found wrong, and where."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MOST_FINDINGS_PER_FILE: Final = 20
"""Findings listed per file; the others of the file are only counted."""


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        shard: Name of the shard; empty for the store as a whole.
        file: Path relative to the store.
        text: What is wrong.
    """

    shard: str
    file: str
    text: str


class Findings:
    """Collects the findings of one shard, or of the store as a whole if `shard` is empty."""

    def __init__(self, shard: str = "") -> None:
        self._shard = shard
        self._texts: dict[str, list[str]] = {}

    def add(self, file: str, text: str) -> None:
        """Adds what is wrong with a file, named relative to the store."""
        self._texts.setdefault(file, []).append(text)

    def __iter__(self) -> Iterator[Finding]:
        for file, texts in self._texts.items():
            for text in texts[:MOST_FINDINGS_PER_FILE]:
                yield Finding(self._shard, file, text)
            if len(texts) > MOST_FINDINGS_PER_FILE:
                yield Finding(self._shard, file, f"and {len(texts) - MOST_FINDINGS_PER_FILE} more findings")
