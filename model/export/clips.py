"""Labelled clips of a corpus, on which the exported models are compared with the network."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.errors import ModelError
from pipeline.audio import Waveform
from pipeline.corpus.audio_files import AudioFiles, open_audio_files
from pipeline.corpus.places import CorpusPath
from pipeline.corpus.schema import BONA_FIDE, SPOOF
from pipeline.errors import AudioError
from pipeline.frontends import FeatureParams


@dataclass(frozen=True)
class Clips:
    """Clips of both classes.

    Attributes:
        split: "eval", or "dev" where eval has no labels.
        rows: `utterance_id`, `label`, `path` and `sha256` of each, by class.
        root: Folder that the paths are relative to.
    """

    split: str
    rows: list[dict[str, Any]]
    root: CorpusPath

    def labels(self) -> np.ndarray:
        """int64 [n]: 1 bona fide, 0 spoof."""
        return np.array([row["label"] for row in self.rows])

    def waveforms(self, params: FeatureParams) -> Iterator[Waveform]:
        """The clips one after another, as the features stage decodes them.

        Raises:
            ModelError: A clip is not there any more, or is another file than the one that the manifest describes.
        """
        files = open_audio_files(self.root)
        for row in self.rows:
            try:
                yield _read(files, row, params)
            except AudioError as error:
                raise ModelError(f"{row['utterance_id']}, {self.root / row['path']}: {error}") from None


def choose_clips(manifest: pa.Table, root: CorpusPath, params: FeatureParams, count: int) -> Clips | None:
    """Clips of eval, or of dev where eval has no labels: of each class, evenly spread over the sorted ids.

    Args:
        manifest: Table with the columns of `MANIFEST_SCHEMA`.
        root: Folder that its paths are relative to.
        params: What the features stage accepts; a clip that it would reject is left out.
        count: At most this many, half of each class.

    Returns:
        The clips, or None where neither split has clips of both classes that can be read.
    """
    files = open_audio_files(root)
    usable = manifest.filter(pc.is_null(manifest["problem"])).select(
        ["split", "utterance_id", "label", "path", "sha256"]
    )
    for split in ("eval", "dev"):
        of_split = usable.filter(pc.equal(usable["split"], split)).sort_by("utterance_id")
        rows = []
        for label in (BONA_FIDE, SPOOF):
            of_class = of_split.filter(pc.equal(of_split["label"], label))
            wanted = min(count // 2, of_class.num_rows)
            spread = of_class.take(np.arange(wanted) * of_class.num_rows // max(wanted, 1)).to_pylist()
            rows.append([row for row in spread if _is_readable(files, row, params)])
        if all(rows):
            return Clips(split, [row for of_class in rows for row in of_class], root)
    return None


def _is_readable(files: AudioFiles, row: dict[str, Any], params: FeatureParams) -> bool:
    try:
        _read(files, row, params)
    except AudioError:
        return False
    return True


def _read(files: AudioFiles, row: dict[str, Any], params: FeatureParams) -> Waveform:
    return files.decode(row["path"], params, row["sha256"]).waveform
