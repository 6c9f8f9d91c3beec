"""Further test sets: a split of another corpus, scored from its audio through the front end of the model.

Nothing is fitted on them: threshold, calibration and abstain band stay those of the model. A clip that cannot be scored is a
reject with a reason, and the others are still scored.
"""

import csv
import io
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from model.artifacts import corpus_manifest, rejects_file
from model.bundle import Bundle
from model.errors import ModelError
from model.params import FurtherCorpusParams
from model.scoring.clip_scores import ClipScores
from model.scoring.scorer import ClipScorer, Trials
from pipeline.corpus.audio_files import AudioFiles, audio_root, open_audio_files
from pipeline.corpus.manifest import read_manifest
from pipeline.corpus.places import CorpusPath, corpus_path
from pipeline.errors import AudioError
from pipeline.files import atomic_write
from pipeline.frontends import FrontEnd, make_front_end
from pipeline.text import csv_cell

_THREADS: Final = 4
# Few, since the features of a long clip are large.
_CLIPS_AT_ONCE: Final = 16


@dataclass(frozen=True)
class FurtherCorpus:
    """A further test set.

    Attributes:
        name: Of its files and of its row on the page.
        clips: The rows of its split, with the columns of `MANIFEST_SCHEMA`.
        root: Folder that the paths of its clips are relative to.
        same_attack_ids: Whether its attack ids mean the attacks that the model's corpus means by them.
    """

    name: str
    clips: pa.Table
    root: CorpusPath
    same_attack_ids: bool = False


@dataclass(frozen=True)
class Reject:
    """A clip without a score.

    Attributes:
        utterance_id: Its id.
        path: Of its file, relative to the corpus.
        reason: One of `pipeline.corpus.schema.REJECT_REASONS`.
        detail: What is wrong with it.
    """

    utterance_id: str
    path: str
    reason: str
    detail: str


@dataclass(frozen=True)
class ScoredCorpus:
    """The clips of a further test set.

    Attributes:
        trials: Those that have a score, in the order of the manifest.
        logits: Of these clips.
        rejects: The others.
    """

    trials: Trials
    logits: ClipScores
    rejects: list[Reject]

    @property
    def reasons(self) -> dict[str, int]:
        """Number of rejects by reason."""
        return dict(sorted(Counter(reject.reason for reject in self.rejects).items()))


def read_corpora(corpora: Mapping[str, FurtherCorpusParams], folder: Path) -> list[FurtherCorpus]:
    """The further test sets that the parameters name.

    Args:
        corpora: By name.
        folder: Of their manifests.

    Raises:
        ModelError: A manifest or a corpus is missing, or the split has no clip; the message says what to run.
        ProtocolError: A manifest is damaged.
    """
    return [_read_corpus(name, params, folder / corpus_manifest(name)) for name, params in corpora.items()]


def _read_corpus(name: str, params: FurtherCorpusParams, manifest: Path) -> FurtherCorpus:
    key, root = f"evaluate.corpora.{name}", corpus_path(params.root)
    if not root.exists():
        raise ModelError(f"{key}: {root}: no such folder or table")
    if not manifest.is_file():
        raise ModelError(
            f"{key}: {manifest}: no such file; `dvc repro` makes it, or "
            f"`bonafide manifest --root {root} --layout {params.layout} --output {manifest}`"
        )
    rows = read_manifest(manifest)
    clips = rows.filter(pc.equal(rows["split"], params.split))
    if not clips.num_rows:
        found = ", ".join(sorted(set(rows["split"].to_pylist())))
        raise ModelError(f"{key}: {root} has no clip in the split {params.split}, only in {found}")
    return FurtherCorpus(name, clips, audio_root(root), params.same_attack_ids)


def score_corpus(
    bundle: Bundle,
    scorer: ClipScorer,
    corpus: FurtherCorpus,
    batch_size: int,
    scored: Callable[[int], None] = lambda count: None,
) -> ScoredCorpus:
    """Decodes and scores the clips, a few at a time.

    Args:
        bundle: For the front end.
        scorer: Of the bundle's network.
        corpus: The clips.
        batch_size: Windows at once.
        scored: Told how many more clips are done, rejects among them.
    """
    clips = _Clips(bundle, corpus, scored)
    logits = np.fromiter(scorer.each_logit(clips.features(), batch_size), np.float64)
    rows = corpus.clips.take(pa.array(clips.places, pa.uint32()))
    column = pa.array(np.frombuffer(clips.durations_s, np.float64))
    rows = rows.set_column(rows.schema.get_field_index("duration_s"), "duration_s", column)
    names = (name.as_py() for name in rows["utterance_id"])
    return ScoredCorpus(Trials.of_table(rows), ClipScores(zip(names, logits.tolist(), strict=True)), clips.rejects)


@dataclass
class _Clips:
    """The features of a corpus's clips in order, and what became of each.

    Attributes:
        bundle: For the front end.
        corpus: The clips.
        scored: As in `score_corpus`.
        places: Rows of the clips that have features.
        durations_s: Their durations, float64.
        rejects: The other clips.
    """

    bundle: Bundle
    corpus: FurtherCorpus
    scored: Callable[[int], None]
    places: "array[int]" = field(default_factory=lambda: array("I"))
    durations_s: "array[float]" = field(default_factory=lambda: array("d"))
    rejects: list[Reject] = field(default_factory=list)

    def features(self) -> Iterator[npt.NDArray[np.float16]]:
        """The features of the clips that have some, float16 [frames, bins]; the other clips become rejects on the way."""
        waiting = enumerate(_rows(self.corpus.clips))
        with ThreadPoolExecutor(_THREADS) as pool:
            while batch := list(islice(waiting, _CLIPS_AT_ONCE)):
                found = deque(pool.map(self._extract, (row for _, row in batch)))
                for place, row in batch:
                    extracted = found.popleft()
                    if isinstance(extracted, AudioError):
                        reject = Reject(row["utterance_id"], row["path"], extracted.reason, extracted.detail)
                        self.rejects.append(reject)
                        continue
                    duration_s, features = extracted
                    self.places.append(place)
                    self.durations_s.append(duration_s)
                    yield features
                self.scored(len(batch))

    @cached_property
    def _files(self) -> AudioFiles:
        return open_audio_files(self.corpus.root)

    @cached_property
    def _front_end(self) -> FrontEnd:
        return make_front_end(self.bundle.features)

    def _extract(self, row: Mapping[str, Any]) -> tuple[float, npt.NDArray[np.float16]] | AudioError:
        """Duration in seconds and features of a clip, or why it has none."""
        params = self.bundle.features
        try:
            if row["problem"] is not None:
                reason, _, detail = row["problem"].partition(": ")
                raise AudioError(reason, detail)
            waveform = self._files.decode(row["path"], params, row["sha256"]).waveform
        except AudioError as error:
            return error
        # float16, as in the feature store.
        return len(waveform) / params.sample_rate, self._front_end(waveform).astype(np.float16)


def _rows(clips: pa.Table) -> Iterator[Mapping[str, Any]]:
    columns = clips.select(["utterance_id", "path", "sha256", "problem"])
    for batch in columns.to_batches(max_chunksize=_CLIPS_AT_ONCE):
        yield from batch.to_pylist()


def write_rejects(folder: Path, name: str, rejects: Iterable[Reject]) -> None:
    """Writes the clips without a score with their reasons, if there are any."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["utterance_id", "path", "reason", "detail"])
    rows = [[reject.utterance_id, reject.path, reject.reason, reject.detail] for reject in rejects]
    writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    if rows:
        atomic_write(folder / rejects_file(name), text.getvalue())
