"""The vocabulary of a corpus: splits, labels and their names, reasons for rejects, and the columns of the manifest."""

from typing import Final, Literal

import pyarrow as pa

SPLITS: Final = ("train", "dev", "eval")

Split = Literal["train", "dev", "eval"]

BONA_FIDE: Final = 1
SPOOF: Final = 0

TWIN_ATTACK_PREFIX: Final = "CS-"
"""Attacks that begin so are ours, of twins made by copy-synthesis; no protocol may name one."""

_LABEL_NAMES: Final = {BONA_FIDE: "bona fide", SPOOF: "spoof", None: "unlabelled"}

REJECT_REASONS: Final = (
    "missing",
    "unreadable",
    "truncated",
    "empty",
    "too_short",
    "too_long",
    "not_finite",
    "silent",
    "unsupported_format",
    "duration_mismatch",
    "changed",
)

DECODERS: Final = ("flac", "flac_beyond_range", "libsndfile", "ffmpeg")
"""What reads an audio file: the decoder of this package, which reads FLAC; the same, of a stream that libFLAC refuses since
samples are one step above full scale; libsndfile; FFmpeg, through `av`."""

MANIFEST_SCHEMA: Final = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("speaker_id", pa.string()),
        pa.field("attack_id", pa.string()),
        pa.field("label", pa.int64()),
        pa.field("fields", pa.string()),
        pa.field("path", pa.string(), nullable=False),
        pa.field("sample_rate", pa.int64()),
        pa.field("channels", pa.int64()),
        pa.field("n_samples", pa.int64()),
        pa.field("duration_s", pa.float64()),
        pa.field("decoder", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("problem", pa.string()),
    ]
)
"""One row per protocol line. `label`: 1 bona fide, 0 spoof, null where the protocol has none. `fields`: the other fields of
the protocol, as `pipeline.corpus.fields` packs them, null where it has none. `decoder`: one of
`DECODERS`, by the header; samples above full scale are found by decoding only. The fields read from the file
are null and `problem` is "reason: detail" where the file cannot be used."""


def label_name(label: int | None) -> str:
    """Name of a class for people: "bona fide", "spoof", or "unlabelled" for None."""
    return _LABEL_NAMES[label]


def label_key(label: int | None) -> str:
    """Name of a class as a key of JSON and tables: "bona_fide", "spoof", or "unlabelled" for None."""
    return label_name(label).replace(" ", "_")
