"""store.json, the file that makes a store complete: read, with the shape of its content checked.

A file with a right checksum of its own can still have been made by another program, so every value that a reader uses is
checked for its type and its range.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ParamsError, StoreError
from pipeline.frontends import FeatureParams, parse_features
from pipeline.storage import Storage
from pipeline.store.digests import digest, own_checksum
from pipeline.store.schema import (
    FORMAT_VERSION,
    INDEX_FOLDER,
    STORE_FILE,
    in_order,
    is_store_file,
    shard_files,
    shard_of,
    shard_position,
    shard_split,
)

_REMEDY: Final = "see `bonafide store verify`, or run `bonafide features`, which writes it again"

_Count = Annotated[int, Field(ge=0)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Entry(_Part):
    size: _Count
    sha256: _Digest


class _Counts(_Part):
    shards: _Count
    utterances: _Count
    examples: _Count
    rejects: _Count
    bona_fide: _Count
    spoof: _Count
    unlabelled: _Count
    beyond_range: _Count
    duration_s: _Finite
    record_bytes: _Count


class _Statistics(_Part):
    mean: list[_Finite]
    deviation: list[Annotated[_Finite, Field(ge=0)]]
    n_frames: _Count


class _CopySynthesis(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    copies: _Count


class _Augment(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    copies: _Count
    copy_synthesis: _CopySynthesis | None = None


class _Parameters(_Part):
    features: dict[str, Any]
    augment: _Augment


class _Info(_Part):
    format_version: int
    front_end_version: int
    config_fingerprint: _Digest
    parameters: _Parameters
    versions: dict[str, int | str]
    splits: dict[Literal["train", "dev", "eval"], _Counts]
    statistics: _Statistics
    files: dict[str, _Entry]
    sha256: _Digest


def parse_info(data: bytes) -> dict[str, Any]:
    """The content of store.json; that of another format version is not checked.

    Raises:
        ValueError: It is not JSON, its own checksum is wrong, or a value has the wrong type or is missing.
    """
    try:
        info = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(info, dict) or not {"format_version", "sha256"} <= info.keys():
        raise ValueError("it has no format_version or no sha256")
    if info["format_version"] != FORMAT_VERSION:  # of another shape
        return info
    if own_checksum(info) != info["sha256"]:
        raise ValueError("its own SHA-256 is wrong")
    try:
        _Info.model_validate(info)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    _check_files(info)
    return info


def read_info(storage: Storage) -> dict[str, Any]:
    """Reads store.json.

    Raises:
        StoreError: It is missing, damaged, or of another format version.
    """
    if not storage.exists(STORE_FILE):
        raise StoreError(
            f"{storage.url}: no complete feature store (no {STORE_FILE}); make or finish it with `bonafide features`"
        )
    try:
        info = parse_info(storage.read(STORE_FILE))
    except ValueError as error:
        raise _damaged(storage, str(error)) from error
    if info["format_version"] != FORMAT_VERSION:
        raise StoreError(
            f"{storage.url} has format version {info['format_version']}, this program reads {FORMAT_VERSION}; "
            "make it again with `bonafide features`"
        )
    if not is_own_fingerprint(info):
        raise _damaged(storage, "config_fingerprint is not that of its parameters and versions")
    try:
        n_bins = stored_features(info, storage.url).n_bins
    except ParamsError as error:
        raise StoreError(f"{error}; make the store again with `bonafide features`") from error
    if not len(info["statistics"]["mean"]) == len(info["statistics"]["deviation"]) == n_bins:
        raise _damaged(storage, f"its statistics are not of the {n_bins} bins of its front end")
    return info


def is_own_fingerprint(info: Mapping[str, Any]) -> bool:
    """Whether the fingerprint that store.json states is that of its parameters and versions."""
    stated: str = info["config_fingerprint"]
    return digest({**info["parameters"], "versions": info["versions"]}) == stated


def stored_features(info: Mapping[str, Any], where: str) -> FeatureParams:
    """The front end that store.json states; `max_reject_fraction`, which no byte depends on, is 1.

    Raises:
        ParamsError: It is of a kind, or has a parameter, that this program does not know.
    """
    return parse_features({**info["parameters"]["features"], "max_reject_fraction": 1.0}, f"{where}/{STORE_FILE}")


def copies_and_twins(info: Mapping[str, Any]) -> tuple[int, int]:
    """Augmented copies of each train clip, and twins of each copy of a bona fide train clip."""
    augment = info["parameters"]["augment"]
    # Absent where it has its default.
    return augment["copies"], (augment.get("copy_synthesis") or {"copies": 0})["copies"]


def shards_of_info(info: Mapping[str, Any]) -> list[str]:
    """The names of a store's shards, in order."""
    return in_order(shard_of(name) for name in info["files"] if name.startswith(f"{INDEX_FOLDER}/"))


def _check_files(info: Mapping[str, Any]) -> None:
    """Makes sure that all files of all shards are named, and no others."""
    files = set(info["files"])
    foreign = sorted(name for name in files if not is_store_file(name) or name == STORE_FILE)
    if foreign:
        raise ValueError(f"files: {foreign[0]!r} is not a file of a store")
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    totals: defaultdict[str, set[int]] = defaultdict(set)
    for shard in {shard_of(name) for name in files}:
        missing = sorted(set(shard_files(shard)) - files)
        if missing:
            raise ValueError(f"files: {missing[0]} is missing")
        number, total = shard_position(shard)
        numbers[shard_split(shard)].add(number)
        totals[shard_split(shard)].add(total)
    for split, counts in info["splits"].items():
        if not _are_all(numbers[split], totals[split]) or counts["shards"] != len(numbers[split]):
            raise ValueError(f"files: they are not those of all {counts['shards']} shards of {split}")
    if numbers.keys() != info["splits"].keys():
        raise ValueError("splits: they are not those of its files")


def _are_all(numbers: set[int], totals: Iterable[int]) -> bool:
    return [set(range(total)) for total in totals] == ([numbers] if numbers else [])


def _damaged(storage: Storage, reason: str) -> StoreError:
    return StoreError(f"{storage.url}/{STORE_FILE} is damaged: {reason}; {_REMEDY}")
