"""Damages of feature stores and of model bundles, drawn from a seed.

Some change bytes as a disk or a careless copy does. Others are forged: every checksum is made right again, as tampering or a
faulty program would leave it.
"""

import json
import math
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.sealed_file import sealed
from pipeline.files import sha256_of
from pipeline.store.digests import file_entry, own_checksum
from pipeline.store.parts import encode_part, metadata_of, with_metadata
from pipeline.store.records import Example, decode_example, encode_example, frame, unframe

Damage = Callable[[Path, random.Random], None]
"""Damages the store or the bundle in a folder."""

VALUES: tuple[Any, ...] = (None, "x", -1, math.nan, math.inf, 1e308, 10**30, [], {}, True, [1], {"a": 1}, "0" * 64, 0)


# Bytes


def _changed(data: bytes, draw: random.Random) -> bytes:
    """Data with one damage: a bit, an end, a hole, or more bytes."""
    place = draw.randrange(len(data)) if data else 0
    match draw.randrange(6) if data else 4:
        case 0 | 1:
            return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]
        case 2:
            return data[:place]
        case 3:
            return data[:place] + data[place + draw.randint(1, 40) :]
        case 4:
            return data + draw.randbytes(draw.randint(1, 40))
        case _:
            return data[:place] + draw.randbytes(draw.randint(1, 40)) + data[place:]


def _some_file(folder: Path, draw: random.Random, pattern: str = "*") -> Path:
    return draw.choice(sorted(path for path in folder.rglob(pattern) if path.is_file()))


def changed_bytes(folder: Path, draw: random.Random) -> None:
    path = _some_file(folder, draw)
    path.write_bytes(_changed(path.read_bytes(), draw))


def removed_file(folder: Path, draw: random.Random) -> None:
    _some_file(folder, draw).unlink()


# Stores


def _shards(store: Path) -> list[str]:
    return sorted(path.stem for path in (store / "index").iterdir())


def _records(store: Path, shard: str) -> Path:
    return store / shard.split("-")[0] / f"{shard}.tfrecord"


def _filled(store: Path, draw: random.Random, split: str = "") -> str:
    """A shard with records."""
    names = [name for name in _shards(store) if name.startswith(split) and _records(store, name).stat().st_size]
    return draw.choice(names)


def emptied_shard(store: Path, draw: random.Random) -> None:
    _records(store, _filled(store, draw)).write_bytes(b"")


def dropped_last_record(store: Path, draw: random.Random) -> None:
    shard = _filled(store, draw)
    rows = pq.read_table(store / "index" / f"{shard}.parquet").to_pylist()
    path = _records(store, shard)
    path.write_bytes(path.read_bytes()[: rows[-1]["offset"]])


def ten_times(store: Path, draw: random.Random) -> None:
    path = _records(store, _filled(store, draw))
    path.write_bytes(path.read_bytes() * 10)


def train_replaced_by_eval(store: Path, draw: random.Random) -> None:
    shutil.copy(_records(store, _filled(store, draw, "eval")), _records(store, _filled(store, draw, "train")))


def swapped_files(store: Path, draw: random.Random) -> None:
    kind = draw.choice(["records", "index"])
    first, second = draw.sample([name for name in _shards(store) if _records(store, name).stat().st_size], 2)
    a, b = (
        (_records(store, name) if kind == "records" else store / "index" / f"{name}.parquet")
        for name in (first, second)
    )
    before = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(before)


def reseal(store: Path, change: Callable[[dict[str, Any]], object] = lambda info: None) -> None:
    """Makes the checksums of store.json those of the files that are there, after a change of its content."""
    info = json.loads((store / "store.json").read_bytes())
    for name in info["files"]:
        if (store / name).exists():
            info["files"][name] = file_entry((store / name).read_bytes())
    change(info)
    info["sha256"] = own_checksum_of(info)
    (store / "store.json").write_text(json.dumps(info, sort_keys=True, separators=(",", ":")))


def own_checksum_of(info: dict[str, Any]) -> str:
    """As a forger would make it; without one where the content has no canonical form."""
    try:
        return own_checksum(info)
    except ValueError:
        return "0" * 64


