"""The bytes of a record: pinned, and read by TensorFlow and by a third party's TFRecord reader."""

import hashlib
import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.errors import StoreError
from pipeline.store import FeatureStore
from pipeline.store.records import (
    HEADER_BYTES,
    Example,
    decode_example,
    encode_example,
    frame,
    masked_crc32c,
    payload_length,
    unframe,
)
from tests.support.synthetic_store import manifest_of, small_params, write_store

GOLDEN_EXAMPLE = Example("LA_T_1", "LA_0079", "A01", 0, 2, np.array([[-100, -0.5], [1, 2]], dtype=np.float16))
GOLDEN_RECORD = bytes.fromhex(
    "ad000000000000003f2952180aaa010a140a0961747461636b5f696412070a050a034130310a0d0a04636f707912051a"
    "030a01020a180a086665617475726573120c0a0a0a0840d600b8003c00400a0e0a056c6162656c12051a030a01000a0f"
    "0a066e5f62696e7312051a030a01020a110a086e5f6672616d657312051a030a01020a190a0a737065616b65725f6964"
    "120b0a090a074c415f303037390a1a0a0c7574746572616e63655f6964120a0a080a064c415f545f313fca80ff"
)


def test_golden_bytes() -> None:
    record = frame(encode_example(GOLDEN_EXAMPLE))
    assert record == GOLDEN_RECORD


@pytest.mark.parametrize(
    ("data", "crc"),
    # Masked values of the CRC-32C vectors of RFC 3720, appendix B.4: rotated right by 15 bits plus 0xa282ead8.
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)],
)
def test_checksum_is_the_masked_crc_of_rfc_3720(data: bytes, crc: int) -> None:
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    assert masked_crc32c(data) == (rotated + 0xA282EAD8) & 0xFFFFFFFF


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@given(
    names,
    st.none() | names,
    st.none() | names,
    st.sampled_from([0, 1, None]),
    st.integers(0, 100),
    arrays(np.float16, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=st.floats(-100, 100, width=16)),
)
def test_what_is_encoded_comes_back(
    utterance_id: str, speaker: str | None, attack: str | None, label: int | None, copy: int, values: np.ndarray
) -> None:
    example = Example(utterance_id, speaker, attack, label, copy, values)
    record = frame(encode_example(example))
    back = decode_example(unframe(record))
    assert (back.utterance_id, back.speaker_id, back.attack_id) == (utterance_id, speaker, attack)
    assert (back.label, back.copy) == (label, copy)
    assert back.features.dtype == np.float16
    np.testing.assert_array_equal(back.features, values)
    assert payload_length(record[:HEADER_BYTES]) == len(unframe(record))


def test_every_flipped_bit_of_a_record_is_refused() -> None:
    record = frame(encode_example(GOLDEN_EXAMPLE))
    for place in range(len(record)):
        for bit in range(8):
            damaged = record[:place] + bytes([record[place] ^ 1 << bit]) + record[place + 1 :]
            with pytest.raises(StoreError, match="checksum"):
                unframe(damaged)


def test_cut_or_longer_record_is_refused() -> None:
    record = frame(b"payload")
    for damaged in (b"", record[:5], record[:-1], record + b"x"):
        with pytest.raises(StoreError):
            unframe(damaged)


def test_payload_that_is_no_example_is_refused() -> None:
    for payload in (b"", b"\xff\xff", encode_example(GOLDEN_EXAMPLE)[:-3]):
        with pytest.raises(StoreError, match="not an example"):
            decode_example(payload)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("records") / "store"
    write_store(folder, manifest_of(), small_params())
    return FeatureStore.open(folder)


def test_tensorflow_reads_the_records(store: FeatureStore) -> None:
    import tensorflow as tf

    description = {
        **dict.fromkeys(("utterance_id", "speaker_id", "attack_id", "features"), tf.io.FixedLenFeature([], tf.string)),
        **dict.fromkeys(("label", "copy", "n_frames", "n_bins"), tf.io.FixedLenFeature([], tf.int64)),
    }
    files = [store.records_url(shard) for shard in store.shards("train")]
    seen = 0
    for serialised in tf.data.TFRecordDataset(files):
        parsed = {name: value.numpy() for name, value in tf.io.parse_single_example(serialised, description).items()}
        values = tf.io.decode_raw(parsed["features"], tf.float16, little_endian=True).numpy()
        example = store.get(parsed["utterance_id"].decode(), int(parsed["copy"]))
        np.testing.assert_array_equal(values.reshape(parsed["n_frames"], parsed["n_bins"]), example.features)
        assert parsed["label"] == example.label
        assert parsed["attack_id"].decode() == (example.attack_id or "")
        assert parsed["speaker_id"].decode() == example.speaker_id
        seen += 1
    assert seen == len(store.select(split="train"))


def test_tensorflow_serialises_the_same_bytes() -> None:
    import tensorflow as tf

    def text(value: bytes) -> "tf.train.Feature":
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def number(value: int) -> "tf.train.Feature":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    feature = {
        "utterance_id": text(b"LA_T_1"),
        "speaker_id": text(b"LA_0079"),
        "attack_id": text(b"A01"),
        "label": number(0),
        "copy": number(2),
        "n_frames": number(2),
        "n_bins": number(2),
        "features": text(struct.pack("<4e", -100, -0.5, 1, 2)),
    }
    message = tf.train.Example(features=tf.train.Features(feature=feature))
    assert message.SerializeToString(deterministic=True) == encode_example(GOLDEN_EXAMPLE)


# In a process of its own: this reader and TensorFlow register the same protocol buffer names.
READ = """
import hashlib, json, sys
from tfrecord.reader import tfrecord_loader
description = {"utterance_id": "byte", "label": "int", "n_frames": "int", "features": "byte"}
for record in tfrecord_loader(sys.argv[1], None, description):
    label, n_frames = int(record["label"][0]), int(record["n_frames"][0])
    digest = hashlib.sha256(bytes(record["features"])).hexdigest()
    print(json.dumps([bytes(record["utterance_id"]).decode(), label, n_frames, digest]))
"""


def test_third_party_reader_reads_the_records(store: FeatureStore) -> None:
    (shard,) = store.shards("dev")[:1]
    command = [sys.executable, "-c", READ, store.records_url(shard)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    expected = [
        [row["utterance_id"], row["label"], row["n_frames"], digest_of(store.get(row["utterance_id"]).features)]
        for row in store.select(shard=shard).index.to_pylist()
    ]
    assert [json.loads(line) for line in lines] == expected


def digest_of(values: np.ndarray) -> str:
    return hashlib.sha256(values.astype("<f2").tobytes()).hexdigest()
