"""Where a store comes from: its configuration, its fingerprint, and what differs between two of them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from pipeline.frontends import FeatureParams, front_end_version
from pipeline.params import AugmentParams
from pipeline.store.schema import FORMAT_VERSION


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, as hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON that is the same for equal values: sorted keys, no blanks, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed between two nested mappings, as lines such as "features.n_mels 80 → 96"."""
    before, after = dict(_flat(old)), dict(_flat(new))
    return [
        f"{key} {json.dumps(before.get(key, 'absent'))} → {json.dumps(after.get(key, 'absent'))}".replace('"', "")
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _flat(value: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


_VERSIONED: Final = ("numba", "numpy", "pyarrow", "scipy", "soundfile", "soxr")


@dataclass(frozen=True)
class Config:
    """What decides the bytes of a store beside its utterances.

    A parameter that has its default is left out, so that a key which a later version of the program adds with a default
    leaves the stores made before it current. The default of such a key therefore never changes.

    Attributes:
        features: The front end, without what only judges the result.
        augment: The augmentation.
        versions: Of the format, the front end and the libraries that compute or encode values.
        n_bins: Bins of a spectrogram; follows from `features`.
    """

    features: dict[str, Any]
    augment: dict[str, Any]
    versions: dict[str, Any]
    n_bins: int

    @classmethod
    def current(cls, features: FeatureParams, augment: AugmentParams) -> "Config":
        """The configuration of a run with these parameters and the installed libraries."""
        # A limit on rejects changes whether a run fails, not what it writes.
        return cls(
            features=features.model_dump(mode="json", exclude={"max_reject_fraction"}, exclude_defaults=True),
            augment=augment.model_dump(mode="json", exclude_defaults=True),
            versions=installed_versions(features.kind),
            n_bins=features.n_bins,
        )

    def as_dict(self) -> dict[str, Any]:
        """The configuration as it stands in store.json and in every index part."""
        return {"features": self.features, "augment": self.augment, "versions": self.versions}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the configuration."""
        return digest(self.as_dict())


def installed_versions(kind: str) -> dict[str, Any]:
    """Versions of the format, a kind of front end and the libraries that compute or encode values, in this process."""
    return {
        "format": FORMAT_VERSION,
        "front_end": front_end_version(kind),
        **{name: version(name) for name in _VERSIONED},
    }


def described(data: bytes) -> dict[str, Any]:
    """Size in bytes and SHA-256 of a file's content, as store.json and the index parts state them."""
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
