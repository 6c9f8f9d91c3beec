"""What a run keeps, discards and writes; every decision follows from the files alone."""

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpus.schema import MANIFEST_SCHEMA
from pipeline.errors import StoreError
from pipeline.params import Params
from pipeline.storage import LocalStorage, open_storage
from pipeline.store.close import close_store
from pipeline.store.lineage import Config
from pipeline.store.resume import ResumePlan, discard_stale, plan_resume
from pipeline.store.sharding import Shard
from pipeline.store.verify import verify
from pipeline.store.writer import Reject, write_shard
from tests.support.front_ends import LOG_LINEAR
from tests.support.synthetic_store import (
    config_of,
    examples_of,
    files_of,
    manifest_of,
    manifest_row,
    shards_of,
    small_params,
    write_store,
)

PARAMS = small_params(shards=4)
MANIFEST = manifest_of({"train": 12, "dev": 9, "eval": 9})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_store(tmp_path / "store", MANIFEST, PARAMS)
    return tmp_path / "store"


def table(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)


def resume_plan(folder: Path, manifest: pa.Table = MANIFEST, params: Params = PARAMS) -> ResumePlan:
    return plan_resume(open_storage(folder), shards_of(manifest, params), config_of(params))


def with_features(**changes: object) -> Params:
    return PARAMS.model_copy(update={"features": PARAMS.features.model_copy(update=changes)})


def test_store_does_not_depend_on_order_of_shards_items_or_manifest(folder: Path, tmp_path: Path) -> None:
    other, config = tmp_path / "other", config_of(PARAMS)
    shuffled = table(MANIFEST.to_pylist()[::-1])
    shards = shards_of(shuffled, PARAMS)
    storage = open_storage(other)
    for shard in reversed(shards):
        write_shard(storage, shard, config, list(examples_of(shard, PARAMS))[::-1])
    close_store(storage, shards, config)
    assert files_of(other) == files_of(folder)


def test_finished_store_is_kept_and_nothing_is_written(folder: Path) -> None:
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")}
    plan, _ = write_store(folder, MANIFEST, PARAMS)
    assert (len(plan.kept), plan.pending, plan.stale) == (12, [], [])
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")} == before


def test_store_tells_no_time_host_or_absolute_path(folder: Path) -> None:
    everything = b"".join(files_of(folder).values())
    assert os.uname().nodename.encode() not in everything
    assert str(folder).encode() not in everything


# A shard is committed by its index part


def test_shard_without_its_index_part_does_not_count(folder: Path) -> None:
    (folder / "index" / "dev-00001-of-00004.parquet").unlink()
    plan = resume_plan(folder)
    assert [shard.name for shard in plan.pending] == ["dev-00001-of-00004"]
    assert len(plan.kept) == 11


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "dev" / "dev-00001-of-00004.tfrecord").unlink(),
        lambda folder: os.truncate(folder / "dev" / "dev-00001-of-00004.tfrecord", 7),
        lambda folder: (folder / "rejects" / "dev-00001-of-00004.parquet").unlink(),
        lambda folder: (folder / "rejects" / "dev-00001-of-00004.parquet").write_bytes(b"x" * 1000),
        lambda folder: (folder / "index" / "dev-00001-of-00004.parquet").write_bytes(b""),
        lambda folder: os.truncate(folder / "index" / "dev-00001-of-00004.parquet", 300),
        lambda folder: (folder / "index" / "dev-00001-of-00004.parquet").write_bytes(b"PAR1" * 100),
    ],
)
def test_shard_with_a_lost_or_cut_file_is_redone(folder: Path, damage: Callable[[Path], object]) -> None:
    before = files_of(folder)
    damage(folder)
    plan, _ = write_store(folder, MANIFEST, PARAMS)
    assert [shard.name for shard in plan.pending] == ["dev-00001-of-00004"]
    assert files_of(folder) == before


def test_index_part_of_other_columns_is_redone(folder: Path) -> None:
    before = files_of(folder)
    pq.write_table(pa.table({"x": [1]}), folder / "index" / "dev-00001-of-00004.parquet")
    plan, _ = write_store(folder, MANIFEST, PARAMS)
    assert [shard.name for shard in plan.pending] == ["dev-00001-of-00004"]
    assert files_of(folder) == before


