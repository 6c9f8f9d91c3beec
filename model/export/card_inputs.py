"""What the model card tells of other stages: the corpus, from the manifest and its folder, and the evaluation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from model.artifacts import DETAILS_FILE, EVALUATED_SPLITS, ROBUSTNESS_FILE
from model.errors import ModelError
from pipeline.corpus.places import CorpusPath
from pipeline.corpus.schema import BONA_FIDE, SPLITS, SPOOF

_LICENCE_FILES: Final = ("SOURCES*", "LICEN[CS]E*", "README*")


@dataclass(frozen=True)
class SplitCounts:
    """What a split of the corpus holds.

    Attributes:
        bona_fide: Clips.
        spoof: Clips.
        unlabelled: Clips.
        hours: Of all its clips.
        speakers: Number of speaker ids.
        attacks: The attack ids, sorted.
    """

    bona_fide: int
    spoof: int
    unlabelled: int
    hours: float
    speakers: int
    attacks: list[str]


@dataclass(frozen=True)
class CorpusFacts:
    """The corpus of the training.

    Attributes:
        name: Of its folder or table.
        splits: Counts by name.
        licence_files: Files of the corpus that tell its licences, relative to it.
        licences: The names of the texts in its folder LICENSES.
    """

    name: str
    splits: dict[str, SplitCounts]
    licence_files: list[str]
    licences: list[str]


def corpus_facts(manifest: pa.Table, corpus: CorpusPath) -> CorpusFacts:
    """What manifest and folder of a corpus tell.

    Args:
        manifest: Table with the columns of `MANIFEST_SCHEMA`.
        corpus: Folder or table of the corpus.
    """
    usable = manifest.filter(pc.is_null(manifest["problem"]))
    splits = {}
    for split in SPLITS:
        rows = usable.filter(pc.equal(usable["split"], split))
        if rows.num_rows:
            splits[split] = SplitCounts(
                bona_fide=pc.sum(pc.equal(rows["label"], BONA_FIDE)).as_py() or 0,
                spoof=pc.sum(pc.equal(rows["label"], SPOOF)).as_py() or 0,
                unlabelled=rows["label"].null_count,
                hours=(pc.sum(rows["duration_s"]).as_py() or 0.0) / 3600.0,
                speakers=len(pc.unique(rows["speaker_id"].drop_null())),
                attacks=sorted(pc.unique(rows["attack_id"].drop_null()).to_pylist()),
            )
    root = corpus.parent if corpus.is_file() else corpus
    files = sorted({path for pattern in _LICENCE_FILES for path in root.glob(pattern) if path.is_file()})
    licences = sorted(path.stem for path in (root / "LICENSES").glob("*") if path.is_file())
    return CorpusFacts(corpus.as_posix(), splits, [path.name for path in files], licences)


@dataclass(frozen=True)
class EvaluationFacts:
    """The metrics of an evaluation.

    Attributes:
        splits: Metrics of dev and eval, those with labels, and of further test corpora, by name.
        robustness: Rows of the robustness table: `title`, `eer`, `changed`, `certain_wrong`.
    """

    splits: dict[str, Mapping[str, Any]]
    robustness: list[Mapping[str, Any]]

    @property
    def main(self) -> str | None:
        """The split of the headline: eval if it has labels, else dev."""
        return next((split for split in reversed(EVALUATED_SPLITS) if split in self.splits), None)


def evaluation_facts(folder: Path) -> EvaluationFacts:
    """Reads what an evaluation wrote.

    Raises:
        ModelError: There is none, or it is damaged.
    """
    details = _read(folder / DETAILS_FILE)
    robustness = _read(folder / ROBUSTNESS_FILE)["conditions"] if (folder / ROBUSTNESS_FILE).exists() else []
    others = {name: metrics for name, metrics in details.get("corpora", {}).items() if "eer" in metrics}
    own = {name: metrics for name, metrics in details.items() if isinstance(metrics, dict) and "eer" in metrics}
    return EvaluationFacts({**own, **others}, robustness)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; run `bonafide evaluate` again") from error
