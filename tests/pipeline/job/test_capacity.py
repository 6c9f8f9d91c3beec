"""The estimate of a job: arithmetic that can be checked by hand, and the bytes of a real store."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpus.manifest import build_manifest
from pipeline.errors import ParamsError
from pipeline.job.capacity import FLAC_RATIO, Workload, estimate, makespan, shard_memory
from pipeline.job.worker import Extractor
from pipeline.params import Params, load_params
from pipeline.storage import open_storage
from pipeline.store.close import close_store
from pipeline.store.lineage import Config
from pipeline.store.sharding import assign_shards
from pipeline.store.writer import write_shard
from tests.support.front_ends import LOG_MEL
from tests.support.rates import RATES
from tests.support.synthetic_corpus import write_corpus
from tests.support.synthetic_store import PARAMS_FILE, manifest_of

PARAMS = load_params(PARAMS_FILE).model_copy(update={"features": LOG_MEL})
# 80 bands of two bytes every 10 ms for two seconds, and 230 bytes around them.
RECORD_BYTES = 2 * 100 * 80 * 2 + 230

clip_counts = st.integers(0, 5_000_000)
core_counts = st.integers(1, 2_000)
durations = st.floats(0.1, 60.0)
shares = st.floats(0.0, 1.0)


def with_copies(n_copies: int, params: Params = PARAMS) -> Params:
    return params.model_copy(update={"augment": params.augment.model_copy(update={"copies": n_copies})})


def with_store(params: Params = PARAMS, **changes: Any) -> Params:
    return params.model_copy(update={"store": params.store.model_copy(update=changes)})


# The arithmetic, checked by hand


def test_a_workload_of_train_clips_alone() -> None:
    result = estimate(Workload.of(80_000, 2.0, 1.0), RATES, with_copies(3), cores=64, efficiency=0.5)
    assert result.store_bytes == 80_000 * 4 * RECORD_BYTES
    # 128 shards of 75.8 MiB are nearer to 64 MiB than 256 of 37.9 MiB. Dev and eval have 8 empty ones each.
    assert (result.shards, result.busy_shards) == (128 + 16, 128)
    assert result.shard_bytes == result.store_bytes // 128
    assert result.audio_bytes == round(160_000 * 16_000 * 2 * FLAC_RATIO)
    assert result.work_s == pytest.approx(160_000 * (0.001 + 3 * 0.002))
    assert result.cpu_s == pytest.approx(1_120)
    # 128 shards on 64 cores: two waves of 8.75 s at half speed.
    assert result.wall_s == pytest.approx(2 * 1_120 / 128 / 0.5)


def test_clips_outside_train_get_no_copies() -> None:
    result = estimate(Workload.of(1_000, 2.0, 0.25), RATES, with_copies(3), cores=1, efficiency=1.0)
    assert result.store_bytes == (250 * 4 + 750) * RECORD_BYTES
    assert result.work_s == pytest.approx(500 * 0.007 + 1_500 * 0.001)
    assert result.wall_s == pytest.approx(result.work_s)


def test_bona_fide_clips_of_train_get_twins_of_every_copy() -> None:
    params = with_copies(1)
    copy_synthesis = params.augment.copy_synthesis.model_copy(update={"copies": 3})
    params = params.model_copy(update={"augment": params.augment.model_copy(update={"copy_synthesis": copy_synthesis})})
    result = estimate(Workload.of(1_000, 2.0, 0.5, 0.2), RATES, params, cores=1, efficiency=1.0)
    # 500 clips of train with a copy, 100 of them bona fide with 2 × 3 twins, and 500 others.
    assert result.store_bytes == (1_000 + 600 + 500) * RECORD_BYTES
    assert result.work_s == pytest.approx(1_000 * 0.003 + 1_200 * 0.004 + 1_000 * 0.001)


def test_what_is_paid_once_per_shard_process_and_clip_is_added() -> None:
    rates = replace(RATES, shard_s=0.5, start_s=3.0, command_clip_s=0.001, command_shard_s=0.01)
    result = estimate(Workload.of(1_000, 2.0, 1.0), rates, with_copies(0), cores=4, efficiency=1.0)
    # 24 shards, 8 of them with a share of 2 s of work; first those on 4 cores, then the empty ones.
    assert result.work_s == pytest.approx(2.0 + 24 * 0.5)
    assert result.start_s == pytest.approx(4 * 3.0)
    assert result.command_s == pytest.approx(3.0 + 1.0 + 24 * 0.01)
    assert result.workers_wall_s == pytest.approx(3.0 + 2 * (2.0 / 8 + 0.5) + 4 * 0.5)
    assert result.cpu_s == pytest.approx(14.0 + 12.0 + 4.24)
    assert result.wall_s == pytest.approx(result.workers_wall_s + 4.24)


@pytest.mark.parametrize(
    ("shards", "cores", "waves"), [(8, 8, 1), (9, 8, 2), (16, 8, 2), (17, 8, 3), (1, 8, 1), (5, 1, 5)]
)
def test_the_time_of_equal_shards_is_a_whole_number_of_waves(shards: int, cores: int, waves: int) -> None:
    assert makespan([(3.0, shards)], cores) == pytest.approx(3.0 * waves)


def test_a_free_core_takes_the_next_shard_whatever_its_split() -> None:
    # Cores 1 and 2 have 4 s each, core 3 takes the short ones meanwhile.
    assert makespan([(4.0, 2), (1.0, 4)], 3) == pytest.approx(4.0)


def test_no_shards_take_no_time() -> None:
    assert makespan([], 4) == 0.0


def test_a_shard_without_copies_holds_features_and_one_with_copies_also_waveforms() -> None:
    rate = PARAMS.features.sample_rate
    plain = shard_memory(100, 2.0, PARAMS.features, 0)
    assert plain == 100 * (RECORD_BYTES + 2_500) + 2 * rate * 80
    assert shard_memory(100, 2.0, PARAMS.features, 1) == plain + 100 * (RECORD_BYTES + 2_500) + 100 * 2 * rate * 4


def test_the_worker_of_the_largest_shard_decides_on_memory() -> None:
    # Eight shards of 100 train clips without copies, eight of 900 others.
    result = estimate(Workload.of(8_000, 2.0, 0.1), RATES, with_copies(0), cores=1, efficiency=1.0)
    assert result.worker_bytes == RATES.worker_bytes + shard_memory(900, 2.0, PARAMS.features, 0)


def test_more_shards_than_there_are_names_for_are_refused() -> None:
    with pytest.raises(ParamsError, match=r"a split would have 131,072 shards.*store\.target_shard_mib above 64"):
        estimate(Workload.of(300_000_000, 2.0, 0.0), RATES, PARAMS, cores=1, efficiency=1.0)


# Properties


@given(clips=clip_counts, mean_s=durations, share=shares, n_copies=st.integers(0, 20), cores=core_counts)
def test_more_cores_are_never_slower(clips: int, mean_s: float, share: float, n_copies: int, cores: int) -> None:
    params = with_store(with_copies(n_copies), target_shard_mib=512.0)
    workload = Workload.of(clips, mean_s, share)
    few = estimate(workload, RATES, params, cores, 0.9)
    more = estimate(workload, RATES, params, cores + 1, 0.9)
    assert more.wall_s <= few.wall_s * (1 + 1e-9)
    assert more.work_s == few.work_s


@given(clips=clip_counts, factor=st.integers(1, 10), mean_s=durations, n_copies=st.integers(0, 4))
def test_bytes_and_work_are_proportional_to_the_clips(clips: int, factor: int, mean_s: float, n_copies: int) -> None:
    params = with_store(with_copies(n_copies), shards=16)
    one = estimate(Workload.of(clips, mean_s, 1.0), RATES, params, 8, 1.0)
    many = estimate(Workload.of(clips * factor, mean_s, 1.0), RATES, params, 8, 1.0)
    assert many.store_bytes == one.store_bytes * factor
    assert many.audio_bytes == pytest.approx(one.audio_bytes * factor, abs=factor)
    assert many.work_s == pytest.approx(one.work_s * factor)


@given(clips=clip_counts, mean_s=durations, share=shares, n_copies=st.integers(1, 10), cores=core_counts)
def test_doubling_the_copies_is_never_cheaper(
    clips: int, mean_s: float, share: float, n_copies: int, cores: int
) -> None:
    workload = Workload.of(clips, mean_s, share)
    once = estimate(workload, RATES, with_store(with_copies(n_copies), shards=64), cores, 1.0)
    twice = estimate(workload, RATES, with_store(with_copies(2 * n_copies), shards=64), cores, 1.0)
    assert twice.store_bytes >= once.store_bytes
    assert twice.cpu_s >= once.cpu_s
    assert twice.wall_s >= once.wall_s
    assert twice.worker_bytes >= once.worker_bytes


@given(
    clips=st.integers(0, 600),
    share=shares,
    n_copies=st.integers(0, 3),
    target=st.sampled_from([0.05, 0.5, 64.0]),
    shards=st.sampled_from(["auto", 3]),
)
def test_the_shards_are_those_of_a_store(clips: int, share: float, n_copies: int, target: float, shards: Any) -> None:
    params = with_store(with_copies(n_copies), target_shard_mib=target, shards=shards)
    workload = Workload.of(clips, 1.0, share)
    planned = assign_shards(manifest_of(workload.clips), params.store, params.features, params.augment.copies)
    assert estimate(workload, RATES, params, 1, 1.0).shards == len(planned)


# Against the real work


def test_the_bytes_are_those_of_a_written_store(tmp_path: Path) -> None:
    write_corpus(tmp_path / "LA", 9, duration_s=1.5)
    params = with_store(with_copies(2), shards=1)
    manifest = build_manifest(tmp_path / "LA", None)
    storage = open_storage(tmp_path / "store")
    config = Config.current(params.features, params.augment)
    augment = params.augment
    shards = assign_shards(manifest, params.store, params.features, augment.copies, augment.copy_synthesis.copies)
    extract = Extractor(tmp_path / "LA", params.features, params.augment)
    for shard in shards:
        write_shard(storage, shard, config, extract(shard))
    info = close_store(storage, shards, config)
    written = sum(counts["record_bytes"] for counts in info["splits"].values())
    expected = estimate(Workload({"train": 9, "dev": 9, "eval": 9}, 1.5, 1 / 3), RATES, params, 1, 1.0)
    assert expected.store_bytes == pytest.approx(written, rel=0.05)
