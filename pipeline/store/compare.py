"""The differences between two feature stores: parameters and versions, utterances, bytes."""

from dataclasses import dataclass
from typing import Any, Final

from pipeline.store.lineage import differences
from pipeline.store.reader import FeatureStore

_COMPARED: Final = ("split", "label", "attack_id", "speaker_id", "fields", "sha256")
_NAMES: Final = {"sha256": "audio"}


@dataclass(frozen=True)
class Comparison:
    """The differences between a first and a second store.

    Attributes:
        parameters: Lines such as "features.n_mels 80 → 96", also for the versions of the format and the libraries.
        added: Ids of utterances that only the second store has, sorted.
        removed: Ids of utterances that only the first store has, sorted.
        changed: What changed, by utterance id, such as ["label", "audio"].
        files: Names of files that only one store has, or that differ, sorted.
    """

    parameters: list[str]
    added: list[str]
    removed: list[str]
    changed: dict[str, list[str]]
    files: list[str]

    @property
    def same(self) -> bool:
        """Whether the stores are equal byte for byte."""
        return not (self.parameters or self.files)


def compare(first: FeatureStore, second: FeatureStore) -> Comparison:
    """Compares store.json and the index of two stores; records are not read."""
    before, after = _utterances(first), _utterances(second)
    changed = {
        utterance_id: [
            _NAMES.get(name, name)
            for name, old, new in zip(_COMPARED, before[utterance_id], after[utterance_id], strict=True)
            if old != new
        ]
        for utterance_id in sorted(before.keys() & after.keys())
        if before[utterance_id] != after[utterance_id]
    }
    files = first.info["files"], second.info["files"]
    return Comparison(
        parameters=differences(_configuration(first), _configuration(second)),
        added=sorted(after.keys() - before.keys()),
        removed=sorted(before.keys() - after.keys()),
        changed=changed,
        files=sorted(name for name in {**files[0], **files[1]} if files[0].get(name) != files[1].get(name)),
    )


def _configuration(store: FeatureStore) -> dict[str, Any]:
    return {**store.info["parameters"], "versions": store.info["versions"]}


def _utterances(store: FeatureStore) -> dict[str, tuple[Any, ...]]:
    originals = store.select(copy=0).index
    columns = (originals[name].to_pylist() for name in ("utterance_id", *_COMPARED))
    return {utterance_id: tuple(values) for utterance_id, *values in zip(*columns, strict=True)}