def reseal_shard(store: Path, shard: str, rows: list[dict[str, Any]] | None = None, **changes: Any) -> None:
    """Rewrites a shard's index part, with the size and the SHA-256 of its records, then store.json."""
    path = store / "index" / f"{shard}.parquet"
    table = pq.read_table(path)
    metadata = metadata_of(table, shard)
    name = _records(store, shard).relative_to(store).as_posix()
    metadata["files"][name] = file_entry(_records(store, shard).read_bytes())
    if rows is not None:
        table = pa.Table.from_pylist(rows, schema=table.schema)
    path.write_bytes(encode_part(with_metadata(table, {**metadata, **changes})))
    reseal(store)


def forged_records(store: Path, draw: random.Random) -> None:
    """Damaged bytes of records, with the sizes and checksums of files made right."""
    shard = _filled(store, draw)
    path = _records(store, shard)
    path.write_bytes(_changed(path.read_bytes(), draw))
    reseal_shard(store, shard)


def forged_example(store: Path, draw: random.Random) -> None:
    """Another content of a record, with every checksum made right."""
    shard = _filled(store, draw)
    path = _records(store, shard)
    data = path.read_bytes()
    rows = pq.read_table(store / "index" / f"{shard}.parquet").to_pylist()
    chosen = draw.randrange(len(rows))
    pieces = [data[row["offset"] : row["offset"] + row["length"]] for row in rows]
    pieces[chosen] = frame(encode_example(_forged(decode_example(unframe(pieces[chosen])), draw)))
    path.write_bytes(b"".join(pieces))
    offset = 0
    for row, piece in zip(rows, pieces, strict=True):
        row["offset"], row["length"] = offset, len(piece)
        offset += len(piece)

    def count(info: dict[str, Any]) -> None:
        split = info["splits"][shard.split("-")[0]]
        split["record_bytes"] += offset - len(data)

    reseal_shard(store, shard, rows)
    reseal(store, count)


def _forged(example: Example, draw: random.Random) -> Example:
    features = example.features.copy()
    match draw.randrange(6):
        case 0:
            features[draw.randrange(len(features)), 0] = draw.choice([np.nan, np.inf, -np.inf])
            return replace(example, features=features)
        case 1:
            return replace(example, label=1 - (example.label or 0))
        case 2:
            return replace(example, utterance_id="LA_X_0000000")
        case 3:
            return replace(example, copy=example.copy + 1)
        case 4:
            return replace(example, features=features[:-1])
        case _:
            return replace(example, attack_id="A99", speaker_id=None)


def forged_rows(store: Path, draw: random.Random) -> None:
    """Other rows of the index, with every checksum made right."""
    shard = _filled(store, draw)
    rows = pq.read_table(store / "index" / f"{shard}.parquet").to_pylist()
    row = draw.choice(rows)
    number = draw.choice([-2, 0, 3, 10**6, 2**61])
    changes: list[Callable[[], object]] = [
        lambda: row.update(label=draw.choice([1 - row["label"], 7, None])),
        lambda: row.update(offset=row["offset"] + number + 1),
        lambda: row.update(length=row["length"] + number + 1),
        lambda: row.update(n_frames=row["n_frames"] + number + 1),
        lambda: row.update(copy=row["copy"] + number + 1),
        lambda: row.update(utterance_id=draw.choice(["", "../x", "LA_T_0000000x"])),
        lambda: row.update(split="dev" if row["split"] != "dev" else "eval"),
        lambda: row.update(shard="eval-00007-of-00009"),
        lambda: row.update(twin_of=9),
        lambda: row.update(attack_id="A77"),
        lambda: row.update(speaker_id="nobody"),
        lambda: row.update(duration_s=draw.choice([math.nan, math.inf, -1.0, 0.0])),
        lambda: rows.append(dict(rows[-1])),
        lambda: rows.pop(),
        lambda: rows.clear(),
        lambda: rows.reverse() if len(rows) > 1 else rows.clear(),
    ]
    draw.choice(changes)()
    reseal_shard(store, shard, rows)


def forged_split(store: Path, draw: random.Random) -> None:
    """A train shard with the records, and at times the index, of an eval shard; every checksum made right."""
    source, target = _filled(store, draw, "eval"), _filled(store, draw, "train")
    shutil.copy(_records(store, source), _records(store, target))
    if draw.random() < 0.5:
        shutil.copy(store / "index" / f"{source}.parquet", store / "index" / f"{target}.parquet")
    reseal_shard(store, target)


def forged_metadata(store: Path, draw: random.Random) -> None:
    """Another value in the metadata of an index part."""
    shard = _filled(store, draw)
    key = draw.choice(["config", "files", "rejects", "frame_sums"])
    value = draw.choice([value for value in VALUES if value == value and value not in (math.inf, False, 0)])
    reseal_shard(store, shard, **{key: value})


