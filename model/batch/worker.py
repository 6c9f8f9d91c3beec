"""What runs on a worker: Beam's `RunInference` over shards, with the ONNX model, then the file of each shard.

An element is the name of a shard and the place of its utterances in the worklist. Its audio is read and scored clip by clip in
the model handler, so no audio crosses the runner and one clip is in memory at a time.
"""

import hashlib
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler

from model.batch.score_shards import Origin, is_scored, write_scores
from pipeline.audio.decode import decode_bytes
from pipeline.audio.limits import most_bytes
from pipeline.corpus.audio_files import AudioFiles, open_audio_files
from pipeline.errors import AudioError, RunnerError
from pipeline.job.worklist import ShardTask, Worklist, work_folder
from pipeline.section import ClipParams
from pipeline.storage import open_storage
from pipeline.store.sharding import Source

MODEL_NAME: Final = "model.onnx"
"""In the work folder beside the output, where every worker reads it."""
_VERDICTS: Final = {1: "bona fide", 0: "spoof", -1: "uncertain"}


@dataclass(frozen=True)
class BatchJob:
    """What the workers of a run need.

    Attributes:
        root: Absolute folder of the audio, or its address.
        output: Absolute folder of the scores, or its address.
        model: SHA-256 of the ONNX model.
        clips: Which clips the model takes.
        runtime: Version of onnxruntime, which every worker must have.
    """

    root: str
    output: str
    model: str
    clips: ClipParams
    runtime: str


@dataclass(frozen=True)
class ScoredShard:
    """The answer of the model for a shard.

    Attributes:
        name: Of the shard.
        origin: What the rows are of.
        rows: Of `SCORES_SCHEMA`; None where the shard's file was there already.
    """

    name: str
    origin: Origin
    rows: list[dict[str, Any]] | None


class ShardScorer(ModelHandler[ShardTask, ScoredShard, Any]):  # type: ignore[misc]
    """Scores the utterances of shards with an onnxruntime session, one clip at a time.

    Args:
        job: The run.
    """

    def __init__(self, job: BatchJob) -> None:
        # A shard is a batch already.
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._job = job

    def load_model(self) -> Any:
        """The session; raises `RunnerError` for another model or runtime than the command's."""
        require_runtime(self._job.runtime)
        import onnxruntime

        data = work_folder(self._job.output).read(MODEL_NAME)
        if hashlib.sha256(data).hexdigest() != self._job.model:
            raise RunnerError(f"{self._job.output}: another run is writing there; this one has to end")
        options = onnxruntime.SessionOptions()
        # A worker process for each core is the runner's business.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run_inference(
        self, batch: Sequence[ShardTask], model: Any, inference_args: Mapping[str, Any] | None = None
    ) -> Iterable[ScoredShard]:
        """The scores of each shard of a batch."""
        del inference_args
        files, worklist, storage = (
            open_audio_files(self._job.root),
            Worklist(self._job.output),
            open_storage(self._job.output),
        )
        for task in batch:
            shard = worklist.read(task)
            origin = Origin.of(self._job.model, shard)
            # After a worker is lost, its task runs again; committed shards are skipped.
            scored = is_scored(storage, shard.name, origin)
            rows = None if scored else list(self._rows(files, task.split, shard.sources, model))
            yield ScoredShard(shard.name, origin, rows)

    def get_num_bytes(self, batch: Sequence[ShardTask]) -> int:
        """Of the audio, which is not known before it is read: of the tasks."""
        return sum(task.length for task in batch)

    def get_metrics_namespace(self) -> str:
        """Of Beam's own metrics of inference."""
        return "bonafide_batch"

    def _rows(self, files: AudioFiles, split: str, sources: Iterable[Source], session: Any) -> Iterator[dict[str, Any]]:
        present = (source.path for source in sources if source.problem is None)
        contents = files.read_each(present, most_bytes(self._job.clips.max_duration_s))
        for source in sources:
            row: dict[str, Any] = {
                "utterance_id": source.utterance_id,
                "split": split,
                "speaker_id": source.speaker_id,
                "attack_id": source.attack_id,
                "label": source.label,
                "path": source.path,
                "problem": source.problem,
            }
            if source.problem is None:
                try:
                    row |= self._score(next(contents), source.sha256, session)
                except AudioError as error:
                    row["problem"] = str(error)
            yield row

    def _score(self, data: bytes | AudioError, sha256: str | None, session: Any) -> dict[str, Any]:
        if isinstance(data, AudioError):
            raise data
        clip = decode_bytes(data, self._job.clips, sha256)
        names = ("score", "probability", "verdict")
        score, probability, verdict = session.run(names, {"waveform": clip.waveform[np.newaxis]})
        return {
            "score": float(score[0]),
            "probability": float(probability[0]),
            "verdict": _VERDICTS[int(verdict[0])],
            "duration_s": clip.source_duration_s,
        }


class WriteScores(beam.DoFn):  # type: ignore[misc]
    """Processes a `ScoredShard`: writes its file. Emits the shard's name."""

    def __init__(self, output: str) -> None:
        self._output = output

    def setup(self) -> None:
        self._storage = open_storage(self._output)

    def process(self, scored: ScoredShard) -> Iterator[str]:
        if scored.rows is not None:
            write_scores(self._storage, scored.name, scored.origin, scored.rows)
        yield scored.name


def installed_runtime() -> str:
    """Version of onnxruntime; raises `ModuleNotFoundError` where there is none."""
    try:
        return version("onnxruntime")
    except PackageNotFoundError:
        raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime") from None


def require_runtime(expected: str) -> None:
    """Refuses a worker whose onnxruntime is another one than the command's: its scores would differ in the last digits."""
    found = installed_runtime()
    if found != expected:
        raise RunnerError(
            f"the worker on {socket.gethostname()} has other versions than this command: onnxruntime {found} instead of "
            f"{expected}"
        )