def test_discarding_makes_the_store_incomplete_before_anything_is_redone(folder: Path) -> None:
    (folder / "index" / "dev-00001-of-00004.parquet").unlink()
    discard_stale(open_storage(folder), resume_plan(folder))
    assert not (folder / "store.json").exists()


def test_run_without_work_rewrites_a_lost_store_file(folder: Path) -> None:
    before = files_of(folder)
    (folder / "store.json").unlink()
    plan, _ = write_store(folder, MANIFEST, PARAMS)
    assert plan.pending == []
    assert files_of(folder) == before


def test_files_that_are_no_store_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(StoreError, match=r"thesis\.docx"):
        resume_plan(tmp_path)


# Changed parameters


def test_changed_parameters_are_named_and_everything_is_redone(folder: Path) -> None:
    params = with_features(n_mels=6)
    plan = resume_plan(folder, params=params)
    assert plan.changes == ["features.n_mels 4 → 6"]
    assert (len(plan.pending), plan.kept) == (12, [])
    write_store(folder, MANIFEST, params)
    assert verify(folder, MANIFEST) == []


def test_changed_library_version_makes_the_store_stale(folder: Path) -> None:
    config = config_of(PARAMS)
    newer = replace(config, versions=config.versions | {"numpy": "9.9"})
    shards = shards_of(MANIFEST, PARAMS)
    plan = plan_resume(open_storage(folder), shards, newer)
    assert plan.changes == [f"versions.numpy {np.__version__} → 9.9"]
    assert plan.kept == []


def test_limit_on_rejects_changes_no_byte(folder: Path) -> None:
    assert resume_plan(folder, params=with_features(max_reject_fraction=0.5)).pending == []


def test_another_kind_of_front_end_makes_the_store_stale(folder: Path) -> None:
    params = PARAMS.model_copy(update={"features": LOG_LINEAR})
    changes = resume_plan(folder, params=params).changes
    assert "features.kind absent → log_linear" in changes
    assert "features.n_mels 4 → absent" in changes


def test_a_parameter_at_its_default_is_not_part_of_the_fingerprint() -> None:
    # A store that was made before the key existed stays current: `kind` is such a key.
    config = Config.current(PARAMS.features, PARAMS.augment)
    assert PARAMS.features.kind == "log_mel"
    assert "kind" not in config.features
    assert Config.current(LOG_LINEAR, PARAMS.augment).features["kind"] == "log_linear"


def test_an_optional_package_is_part_of_the_fingerprint_where_it_decides_values() -> None:
    main = Config.current(PARAMS.features, PARAMS.augment)
    assert Config.current(PARAMS.features, PARAMS.augment, ["soxr", "absent"]).versions == main.versions | {
        "absent": None
    }


def test_a_level_is_told_as_a_key_that_an_older_store_lacks(folder: Path) -> None:
    assert "level_dbfs" not in Config.current(PARAMS.features, PARAMS.augment).features
    plan = resume_plan(folder, params=with_features(level_dbfs=-26.0))
    assert plan.changes == ["features.level_dbfs absent → -26.0"]


def test_run_stopped_after_a_change_of_parameters_still_discards_all_of_the_old(folder: Path, tmp_path: Path) -> None:
    params = with_features(n_mels=6)
    plan = resume_plan(folder, params=params)
    storage = open_storage(folder)
    discard_stale(storage, plan)
    write_shard(
        storage,
        plan.pending[0],
        config_of(params),
        examples_of(plan.pending[0], params),
    )
    write_store(folder, MANIFEST, params)
    write_store(tmp_path / "fresh", MANIFEST, params)
    assert files_of(folder) == files_of(tmp_path / "fresh")


def test_change_of_parameters_and_shard_count_at_once_is_named_too(folder: Path) -> None:
    params = with_features(n_mels=6)
    params = params.model_copy(update={"store": params.store.model_copy(update={"shards": 3})})
    plan = resume_plan(folder, params=params)
    assert plan.changes == ["features.n_mels 4 → 6"]
    assert plan.split_changes == ["train 4 → 3 shards", "dev 4 → 3 shards", "eval 4 → 3 shards"]


