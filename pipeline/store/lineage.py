"""Lineage of a store: the configuration that made it, its fingerprint, and how two configurations differ."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from pipeline.frontends import FeatureParams, front_end_version
from pipeline.section import Section
from pipeline.store.digests import digest
from pipeline.store.schema import FORMAT_VERSION

_VERSIONED: Final = ("numba", "numpy", "pyarrow", "soundfile", "soxr")


@dataclass(frozen=True)
class Config:
    """All that decides the bytes of a store, except its utterances.

    A parameter that has its default is left out, so that a key which a later version adds with a default leaves the stores
    made before it current. The default of such a key therefore never changes.

    Attributes:
        features: Parameters of the front end, without those that only judge the result.
        augment: Parameters of the augmentation.
        versions: Versions of the format, the front end and the libraries that compute or encode values.
        n_bins: Bins of a spectrogram; follows from `features`.
    """

    features: dict[str, Any]
    augment: dict[str, Any]
    versions: dict[str, Any]
    n_bins: int

    @classmethod
    def current(cls, features: FeatureParams, augment: Section, libraries: Iterable[str] = ()) -> "Config":
        """The configuration of a run with these parameters and the installed libraries.

        Args:
            features: Of the front end.
            augment: Of the augmentation.
            libraries: Optional packages that this augmentation needs.
        """
        # The limit on rejects decides whether a run fails, not what it writes.
        return cls(
            features=features.model_dump(mode="json", exclude={"max_reject_fraction"}, exclude_defaults=True),
            augment=augment.model_dump(mode="json", exclude_defaults=True),
            versions=installed_versions(features.kind, libraries),
            n_bins=features.n_bins,
        )

    def as_dict(self) -> dict[str, Any]:
        """The configuration as store.json and every index part state it."""
        return {"features": self.features, "augment": self.augment, "versions": self.versions}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the configuration."""
        return digest(self.as_dict())


def installed_versions(kind: str, libraries: Iterable[str] = ()) -> dict[str, Any]:
    """Versions of the format, a kind of front end and the libraries that compute or encode values, in this process.

    Args:
        kind: Of front end.
        libraries: Optional packages beside those that every store needs; the version is None where one is not installed.
    """
    return {
        "format": FORMAT_VERSION,
        "front_end": front_end_version(kind),
        **{name: version(name) for name in _VERSIONED},
        **{name: _version_if_installed(name) for name in libraries},
    }


def _version_if_installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


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
