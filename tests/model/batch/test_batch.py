"""A manifest becomes score files shard by shard; a stopped run goes on, and scores of two models or manifests never mix."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import yaml

import model.batch.worker
import tests.support.tone_store as tones
from model.artifacts import EXPORT_FILE, ONNX_FILE
from model.batch.exported import read_exported
from model.batch.run import BatchPlan, BatchResult, run_batch
from model.batch.worker import require_runtime
from model.bundle import Bundle
from model.errors import ModelError
from model.metrics import read_scores
from pipeline.corpus.manifest import build_manifest, write_manifest
from pipeline.errors import CorpusError, RunnerError, StoreError
from pipeline.storage import open_storage
from tests.support.batch_scores import IN_THIS_PROCESS, rows_of
from tests.support.buckets import upload
from tests.support.synthetic_corpus import write_corpus
from tests.support.toy_export import toy_score, write_export, write_toy_export

CLIPS_PER_SHARD = 4
BROKEN = "LA_E_0000004"
Run = Callable[..., BatchResult]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_corpus(tmp_path_factory.mktemp("batch") / "la", duration_s=0.3)
    (root / "ASVspoof2019_LA_eval" / "flac" / f"{BROKEN}.flac").write_bytes(b"no audio")
    return root


@pytest.fixture(scope="module")
def manifest(corpus: Path) -> pa.Table:
    return build_manifest(corpus)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_export(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def score(tmp_path: Path, manifest: pa.Table, corpus: Path, toy: Path) -> Run:
    """Scores the corpus with the toy, or with something else in the place of one of the arguments."""

    def run(**changes: Any) -> BatchResult:
        given = {"manifest": manifest, "root": corpus, "model": read_exported(toy), "output": str(tmp_path / "scores")}
        return run_batch(**given | {"flags": IN_THIS_PROCESS, "clips_per_shard": CLIPS_PER_SHARD} | changes)

    return run


def times_of(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()}


@pytest.mark.slow
def test_the_scores_are_those_of_the_detector(tmp_path: Path, bundle: Bundle) -> None:
    from model.detector import Detector
    from model.export import onnx, serving
    from model.metrics import abstain_band

    band = abstain_band(bundle.development.bonafide, bundle.development.spoof, 0.05)
    onnx.write_onnx(serving.Detector(bundle, band, 0.5, "matrix"), tmp_path / "model.onnx", {})
    write_export(tmp_path / "export", (tmp_path / "model.onnx").read_bytes(), bundle.features)
    rows = ["path,split,label"]
    for number in range(12):
        name, bona_fide = f"tone_{number}", number % 3 == 0
        soundfile.write(tmp_path / f"{name}.wav", tones.tone(name, bona_fide), 16000, "PCM_16")
        rows.append(f"{name}.wav,eval,{'bonafide' if bona_fide else 'spoof'}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    manifest = build_manifest(tmp_path / "table.csv")

    exported = read_exported(tmp_path / "export")
    run_batch(manifest, tmp_path, exported, str(tmp_path / "scores"), IN_THIS_PROCESS, clips_per_shard=5)

    found = rows_of(tmp_path / "scores")
    detector = Detector(bundle, checks=False)
    expected = {name: detector.score(tmp_path / row["path"]) for name, row in found.items()}
    assert len(expected) == 12
    for name, row in found.items():
        assert row["score"] == pytest.approx(expected[name].score, abs=1e-5)
        assert row["probability"] == pytest.approx(expected[name].probability, abs=1e-5)
        assert row["verdict"] == expected[name].verdict
        assert row["duration_s"] == pytest.approx(expected[name].duration_s)


def test_every_utterance_has_a_score_or_a_problem(tmp_path: Path, score: Run, manifest: pa.Table, corpus: Path) -> None:
    from pipeline.audio.decode import decode
    from tests.support.front_ends import LOG_MEL

    result = score()

    found = rows_of(tmp_path / "scores")
    assert found.keys() == set(manifest["utterance_id"].to_pylist())
    assert (result.n_clips, dict(result.problems)) == (manifest.num_rows, {"unsupported_format": 1})
    broken = found.pop(BROKEN)
    assert broken["problem"].startswith("unsupported_format: ")
    assert (broken["score"], broken["verdict"]) == (None, None)
    for row in found.values():
        assert row["score"] == pytest.approx(toy_score(decode(corpus / row["path"], LOG_MEL).waveform), abs=1e-5)
        assert row["problem"] is None


def test_score_files_in_the_form_of_asvspoof_have_the_labels(tmp_path: Path, score: Run) -> None:
    result = score()

    assert result.files == [str(tmp_path / "scores" / f"{split}.txt") for split in ("train", "dev", "eval")]
    scores, rows = read_scores(tmp_path / "scores" / "eval.txt"), rows_of(tmp_path / "scores")
    assert scores.labels is not None
    assert len(scores.scores) == 8, "nine clips, of which one cannot be read"
    for name, value, label in zip(scores.utterance_ids, scores.scores, scores.labels, strict=True):
        assert (rows[name]["score"], rows[name]["label"]) == (value, label)


def test_a_failed_run_goes_on_and_keeps_finished_shards(
    tmp_path: Path, score: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, count = model.batch.worker.write_scores, 0

    def failing(*arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == 4:
            raise StoreError("the disk is full")
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(model.batch.worker, "write_scores", failing)
        with pytest.raises(StoreError, match="the disk is full"):
            score()
    finished = times_of(tmp_path / "scores")
    assert len(finished) == 3
    assert not list((tmp_path / "scores").glob("*.txt")), "there is no score file before all shards are there"

    plans: list[BatchPlan] = []
    result = score(on_plan=plans.append)

    assert (result.kept, result.scored) == (3, len(plans[0].shards) - 3)
    assert {name: times_of(tmp_path / "scores")[name] for name in finished} == finished
    assert len(rows_of(tmp_path / "scores")) == 27


def test_a_run_without_work_changes_no_shard(tmp_path: Path, score: Run) -> None:
    score()
    before = times_of(tmp_path / "scores")
    result = score()
    assert (result.scored, result.problems.total()) == (0, 1)
    assert times_of(tmp_path / "scores") == before


def test_a_damaged_shard_is_scored_again(tmp_path: Path, score: Run) -> None:
    score()
    expected = rows_of(tmp_path / "scores")
    damaged = min((tmp_path / "scores" / "shards").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert score().scored == 1
    assert rows_of(tmp_path / "scores") == expected


def test_scores_of_another_model_or_manifest_are_refused_or_removed(
    tmp_path: Path, score: Run, manifest: pa.Table
) -> None:
    score()
    other = read_exported(write_toy_export(tmp_path / "other", intercept=-1.0))
    part = manifest.slice(0, 20)

    with pytest.raises(StoreError, match=r"holds scores of another model; give another --output, or --anew"):
        score(model=other)
    with pytest.raises(StoreError, match="scores of another manifest;"):
        score(manifest=part)
    with pytest.raises(StoreError, match="scores of another model and another manifest;"):
        score(model=other, manifest=part)
    before = rows_of(tmp_path / "scores")

    assert score(model=other, manifest=part, anew=True).kept == 0
    after = rows_of(tmp_path / "scores")
    assert after.keys() == set(part["utterance_id"].to_pylist())
    scored = [name for name, row in after.items() if row["score"] is not None]
    assert np.allclose([after[name]["score"] - before[name]["score"] for name in scored], 1.0)


def test_files_that_are_no_scores_are_not_touched(tmp_path: Path, score: Run) -> None:
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "thesis.txt").write_text("text")
    for anew in (False, True):
        with pytest.raises(StoreError, match=r"holds other files than scores, such as thesis\.txt"):
            score(anew=anew)
    assert [path.name for path in (tmp_path / "scores").iterdir()] == ["thesis.txt"]


def test_an_empty_manifest_is_refused(score: Run, manifest: pa.Table) -> None:
    with pytest.raises(CorpusError, match="no utterance to score"):
        score(manifest=manifest.slice(0, 0))


def test_an_export_that_cannot_be_used_says_why(tmp_path: Path, toy: Path) -> None:
    with pytest.raises(ModelError, match=r"no exported model \(no export\.json\); make it with `bonafide export`"):
        read_exported(tmp_path)
    folder = tmp_path / "export"
    shutil.copytree(toy, folder)
    (folder / ONNX_FILE).write_bytes(b"other")
    with pytest.raises(ModelError, match=r"is not the file that export\.json describes"):
        read_exported(folder)
    description = json.loads((folder / EXPORT_FILE).read_text())
    description |= {"left_out": {"ONNX": "its runtimes have no FFT"}, "sha256": {}}
    (folder / EXPORT_FILE).write_text(json.dumps(description))
    with pytest.raises(ModelError, match="there is no ONNX model in this export: its runtimes have no FFT"):
        read_exported(folder)
    (folder / EXPORT_FILE).write_text("{}")
    with pytest.raises(ModelError, match=r"export\.json cannot be read"):
        read_exported(folder)


def test_a_worker_with_another_runtime_is_refused() -> None:
    with pytest.raises(RunnerError, match=r"onnxruntime \S+ instead of 0\.1"):
        require_runtime("0.1")


def test_the_command_tells_of_clips_without_a_score(
    tmp_path: Path, corpus: Path, manifest: pa.Table, toy: Path, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    write_manifest(manifest, tmp_path / "m.parquet")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tones.tone_params().model_dump(mode="json")))
    code, text = run_bonafide(
        *("batch", "--manifest", tmp_path / "m.parquet", "--root", corpus, "--params", tmp_path / "params.yaml"),
        *("--model", toy, "--output", tmp_path / "scores", "--split", "eval", "--", *IN_THIS_PROCESS),
    )
    assert code == 1, text
    assert "0 shards kept, 1 to do: 9 clips" in text
    assert "unsupported_format" in text
    assert "8 of 9 clips have a score: 0 shards kept, 1 scored" in text

    code, text = run_bonafide("batch", "--split", "test", "--manifest", tmp_path / "m.parquet", "--model", toy)
    assert (code, "there is no split 'test'; there are train, dev, eval" in text) == (2, True), text


def test_manifest_audio_and_scores_may_be_in_an_object_store(
    tmp_path: Path,
    score: Run,
    s3_url: str,
    corpus: Path,
    manifest: pa.Table,
    toy: Path,
    run_bonafide: Callable[..., Any],
) -> None:
    score()
    upload(corpus, f"{s3_url}/la")
    write_manifest(manifest, tmp_path / "m.parquet")
    open_storage(s3_url).write("m.parquet", (tmp_path / "m.parquet").read_bytes())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tones.tone_params().model_dump(mode="json")))

    code, text = run_bonafide(
        *("batch", "--manifest", f"{s3_url}/m.parquet", "--root", f"{s3_url}/la", "--params", tmp_path / "params.yaml"),
        *("--model", toy, "--output", f"{s3_url}/scores", "--clips-per-shard", CLIPS_PER_SHARD, "--", *IN_THIS_PROCESS),
    )

    assert code == 1, text
    for split in ("train", "dev", "eval"):
        assert (
            open_storage(f"{s3_url}/scores").read(f"{split}.txt") == (tmp_path / "scores" / f"{split}.txt").read_bytes()
        )
