"""Scores of attacks that were left out of train: `scores.parquet` of `bonafide crossval`.

One row per trial and fold: the bona fide clips of dev, and the dev clips of the attacks that the fold's network never saw.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from model.artifacts import CROSSVAL_SCORES_FILE
from model.errors import ModelError
from model.metrics import ScoreTable, require_both_classes, trial_table
from pipeline.files import atomic_path
from pipeline.store import FeatureStore

SCHEMA: Final = pa.schema(
    [
        pa.field("fold", pa.int32(), nullable=False),
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("speaker_id", pa.string()),
        pa.field("attack_id", pa.string()),
        pa.field("label", pa.int8(), nullable=False),
        pa.field("logit", pa.float64(), nullable=False),
    ]
)
_FINGERPRINT: Final = b"store_fingerprint"


@dataclass(frozen=True, eq=False)
class HeldOutTrials:
    """Trials of all folds.

    Attributes:
        rows: Table with the columns of `SCHEMA`; empty without folds.
        store_fingerprint: `config_fingerprint` of the feature store that the folds were trained on.
        source: Where they come from, for messages.
    """

    rows: pa.Table
    store_fingerprint: str
    source: str = "crossval"

    @property
    def folds(self) -> list[int]:
        """Numbers of the folds, from 1."""
        found: list[int] = sorted(set(self.rows["fold"].to_pylist()))
        return found

    def table(self, fold: int) -> ScoreTable:
        """The logits of one fold.

        Raises:
            MetricsError: A class is missing or a logit is not finite.
        """
        rows = [row for row in self.rows.to_pylist() if row["fold"] == fold]

        def column(name: str) -> list[Any]:
            return [row[name] or "-" for row in rows]

        labels, logits = [row["label"] for row in rows], [row["logit"] for row in rows]
        attacks, speakers = column("attack_id"), column("speaker_id")
        source = f"{self.source}, fold {fold}"
        table = trial_table(column("utterance_id"), logits, labels, attacks, speakers, source)
        require_both_classes(table)
        return table

    def require_store(self, store: FeatureStore) -> None:
        """Makes sure that the folds were trained on a store of the same parameters.

        Raises:
            ModelError: They were not.
        """
        if self.store_fingerprint != store.config_fingerprint:
            raise ModelError(
                f"{self.source} comes from another feature store than {store.storage.url} (the config fingerprints "
                "differ); run `bonafide crossval` again"
            )


def write_held_out(trials: HeldOutTrials, folder: Path) -> None:
    """Writes scores.parquet."""
    rows = trials.rows.replace_schema_metadata({_FINGERPRINT: trials.store_fingerprint.encode()})
    # Arrow opens no path whose name is not UTF-8.
    with atomic_path(folder / CROSSVAL_SCORES_FILE) as path, path.open("wb") as file:
        pq.write_table(rows, file)


def read_held_out(folder: Path) -> HeldOutTrials:
    """Reads scores.parquet.

    Raises:
        ModelError: It is missing or damaged.
    """
    path = folder / CROSSVAL_SCORES_FILE
    try:
        with path.open("rb") as file:
            rows = pq.read_table(file)
        fingerprint = rows.schema.metadata[_FINGERPRINT].decode()
        return HeldOutTrials(rows.replace_schema_metadata(None).cast(SCHEMA), fingerprint, str(path))
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; make it with `bonafide crossval`") from None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise ModelError(f"{path} cannot be read: {error}; make it again with `bonafide crossval`") from error
