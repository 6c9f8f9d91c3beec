"""What store.json states about the shards and their content, for the checks to compare with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.store.info import copies_and_twins, stored_features
from pipeline.store.schema import STORE_FILE


@dataclass(frozen=True)
class Stated:
    """Statements of store.json; all are absent where it cannot be used.

    Attributes:
        files: Size and SHA-256 of every file of the store, by name.
        n_bins: Bins per frame; None if unknown.
        train_copies: Augmented copies of each train clip; None if unknown.
        train_twins: Twins of each copy of a bona fide train clip; None if unknown.
        config_fingerprint: Of the configuration that made the store; None if unknown.
    """

    files: Mapping[str, Any] = field(default_factory=dict)
    n_bins: int | None = None
    train_copies: int | None = None
    train_twins: int | None = None
    config_fingerprint: str | None = None

    @classmethod
    def by(cls, info: Mapping[str, Any] | None) -> "Stated":
        """The statements of a store.json with this content; None for one that cannot be used."""
        if info is None:
            return cls()
        train_copies, train_twins = copies_and_twins(info)
        return cls(
            files=info["files"],
            n_bins=stored_features(info, STORE_FILE).n_bins,
            train_copies=train_copies,
            train_twins=train_twins,
            config_fingerprint=info["config_fingerprint"],
        )

    def copies(self, split: str) -> int | None:
        """Augmented copies of each clip of a split; None if unknown."""
        return self.train_copies if split == "train" or self.train_copies is None else 0
