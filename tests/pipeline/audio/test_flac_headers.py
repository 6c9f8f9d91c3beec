"""FLAC headers against the audio behind them, and clips that are too long to decode as a whole."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.decode import decode, decode_bytes, inspect_header
from pipeline.errors import AudioError
from tests.support.flac_bytes import constant_flac, with_stream_info
from tests.support.front_ends import LOG_MEL
from tests.support.hostile_audio import encoded
from tests.support.synthetic_corpus import SAMPLE_RATE, waveform

HOURS = 36_000 * SAMPLE_RATE
CLIP = waveform("clip", 1.0)


def refusal(data: bytes) -> AudioError:
    with pytest.raises(AudioError) as caught:
        decode_bytes(data, LOG_MEL)
    return caught.value


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rate": 8000}, "it states 8000 Hz, 1 channels, 16 bits, and the frame"),
        ({"channels": 2}, "it states 16000 Hz, 2 channels, 16 bits, and the frame"),
        ({"bits": 24}, "it states 16000 Hz, 1 channels, 24 bits, and the frame"),
    ],
)
def test_a_header_that_the_first_frame_contradicts_is_damaged(
    tmp_path: Path, changes: dict[str, int], told: str
) -> None:
    data = with_stream_info(encoded(CLIP), **changes)
    assert refusal(data).reason == "unreadable"
    assert told in refusal(data).detail
    (tmp_path / "clip.flac").write_bytes(data)
    with pytest.raises(AudioError, match=told):
        inspect_header(tmp_path / "clip.flac")


def test_samples_without_the_md5_of_the_header_are_damaged() -> None:
    data = encoded(CLIP)
    changed = data[:30] + bytes([data[30] ^ 1]) + data[31:]
    assert "MD5" in refusal(changed).detail
    without = data[:26] + bytes(16) + data[42:]
    np.testing.assert_array_equal(decode_bytes(without, LOG_MEL).waveform, decode_bytes(data, LOG_MEL).waveform)


@pytest.mark.parametrize("stated", [None, 0, 1 << 35, 2**36 - 1])
def test_ten_hours_in_130_kilobytes_are_refused_in_little_memory(tmp_path: Path, stated: int | None) -> None:
    data = constant_flac(HOURS, stated)
    assert len(data) < 140_000
    (tmp_path / "clip.flac").write_bytes(data)
    for read in (lambda path: decode(path, LOG_MEL), inspect_header):
        tracemalloc.start()
        with pytest.raises(AudioError) as caught:
            read(tmp_path / "clip.flac")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # The longest blocks of nothing but a constant do not reach 2^35 samples in so few bytes.
        assert caught.value.reason == ("duration_mismatch" if stated else "too_long")
        assert peak < 64 << 20


def test_the_limit_is_that_of_the_parameters(tmp_path: Path) -> None:
    (tmp_path / "clip.flac").write_bytes(constant_flac(20 * SAMPLE_RATE, 0))
    length = inspect_header(tmp_path / "clip.flac", 30.0).duration_s
    for limit, accepted in ((length, True), (length - 0.001, False)):
        params = LOG_MEL.model_copy(update={"max_duration_s": limit, "silence_db": -200.0})
        if accepted:
            assert decode(tmp_path / "clip.flac", params).source_duration_s == length
            assert inspect_header(tmp_path / "clip.flac", limit).duration_s == length
        else:
            with pytest.raises(AudioError, match="too_long"):
                decode(tmp_path / "clip.flac", params)
            with pytest.raises(AudioError, match="too_long"):
                inspect_header(tmp_path / "clip.flac", limit)