# Incremental


def test_another_number_of_shards_redoes_the_split_and_says_so(folder: Path, tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"store": PARAMS.store.model_copy(update={"shards": 8})})
    plan, _ = write_store(folder, MANIFEST, params)
    assert plan.split_changes == ["train 4 → 8 shards", "dev 4 → 8 shards", "eval 4 → 8 shards"]
    assert (plan.changes, len(plan.pending)) == ([], 24)
    write_store(tmp_path / "fresh", MANIFEST, params)
    assert files_of(folder) == files_of(tmp_path / "fresh")


changes = st.lists(st.tuples(st.sampled_from(["add", "remove", "replace", "relabel"]), st.integers(0, 11)), max_size=4)


@settings(max_examples=8, deadline=None)
@given(edits=changes)
def test_k_changed_clips_redo_at_most_k_shards(
    edits: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    params = small_params(shards=6)
    manifest = manifest_of({"train": 12, "dev": 3})
    folder = tmp_path_factory.mktemp("incremental")
    write_store(folder / "store", manifest, params)
    rows = {row["utterance_id"]: row for row in manifest.to_pylist()}
    for kind, number in edits:
        row = manifest_row("train", number)
        if kind == "add":
            row = manifest_row("train", 100 + number)
            rows[row["utterance_id"]] = row
        elif kind == "remove":
            rows.pop(row["utterance_id"], None)
        elif kind == "replace":
            rows[row["utterance_id"]] = row | {"sha256": "f" * 64}
        else:
            rows[row["utterance_id"]] = row | {"label": 1 - row["label"]}
    changed = table(list(rows.values()))
    plan, _ = write_store(folder / "store", changed, params)
    assert len(plan.pending) <= len(edits)
    write_store(folder / "fresh", changed, params)
    assert files_of(folder / "store") == files_of(folder / "fresh")


# A run that ends at any operation


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it, nothing is tidied up."""


def die_at(monkeypatch: pytest.MonkeyPatch, wanted: int, how: str) -> None:
    """Lets the run end before, in the middle of or right after its operation number `wanted` on the storage."""
    count = 0
    create, delete = LocalStorage.create, LocalStorage.delete

    def dies() -> bool:
        nonlocal count
        count += 1
        return count == wanted

    @contextlib.contextmanager
    def dying_create(self: LocalStorage, name: str) -> Iterator[BinaryIO]:
        last = dies()
        if last and how == "before":
            raise Killed
        if last and how == "within":
            target = self.path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.with_name(f".{target.name}.1-ab.partial").write_bytes(b"half")
            raise Killed
        with create(self, name) as file:
            yield file
        if last:
            raise Killed

    def dying_delete(self: LocalStorage, name: str) -> None:
        last = dies()
        if last and how != "after":
            raise Killed
        delete(self, name)
        if last:
            raise Killed

    monkeypatch.setattr(LocalStorage, "create", dying_create)
    monkeypatch.setattr(LocalStorage, "delete", dying_delete)


@pytest.mark.parametrize("how", ["before", "within", "after"])
@pytest.mark.parametrize("stale", [False, True], ids=["fresh", "after other parameters"])
def test_run_that_ends_at_any_operation_is_resumed_to_the_same_store(tmp_path: Path, how: str, stale: bool) -> None:
    params, manifest = small_params(shards=1), manifest_of({"train": 3, "dev": 3, "eval": 3})
    write_store(tmp_path / "expected", manifest, params)
    expected = files_of(tmp_path / "expected")
    if stale:
        write_store(tmp_path / "old", manifest, small_params(shards=1, n_mels=6))
    for operation in itertools.count(1):
        folder = tmp_path / f"store-{operation}"
        if stale:
            shutil.copytree(tmp_path / "old", folder)
        with pytest.MonkeyPatch.context() as patch:
            die_at(patch, operation, how)
            try:
                write_store(folder, manifest, params)
                break
            except Killed:
                pass
        open_storage(folder).remove_leftovers()
        write_store(folder, manifest, params)
        assert files_of(folder) == expected, f"ended {how} operation {operation}"
    assert operation > 10


# Rejects


def test_reject_that_may_have_been_passing_is_looked_at_again(folder: Path) -> None:
    clean = files_of(folder)
    shard = next(row["shard"] for row in pq.read_table(folder / "index").to_pylist() if row["split"] == "dev")
    source = pq.read_table(folder / "index" / f"{shard}.parquet")["utterance_id"][0].as_py()
    (folder / "index" / f"{shard}.parquet").unlink()
    write_store(folder, MANIFEST, PARAMS, missing={source})
    assert pq.read_table(folder / "rejects" / f"{shard}.parquet")["reason"].to_pylist() == ["missing"]
    plan, _ = write_store(folder, MANIFEST, PARAMS)
    assert [pending.name for pending in plan.pending] == [shard]
    assert files_of(folder) == clean


@pytest.mark.parametrize("problem", ["missing: no such file", "truncated: ends early"])
def test_reject_that_the_manifest_knows_of_is_kept(tmp_path: Path, problem: str) -> None:
    rows = MANIFEST.to_pylist()
    rows[3] |= {"problem": problem, "sha256": None, "duration_s": None}
    manifest = table(rows)
    _, info = write_store(tmp_path, manifest, PARAMS)
    assert sum(counts["rejects"] for counts in info["splits"].values()) == 1
    plan, _ = write_store(tmp_path, manifest, PARAMS)
    assert plan.pending == []
    assert verify(tmp_path, manifest) == []


# Nothing is lost in silence


def one_shard() -> Shard:
    return shards_of(MANIFEST, PARAMS)[0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda items: items[1:] if items[0].copy == 0 else items[2:],
        lambda items: [*items, items[0]],
        lambda items: [*items, Reject(items[0].source, "silent", "")],
    ],
)
def test_utterance_lost_or_doubled_fails_the_shard(tmp_path: Path, spoil: Callable[[list], list]) -> None:
    shard, config = one_shard(), config_of(PARAMS)
    items = sorted(examples_of(shard, PARAMS), key=lambda item: item.copy)
    with pytest.raises(StoreError, match="not stored or rejected exactly once"):
        write_shard(open_storage(tmp_path), shard, config, spoil(items))
    assert files_of(tmp_path) == {}


def test_close_needs_every_shard(folder: Path) -> None:
    (folder / "index" / "dev-00001-of-00004.parquet").unlink()
    shards = shards_of(MANIFEST, PARAMS)
    with pytest.raises(StoreError, match="dev-00001-of-00004"):
        close_store(open_storage(folder), shards, config_of(PARAMS))


def test_close_refuses_a_shard_of_another_run(folder: Path) -> None:
    shards = shards_of(MANIFEST, PARAMS)
    params = with_features(n_mels=6)
    with pytest.raises(StoreError, match="other parameters"):
        close_store(open_storage(folder), shards, config_of(params))


def test_close_refuses_an_index_part_that_says_nothing_of_its_shard(folder: Path) -> None:
    path = folder / "index" / "dev-00001-of-00004.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    with pytest.raises(StoreError, match=r"dev-00001-of-00004\.parquet: the metadata of its shard cannot be read"):
        close_store(open_storage(folder), shards_of(MANIFEST, PARAMS), config_of(PARAMS))


def test_store_file_adds_up(folder: Path) -> None:
    info = json.loads((folder / "store.json").read_bytes())
    assert {split: counts["utterances"] for split, counts in info["splits"].items()} == {
        "train": 12,
        "dev": 9,
        "eval": 9,
    }
    assert info["splits"]["train"]["examples"] == 24
    assert set(info["files"]) == set(files_of(folder)) - {"store.json"}


# A file of the store is never written through


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_linked_files_are_replaced_never_written_through(
    folder: Path, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    cache = tmp_path / "cache"
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        cached = cache / path.relative_to(folder)
        cached.parent.mkdir(parents=True, exist_ok=True)
        path.rename(cached)
        link(cached, path)
    cached_before = files_of(cache)
    write_store(folder, MANIFEST, PARAMS)
    write_store(folder, MANIFEST, with_features(n_mels=6))
    assert files_of(cache) == cached_before
    assert verify(folder, MANIFEST) == []