def forged_info(store: Path, draw: random.Random) -> None:
    """Another value, a missing key or an unknown one anywhere in store.json, with its checksum made right."""
    reseal(store, lambda info: change_anywhere(info, draw))


def change_anywhere(value: Any, draw: random.Random) -> None:
    """Changes one value, removes one key or adds one, at any depth but in `sha256` of the top."""
    places = [place for place in _places(value) if place[1] != "sha256" or place[0] is not value]
    parent, key = draw.choice(places)
    if draw.random() < 0.25:
        parent.pop(key)
    elif isinstance(parent, dict) and draw.random() < 0.2:
        parent["surprise"] = 1
    else:
        parent[key] = draw.choice([new for new in VALUES if type(new) is not type(parent[key]) or new != parent[key]])


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from _places(item)


STORE_DAMAGES: tuple[Damage, ...] = (
    changed_bytes,
    changed_bytes,
    removed_file,
    emptied_shard,
    dropped_last_record,
    ten_times,
    train_replaced_by_eval,
    swapped_files,
    forged_records,
    forged_example,
    forged_example,
    forged_rows,
    forged_rows,
    forged_split,
    forged_metadata,
    forged_info,
    forged_info,
)


# Bundles


def forged_bundle(bundle: Path, draw: random.Random) -> None:
    """Another value, a missing key or an unknown one anywhere in bundle.json. Its checksum stays: with a right one, no reader can
    tell another intercept or band edge from that of a training."""
    path = bundle / "bundle.json"
    info = json.loads(path.read_text())
    change_anywhere(info, draw)
    path.write_text(json.dumps(info, indent=2, sort_keys=True))


def forged_key(bundle: Path, draw: random.Random) -> None:
    """A wrong value of what decides verdicts, with the checksum of bundle.json made right."""
    choices: list[Callable[[dict[str, Any]], object]] = [
        lambda info: info.update(threshold=draw.choice([math.nan, "0.5", None, info["threshold"] + 1])),
        lambda info: info["calibration"].update(slope=draw.choice([0.0, -1.0, math.nan, "1"])),
        lambda info: info["calibration"].update(intercept=draw.choice([math.nan, math.inf, None])),
        lambda info: info.pop("sha256"),
        lambda info: info["sha256"].pop("model.keras"),
        lambda info: info.update(bundle_version=draw.choice([1, 99, "3"])),
        lambda info: info["training"]["parameters"].update(crop_s=info["training"]["parameters"]["crop_s"] * 2),
        lambda info: info["front_end"]["parameters"].update(n_mels=info["front_end"]["parameters"]["n_mels"] + 1),
        lambda info: info["front_end"].update(version=99),
        lambda info: info["calibrated_on"].update(dev_spoof=info["calibrated_on"]["dev_spoof"] + 1),
    ]
    reseal_bundle(bundle, draw.choice(choices))


def forged_file(bundle: Path, draw: random.Random) -> None:
    """Damaged bytes of the network, the scores or the domain, with their checksum made right."""
    name = draw.choice(["model.keras", "dev_scores.txt", "domain.json"])
    path = bundle / name
    data = path.read_bytes()
    path.write_bytes(draw.choice([data[: len(data) // 2], b"", b"PK\x03\x04 no archive", _dropped_line(data)]))
    reseal_bundle(bundle, lambda info: info["sha256"].update({name: sha256_of(path)}))


def _dropped_line(data: bytes) -> bytes:
    return b"\n".join(data.split(b"\n")[1:])


def reseal_bundle(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the content of bundle.json and makes its checksum right again."""
    reseal_description(bundle / "bundle.json", change)


def reseal_description(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the content of a file that holds its own checksum, and makes that right again."""
    info = json.loads(path.read_text())
    change(info)
    info.pop("own_sha256", None)
    path.write_text(json.dumps(sealed(info), indent=2, sort_keys=True))


BUNDLE_DAMAGES: tuple[Damage, ...] = (changed_bytes, removed_file, forged_bundle, forged_key, forged_key, forged_file)


def damages(kinds: tuple[Damage, ...], count: int) -> list[tuple[int, Damage]]:
    """The first `count` damages, as seed and kind; each kind in turn."""
    return [(number, kinds[number % len(kinds)]) for number in range(count)]
