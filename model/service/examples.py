"""Recordings of both classes that the demo offers, from a labelled corpus."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.corpus.audio_files import audio_root
from pipeline.corpus.manifest import build_manifest
from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_name
from pipeline.errors import BonafideError

_PER_CLASS: Final = 3
_READ: Final = 64
"""Utterances per split whose headers are read."""


@dataclass(frozen=True)
class Example:
    """A recording whose class is known.

    Attributes:
        path: Of the file.
        title: What it is.
    """

    path: Path
    title: str


def find_examples(corpus: Path) -> list[Example]:
    """Some recordings of eval, three of each class and as many attacks as there are; none without a corpus.

    Args:
        corpus: A folder or a table as `data.root`.
    """
    try:
        rows = build_manifest(corpus, limit=_READ).to_pylist()
    except BonafideError:
        return []
    found = []
    for label in (BONA_FIDE, SPOOF):
        usable = [row for row in rows if (row["split"], row["label"], row["problem"]) == ("eval", label, None)]
        firsts = {row["speaker_id"] if label == BONA_FIDE else row["attack_id"]: row for row in reversed(usable)}
        chosen = sorted(firsts.values(), key=lambda row: row["utterance_id"])[:_PER_CLASS]
        found += [Example(audio_root(corpus).resolve() / row["path"], _title(row)) for row in chosen]
    return found


def _title(row: dict[str, Any]) -> str:
    attack = f" ({row['attack_id']})" if row["attack_id"] else ""
    return f"{label_name(row['label'])}{attack}: {row['utterance_id']}"
