"""One example of the store as bytes, and the TFRecord frame around it.

The bytes are those of a serialised `tf.train.Example` in a TFRecord. TensorFlow is not used, since importing it costs each
worker five seconds and half a gigabyte. Serialisation is deterministic: map keys are sorted.
"""

import struct
from dataclasses import dataclass
from typing import Final

import google_crc32c
import numpy as np
import numpy.typing as npt

from pipeline.errors import StoreError
from pipeline.store import example_pb2

_LENGTH: Final = struct.Struct("<Q")
_CHECKSUM: Final = struct.Struct("<I")
HEADER_BYTES: Final = _LENGTH.size + _CHECKSUM.size
FRAME_BYTES: Final = HEADER_BYTES + _CHECKSUM.size
"""Bytes that a TFRecord frame adds to its payload."""

_MASK_DELTA: Final = 0xA282EAD8
_UNLABELLED: Final = -1
_FEATURES: Final = "features"


@dataclass(frozen=True)
class Example:
    """One spectrogram of the store with its labels.

    Attributes:
        utterance_id: Id in the protocol.
        speaker_id: None where the protocol does not name one.
        attack_id: None for bona fide speech.
        label: 1 bona fide, 0 spoof, None for an unlabelled trial.
        copy: 0 for the original, 1 and up for augmented copies, then twins.
        features: Spectrogram, float16 [n_frames, n_bins], in dB.
    """

    utterance_id: str
    speaker_id: str | None
    attack_id: str | None
    label: int | None
    copy: int
    features: npt.NDArray[np.float16]


def encode_example(example: Example) -> bytes:
    """Serialises an example as a `tf.train.Example`. An absent speaker or attack is empty, an absent label is -1."""
    message = example_pb2.Example()
    _set_fields(message.features, _described(example))
    _set_fields(message.features, {_FEATURES: np.ascontiguousarray(example.features, dtype="<f2").tobytes()})
    serialised: bytes = message.SerializeToString(deterministic=True)
    return serialised


def bytes_after_features(example: Example) -> int:
    """Number of bytes of the whole TFRecord frame that follow the features of an example, its last checksum included.

    The fields are serialised in the order of their names. With the length of the record this gives the place of each frame.
    """
    later = {name: value for name, value in _described(example).items() if name > _FEATURES}
    message = example_pb2.Features()
    _set_fields(message, later)
    return int(message.ByteSize()) + _CHECKSUM.size


def decode_example(payload: bytes) -> Example:
    """Parses the bytes that `encode_example` makes.

    Raises:
        StoreError: The payload is not an example of a feature store.
    """
    try:
        feature = example_pb2.Example.FromString(payload).features.feature
        texts = {
            name: feature[name].bytes_list.value[0].decode() for name in ("utterance_id", "speaker_id", "attack_id")
        }
        label, copy, n_frames, n_bins = (
            feature[name].int64_list.value[0] for name in ("label", "copy", "n_frames", "n_bins")
        )
        values = np.frombuffer(feature[_FEATURES].bytes_list.value[0], dtype="<f2").reshape(n_frames, n_bins)
    except Exception as error:  # the protobuf library's own exceptions differ between its implementations
        raise StoreError(f"not an example of a feature store: {error}") from error
    return Example(
        utterance_id=texts["utterance_id"],
        speaker_id=texts["speaker_id"] or None,
        attack_id=texts["attack_id"] or None,
        label=None if label == _UNLABELLED else label,
        copy=copy,
        features=values.astype(np.float16, copy=False),
    )


def frame(payload: bytes) -> bytes:
    """Puts a TFRecord frame around a payload: length, checksum of the length, payload, checksum of the payload."""
    length = _LENGTH.pack(len(payload))
    return b"".join((length, _CHECKSUM.pack(masked_crc32c(length)), payload, _CHECKSUM.pack(masked_crc32c(payload))))


def payload_length(record: bytes) -> int:
    """The length of the payload in bytes, from the first `HEADER_BYTES` of a TFRecord frame.

    Raises:
        StoreError: There are fewer bytes, or their checksum is wrong.
    """
    if len(record) < HEADER_BYTES:
        raise StoreError(f"a record of {len(record)} bytes is shorter than its frame")
    if _CHECKSUM.unpack_from(record, _LENGTH.size)[0] != masked_crc32c(record[: _LENGTH.size]):
        raise StoreError("the checksum of the record's length is wrong")
    length: int = _LENGTH.unpack_from(record)[0]
    return length


def unframe(record: bytes) -> bytes:
    """Gives the payload of one whole TFRecord frame.

    Raises:
        StoreError: The length or a checksum is wrong.
    """
    length = payload_length(record)
    if length != len(record) - FRAME_BYTES:
        raise StoreError(f"the record's length is {length} bytes, {len(record) - FRAME_BYTES} are expected")
    payload = record[HEADER_BYTES : -_CHECKSUM.size]
    if _CHECKSUM.unpack_from(record, len(record) - _CHECKSUM.size)[0] != masked_crc32c(payload):
        raise StoreError("the checksum of the record's data is wrong")
    return payload


def masked_crc32c(data: bytes) -> int:
    """CRC-32C, rotated right by 15 bits plus a constant, as the TFRecord format defines it."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _described(example: Example) -> dict[str, bytes | int]:
    """The fields of the message but for the features."""
    n_frames, n_bins = example.features.shape
    return {
        "utterance_id": example.utterance_id.encode(),
        "speaker_id": (example.speaker_id or "").encode(),
        "attack_id": (example.attack_id or "").encode(),
        "label": _UNLABELLED if example.label is None else example.label,
        "copy": example.copy,
        "n_frames": n_frames,
        "n_bins": n_bins,
    }


def _set_fields(message: example_pb2.Features, fields: dict[str, bytes | int]) -> None:
    for name, value in fields.items():
        if isinstance(value, bytes):
            message.feature[name].bytes_list.value.append(value)
        else:
            message.feature[name].int64_list.value.append(value)
