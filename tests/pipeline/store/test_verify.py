"""`verify` passes an intact store and finds every kind of damage."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus.schema import MANIFEST_SCHEMA
from pipeline.errors import StoreError
from pipeline.storage import open_storage
from pipeline.store.checks.findings import MOST_FINDINGS_PER_FILE, Finding
from pipeline.store.close import close_store
from pipeline.store.digests import canonical_json, file_entry, own_checksum
from pipeline.store.parts import encode_part
from pipeline.store.verify import verify
from pipeline.store.writer import StoredExample, write_shard
from tests.support.synthetic_store import (
    config_of,
    examples_of,
    manifest_of,
    manifest_row,
    shards_of,
    small_params,
    write_store,
)

RANDOM_CASES = 360
PARAMS = small_params()
MANIFEST = manifest_of()


@pytest.fixture
def store(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "store"))


def texts(findings: list[Finding], file: str) -> str:
    return "\n".join(finding.text for finding in findings if finding.file == file)


def test_intact_store_has_no_findings(intact: Path) -> None:
    assert verify(intact) == []
    assert verify(intact, MANIFEST, workers=2) == []


def test_progress_counts_shards(intact: Path) -> None:
    seen: list[tuple[int, int]] = []
    verify(intact, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 6) for number in range(1, 7)]


def flip(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def cut_out(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + data[place + draw.randint(1, 40) :]


def append(data: bytes, draw: random.Random) -> bytes:
    return data + draw.randbytes(draw.randint(1, 40))


def insert(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + draw.randbytes(draw.randint(1, 40)) + data[place:]


def test_any_damaged_byte_anywhere_is_found_in_the_file_that_has_it(intact: Path) -> None:
    draw = random.Random(2019)
    kinds: list[Callable[[bytes, random.Random], bytes]] = [flip, flip, flip, cut, cut_out, append, insert]
    names = sorted(path.relative_to(intact).as_posix() for path in intact.rglob("*") if path.is_file())
    for case in range(RANDOM_CASES):
        name, damage = names[case % len(names)], draw.choice(kinds)
        path = intact / name
        before = path.read_bytes()
        if not before and damage not in (append,):
            damage = append
        path.write_bytes(damage(before, draw))
        try:
            findings = verify(intact)
        finally:
            path.write_bytes(before)
        assert {finding.file for finding in findings} == {name}, f"case {case}: {damage.__name__} in {name}"
    assert verify(intact) == []


def test_every_single_byte_of_store_json_matters(intact: Path) -> None:
    path = intact / "store.json"
    before = path.read_bytes()
    draw = random.Random(1)
    try:
        for place in draw.sample(range(len(before)), 60):
            path.write_bytes(before[:place] + bytes([before[place] ^ 0x20]) + before[place + 1 :])
            assert texts(verify(intact), "store.json").startswith("damaged")
    finally:
        path.write_bytes(before)


def test_damaged_record_is_named_by_utterance_and_place(store: Path) -> None:
    index = pq.read_table(store / "index" / "dev-00000-of-00002.parquet").to_pylist()
    row = index[1]
    path = store / "dev" / "dev-00000-of-00002.tfrecord"
    data = bytearray(path.read_bytes())
    data[row["offset"] + row["length"] // 2] ^= 1
    path.write_bytes(data)
    findings = verify(store)
    assert {finding.shard for finding in findings} == {"dev-00000-of-00002"}
    assert f"{row['utterance_id']} copy 0 at byte {row['offset']}: the checksum" in texts(findings, findings[0].file)


def test_records_are_checked_even_where_index_and_store_file_are_lost(store: Path) -> None:
    (store / "store.json").unlink()
    (store / "index" / "dev-00000-of-00002.parquet").unlink()
    path = store / "dev" / "dev-00000-of-00002.tfrecord"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    findings = verify(store)
    assert "not complete" in texts(findings, "store.json")
    assert "no such file" in texts(findings, "index/dev-00000-of-00002.parquet")
    assert "the record at byte 0: the checksum" in texts(findings, "dev/dev-00000-of-00002.tfrecord")


@pytest.mark.parametrize("kind", ["index", "rejects", "train"])
def test_missing_file_is_found(store: Path, kind: str) -> None:
    path = next((store / kind).iterdir())
    path.unlink()
    assert "no such file" in texts(verify(store), path.relative_to(store).as_posix())


def test_strays_and_leftovers_are_found(store: Path) -> None:
    (store / "train" / "notes.txt").write_text("hello")
    (store / "train" / ".train-00000-of-00002.tfrecord.77-ab.partial").write_bytes(b"")
    shutil.copy(store / "index" / "dev-00000-of-00002.parquet", store / "index" / "dev-00002-of-00004.parquet")
    findings = verify(store)
    assert "stray" in texts(findings, "train/notes.txt")
    assert "left by a run" in texts(findings, "train/.train-00000-of-00002.tfrecord.77-ab.partial")
    assert "stray" in texts(findings, "index/dev-00002-of-00004.parquet")


def test_findings_per_file_are_limited(tmp_path: Path) -> None:
    params = small_params(shards=1)
    write_store(tmp_path, manifest_of({"train": 60, "dev": 3}), params)
    path = tmp_path / "train" / "train-00000-of-00001.tfrecord"
    path.write_bytes(bytes(path.stat().st_size))
    found = texts(verify(tmp_path), "train/train-00000-of-00001.tfrecord").splitlines()
    assert len(found) == MOST_FINDINGS_PER_FILE + 1
    assert "more findings" in found[-1]


def test_folder_without_a_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no feature store"):
        verify(tmp_path)


# Against the manifest


def changed_manifest(**changes: object) -> pa.Table:
    rows = MANIFEST.to_pylist()
    rows[-1] |= changes
    return pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"label": 1, "attack_id": None}, "label is 0, the manifest says 1"),
        ({"attack_id": "A07"}, "attack_id is 'A02', the manifest says 'A07'"),
        ({"sha256": "0" * 64}, "sha256 is"),
        ({"path": "other.flac"}, "made from other utterances, audio or labels"),
        ({"utterance_id": "LA_E_9999999"}, "is not in the manifest"),
    ],
)
def test_difference_from_the_manifest_is_found(intact: Path, change: dict[str, object], text: str) -> None:
    assert text in "\n".join(finding.text for finding in verify(intact, changed_manifest(**change)))


def test_utterance_of_the_manifest_that_is_nowhere_is_found(intact: Path) -> None:
    more = pa.concat_tables([MANIFEST, pa.Table.from_pylist([manifest_row("dev", 77)], schema=MANIFEST_SCHEMA)])
    findings = verify(intact, more)
    assert "LA_D_0000077 of the manifest is neither stored nor rejected" in [finding.text for finding in findings]


# Stores whose checksums are right and whose content is not: what a faulty writer would leave


def write_wrongly(folder: Path, spoil: Callable[[StoredExample], StoredExample]) -> list[Finding]:
    storage, config = open_storage(folder), config_of(PARAMS)
    shards = shards_of(MANIFEST, PARAMS)
    for shard in shards:
        items = [spoil(item) if isinstance(item, StoredExample) else item for item in examples_of(shard, PARAMS)]
        write_shard(storage, shard, config, items)
    close_store(storage, shards, config)
    return verify(folder)


def test_nan_in_a_record_is_found(tmp_path: Path) -> None:
    def spoil(item: StoredExample) -> StoredExample:
        if item.copy == 1:
            item.features[0, 0] = np.nan
        return item

    findings = write_wrongly(tmp_path, spoil)
    assert findings
    assert all("1 values are not finite" in finding.text for finding in findings)


def rewrite_index(store: Path, shard: str, change: Callable[[list[dict[str, object]]], object]) -> None:
    """Changes rows of an index part and makes every checksum right again, as tampering or a faulty writer would."""
    path = store / "index" / f"{shard}.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    data = encode_part(pa.Table.from_pylist(rows, schema=table.schema))
    path.write_bytes(data)
    reseal(store, {f"index/{shard}.parquet": data})


def reseal(store: Path, files: dict[str, bytes], **changes: object) -> None:
    info = json.loads((store / "store.json").read_bytes()) | changes
    for name, data in files.items():
        info["files"][name] = file_entry(data)
    info["sha256"] = own_checksum(info)
    (store / "store.json").write_bytes(canonical_json(info))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda rows: rows[0].update(label=1 - rows[0]["label"]), "the index says"),
        (lambda rows: rows[0].update(copy=7), "copies"),
        (lambda rows: rows[0].update(n_frames=1000), "frames, the index says 1000"),
        (lambda rows: rows[0].update(utterance_id="LA_E_0000000"), "belongs to another shard"),
        (lambda rows: rows[0].update(offset=3), "the record before it ends at byte 0"),
        (lambda rows: rows[0].update(length=rows[0]["length"] + 1), "bytes"),
        (lambda rows: rows[0].update(split="dev"), "is said to be in"),
        (lambda rows: rows.append(rows[-1]), "stands 2 times"),
        (lambda rows: rows.pop(), "bytes after the last record"),
        (lambda rows: rows.reverse(), "not in the order"),
    ],
)
def test_index_that_does_not_fit_the_records_is_found(
    store: Path, change: Callable[[list[dict[str, object]]], object], text: str
) -> None:
    rewrite_index(store, "train-00001-of-00002", change)
    assert text in "\n".join(finding.text for finding in verify(store))


def test_wrong_statistics_and_counts_are_found(store: Path) -> None:
    info = json.loads((store / "store.json").read_bytes())
    info["statistics"]["mean"][0] += 0.01
    info["splits"]["dev"]["spoof"] += 1
    reseal(store, {}, statistics=info["statistics"], splits=info["splits"])
    found = texts(verify(store), "store.json")
    assert "statistics are not those" in found
    assert "dev: spoof is 5, the shards have 4" in found


def test_a_front_end_other_than_that_of_the_records_is_found(store: Path) -> None:
    parameters = json.loads((store / "store.json").read_bytes())["parameters"]
    parameters["features"]["n_mels"] += 1
    reseal(store, {}, parameters=parameters)
    assert "it has 4 bins, the store's front end 5" in "\n".join(finding.text for finding in verify(store))


def test_a_kind_of_front_end_that_this_program_does_not_know_is_told(store: Path) -> None:
    parameters = json.loads((store / "store.json").read_bytes())["parameters"]
    parameters["features"]["kind"] = "mfcc"
    reseal(store, {}, parameters=parameters)
    assert "features.kind: 'mfcc': Input should be 'log_mel'" in texts(verify(store), "store.json")
