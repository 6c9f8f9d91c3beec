"""Decoding: what comes back is fit for use, and what does not has a reason."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.decode import decode, decode_bytes, inspect_header
from pipeline.audio.level import limit_peak
from pipeline.corpus.schema import REJECT_REASONS
from pipeline.errors import AudioError
from pipeline.frontends import FeatureParams
from pipeline.params import load_params
from tests.support.flac_writer import encode
from tests.support.speech import RATE, noise


@pytest.fixture(scope="module")
def params(repository: Path) -> FeatureParams:
    return load_params(repository / "params.yaml").features


def encoded(
    samples: npt.NDArray[np.float32], rate: int = RATE, kind: str = "FLAC", subtype: str | None = None
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


def with_flac_length(data: bytes, n_samples: int) -> bytes:
    return data[:22] + n_samples.to_bytes(4, "big") + data[26:]


def reason_of(data: bytes, params: FeatureParams) -> str:
    with pytest.raises(AudioError) as caught:
        decode_bytes(data, params)
    assert caught.value.reason in REJECT_REASONS
    return caught.value.reason


FLAC = encoded(noise())
WAV = encoded(noise(), kind="WAV")


def test_decode_returns_the_samples_of_the_file(tmp_path: Path, params: FeatureParams) -> None:
    path = tmp_path / "clip.flac"
    path.write_bytes(FLAC)
    decoded = decode(path, params, hashlib.sha256(FLAC).hexdigest())
    assert decoded.waveform.dtype == np.float32
    np.testing.assert_allclose(decoded.waveform, noise(), atol=1.0 / 2**15)
    assert decoded.source_duration_s == 1.0
    assert decoded.sha256 == hashlib.sha256(FLAC).hexdigest()
    header = inspect_header(path)
    assert (header.sample_rate, header.channels, header.n_samples, header.duration_s) == (RATE, 1, RATE, 1.0)


@pytest.mark.parametrize("name", ["with blank.flac", "żółw ゾウ.wav", "upper.FLAC"])
def test_names_do_not_matter(tmp_path: Path, params: FeatureParams, name: str) -> None:
    (tmp_path / name).write_bytes(WAV if name.endswith("wav") else FLAC)
    assert len(decode(tmp_path / name, params).waveform) == inspect_header(tmp_path / name).n_samples == RATE


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(noise(), subtype="PCM_24"), id="24 bit"),
        pytest.param(encoded(noise(), kind="WAV", subtype="FLOAT"), id="float"),
        pytest.param(encoded(noise(), kind="WAV", subtype="DOUBLE"), id="double"),
        pytest.param(encoded(np.stack([noise()] * 8, axis=1)), id="8 channels"),
        pytest.param(with_flac_length(FLAC, 0), id="FLAC from a stream, length unknown"),
        pytest.param(
            b"ID3\x03\x00\x00\x00\x00\x00\x09" + bytes(9) + with_flac_length(FLAC, 0),
            id="FLAC of unknown length behind a tag",
        ),
        pytest.param(WAV[:40] + b"\xff\xff\xff\xff" + WAV[44:], id="WAV from a stream, length unknown"),
        pytest.param(FLAC + b"TAG" + bytes(125), id="tag behind the audio"),
    ],
)
def test_usable_kinds_of_file_give_the_same_waveform(tmp_path: Path, params: FeatureParams, data: bytes) -> None:
    np.testing.assert_allclose(decode_bytes(data, params).waveform, noise(), atol=1.0 / 2**15)
    (tmp_path / "clip").write_bytes(data)
    assert inspect_header(tmp_path / "clip").n_samples == RATE


def test_channels_are_averaged(params: FeatureParams) -> None:
    left, right = noise(seed=1), noise(seed=2)
    decoded = decode_bytes(encoded(np.stack([left, right], axis=1), kind="WAV", subtype="FLOAT"), params)
    np.testing.assert_allclose(decoded.waveform, (left + right) / 2.0, atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 192000])
def test_other_rates_are_resampled_without_a_change_of_pitch_or_level(params: FeatureParams, rate: int) -> None:
    tone = (0.5 * np.sin(2.0 * np.pi * 1000.0 * np.arange(rate) / rate)).astype(np.float32)
    decoded = decode_bytes(encoded(tone, rate, subtype="PCM_24"), params)
    assert abs(len(decoded.waveform) - RATE) <= 1
    expected = 0.5 * np.sin(2.0 * np.pi * 1000.0 * np.arange(len(decoded.waveform)) / RATE)
    np.testing.assert_allclose(decoded.waveform[500:-500], expected[500:-500], atol=1e-4)
    assert decoded.source_duration_s == 1.0


def test_louder_than_full_scale_is_scaled_down_and_nothing_else_is(params: FeatureParams) -> None:
    loud = noise(peak=4.0)
    decoded = decode_bytes(encoded(loud, kind="WAV", subtype="FLOAT"), params)
    np.testing.assert_allclose(decoded.waveform, loud / 4.0, atol=1e-6)
    assert np.abs(decoded.waveform).max() == 1.0
    quiet = noise(peak=0.9)
    assert limit_peak(quiet) is quiet


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty", id="no bytes"),
        pytest.param(encoded(noise(0), kind="WAV"), "empty", id="no samples"),
        pytest.param(b"This was never a sound.\n" * 50, "unsupported_format", id="text"),
        pytest.param(bytes(5000), "unsupported_format", id="zeros"),
        pytest.param(b"\0\0\0\x20ftypM4A " + bytes(500), "unreadable", id="MP4 without audio"),
        pytest.param(WAV[:20] + b"\x21\x43" + WAV[22:], "unsupported_format", id="unknown WAV codec"),
        pytest.param(encoded(noise(), rate=500, kind="WAV"), "unsupported_format", id="absurd sample rate"),
        pytest.param(FLAC[:20], "truncated", id="FLAC cut within its header"),
        pytest.param(FLAC[:86], "truncated", id="FLAC cut behind its header"),
        pytest.param(FLAC[: len(FLAC) // 2], "truncated", id="half a FLAC"),
        pytest.param(FLAC[:-1], "truncated", id="FLAC without its last byte"),
        pytest.param(WAV[:30], "truncated", id="WAV cut within its header"),
        pytest.param(WAV[: len(WAV) // 2], "truncated", id="half a WAV"),
        pytest.param(WAV[:-1], "truncated", id="WAV without its last byte"),
        pytest.param(flipped(FLAC, len(FLAC) // 2), "unreadable", id="FLAC damaged inside"),
        pytest.param(with_flac_length(FLAC, RATE + 1), "duration_mismatch", id="header states a sample too many"),
        pytest.param(with_flac_length(FLAC, RATE - 1), "duration_mismatch", id="header states a sample too few"),
        pytest.param(with_flac_length(FLAC, 0xFFFFFFFF), "duration_mismatch", id="header states three days"),
        pytest.param(encoded(noise(1)), "too_short", id="one sample"),
        pytest.param(encoded(noise(RATE // 10 - 1)), "too_short", id="a sample too short"),
        pytest.param(encoded(np.zeros(RATE, np.float32)), "silent", id="digital silence"),
        pytest.param(encoded(noise(peak=0.5e-4), subtype="PCM_24"), "silent", id="far too quiet"),
        pytest.param(encoded(np.stack([noise(), -noise()], axis=1), kind="WAV"), "silent", id="channels cancel"),
    ],
)
def test_unusable_bytes_have_their_reason(data: bytes, reason: str, params: FeatureParams) -> None:
    assert reason_of(data, params) == reason


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_enough(value: float, params: FeatureParams) -> None:
    samples = noise()
    samples[777] = value
    assert reason_of(encoded(samples, kind="WAV", subtype="FLOAT"), params) == "not_finite"


def test_bytes_other_than_the_manifests_are_changed(params: FeatureParams) -> None:
    with pytest.raises(AudioError, match="bonafide manifest") as caught:
        decode_bytes(FLAC, params, hashlib.sha256(WAV).hexdigest())
    assert caught.value.reason == "changed"


def test_paths_without_a_file_have_their_reason(tmp_path: Path, params: FeatureParams) -> None:
    (tmp_path / "folder.flac").mkdir()
    (tmp_path / "dangling.flac").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.flac")
    expected = {
        "absent.flac": "missing",
        "dangling.flac": "missing",
        "folder.flac": "unreadable",
        "pipe.flac": "unreadable",
    }
    for name, reason in expected.items():
        for read in (lambda path: decode(path, params), inspect_header):
            with pytest.raises(AudioError) as caught:
                read(tmp_path / name)
            assert caught.value.reason == reason, name
            assert str(tmp_path) not in caught.value.detail


def test_inspection_refuses_what_the_header_gives_away(tmp_path: Path) -> None:
    for data, reason in [
        (b"", "empty"),
        (b"text\n" * 99, "unsupported_format"),
        (FLAC[:20], "truncated"),
        (WAV[:9000], "truncated"),
        (encoded(noise(0), kind="WAV"), "empty"),
    ]:
        (tmp_path / "clip.flac").write_bytes(data)
        with pytest.raises(AudioError) as caught:
            inspect_header(tmp_path / "clip.flac")
        assert caught.value.reason == reason
        assert str(tmp_path) not in caught.value.detail


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_is_refused_or_harmless_but_never_a_crash(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([FLAC, WAV]))
    start = data.draw(st.integers(0, len(source) - 1))
    damage = data.draw(st.binary(max_size=16))
    damaged = source[:start] + damage + (source[start + len(damage) :] if data.draw(st.booleans()) else b"")
    params = load_params(Path(__file__).resolve().parents[3] / "params.yaml").features
    try:
        waveform = decode_bytes(damaged, params).waveform
    except AudioError as error:
        waveform = np.zeros(1, np.float32)
        reason = error.reason
    else:
        reason = REJECT_REASONS[0]
    assert reason in REJECT_REASONS
    assert np.isfinite(waveform).all()
    assert np.abs(waveform).max() <= 1.0


def test_flac_above_full_scale_is_read_and_its_decoder_told(params: FeatureParams) -> None:
    samples = (noise() * 32768).round().astype(np.int64)
    samples[5000] = 32_768
    decoded = decode_bytes(encode(samples[None]), params)
    assert decoded.decoder == "flac_beyond_range"
    assert decoded.waveform.max() == decoded.waveform[5000] == 1.0
    assert decode_bytes(FLAC, params).decoder == "flac"
    assert decode_bytes(WAV, params).decoder == "libsndfile"
