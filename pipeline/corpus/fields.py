"""The fields of a protocol beyond split, id, speaker, attack, label and path: codec, vocoder, subset, gender and others.

Manifest and index keep them in one column, `fields`, as a JSON object of strings: the columns are then the same for every corpus,
and equal fields give equal bytes.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from pipeline.errors import CorpusError

RESERVED: Final = frozenset(
    [
        "utterance_id",
        "split",
        "speaker_id",
        "attack_id",
        "label",
        "path",
        "fields",
        "sample_rate",
        "channels",
        "n_samples",
        "duration_s",
        "decoder",
        "sha256",
        "problem",
        "copy",
        "twin_of",
        "augmentation",
        "leading_silence_s",
        "trailing_silence_s",
        "source_duration_s",
        "level_db",
        "peak_db",
        "band_edge_hz",
        "n_frames",
        "shard",
        "offset",
        "length",
    ]
)
"""Columns of manifest and index. A field of a protocol with such a name gets another one."""


def pack_fields(fields: Mapping[str, str]) -> str | None:
    """The fields of an utterance as the manifest has them: JSON with sorted keys, or None where there are none."""
    if not fields:
        return None
    named = {f"protocol_{name}" if name in RESERVED else name: value for name, value in fields.items()}
    return json.dumps(named, sort_keys=True, separators=(",", ":"))


@lru_cache(maxsize=4096)
def unpack_fields(packed: str | None) -> Mapping[str, str]:
    """The fields that `pack_fields` packed, by name; the mapping is shared, so it must not be changed.

    Raises:
        CorpusError: The text is no JSON object of strings.
    """
    if packed is None:
        return {}
    try:
        fields = json.loads(packed)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise CorpusError(
            f"the fields of an utterance are no JSON object of strings: {packed[:60]!r}; check the feature store"
        )
    return fields
