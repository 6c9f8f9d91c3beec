"""Every format is read to its true end or refused: cut files, lengths that are not known, estimated or wrong, tags in front."""

import io
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from pipeline.audio.decode import decode_bytes, inspect_header
from pipeline.audio.streams import open_stream
from pipeline.errors import AudioError
from pipeline.frontends import FeatureParams
from pipeline.params import load_params
from tests.support.flac_writer import encode
from tests.support.speech import RATE, noise, speechlike

CLIP = speechlike(RATE, seed=3)


@pytest.fixture(scope="module")
def params(repository: Path) -> FeatureParams:
    return load_params(repository / "params.yaml").features


def written(
    kind: str, subtype: str | None = None, endian: str | None = None, clip: npt.NDArray[np.float32] = CLIP
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, clip, RATE, format=kind, subtype=subtype, endian=endian)
    return file.getvalue()


def samples_of(data: bytes) -> npt.NDArray[np.float32]:
    return np.concatenate([np.zeros((0, 1), np.float32), *open_stream(data).blocks()])[:, 0]


def reason_of(data: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        samples_of(data)
    return caught.value.reason


def id3(size: int = 20_000) -> bytes:
    """An ID3v2 tag of `size` bytes behind its header, such as one with a picture."""
    return b"ID3\x03\x00\x00" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + b"\x55" * size


def replaced(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


WAV = written("WAV")
PCM = {
    "RIFF": WAV,
    "RIFX": written("WAV", endian="BIG"),
    "WAVEX": written("WAVEX"),
    "RF64": written("RF64"),
    "W64": written("W64"),
    "AIFF": written("AIFF"),
    "AIFC": written("AIFF", "FLOAT"),
    "AU": written("AU"),
    "AU, little-endian": written("AU", endian="LITTLE"),
    "CAF": written("CAF"),
    "float": written("WAV", "FLOAT"),
    "mu-law": written("WAV", "ULAW"),
    "ADPCM": written("WAV", "IMA_ADPCM"),
    "NIST": written("NIST"),
}
LOSSY = {
    "Vorbis": written("OGG", "VORBIS"),
    "Opus": written("OGG", "OPUS"),
    "MP3": written("MP3"),
}
FLAC = written("FLAC")


@pytest.mark.parametrize("name", [*PCM, *LOSSY, "FLAC"])
def test_whole_files_are_read_whole_with_and_without_a_tag_in_front(name: str, tmp_path: Path) -> None:
    data = (PCM | LOSSY | {"FLAC": FLAC})[name]
    expected = soundfile.read(io.BytesIO(data), dtype="float32")[0]
    for file in (data, id3() + data, id3(70_000) + id3(3) + data):
        # soundfile seeks before it reads, after which the last digit of MP3 differs.
        np.testing.assert_allclose(samples_of(file), expected, rtol=0, atol=1e-7 if name == "MP3" else 0)
        (tmp_path / "clip").write_bytes(file)
        assert inspect_header(tmp_path / "clip").n_samples == len(expected)


@pytest.mark.parametrize("name", [*PCM, *LOSSY, "FLAC"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_cut_files_are_truncated(name: str, share: float, tmp_path: Path) -> None:
    data = (PCM | LOSSY | {"FLAC": FLAC})[name]
    cut = data[: max(30, int(share * len(data)))]
    for file in (cut, id3() + cut):
        assert reason_of(file) == "truncated"
    if name != "FLAC":
        (tmp_path / "clip").write_bytes(cut)
        with pytest.raises(AudioError, match="truncated"):
            inspect_header(tmp_path / "clip")


# Where the size of the audio stands, and how many bytes it has.
SIZE_FIELDS = {
    "RIFF": (WAV.index(b"data") + 4, 4),
    "RIFX": (PCM["RIFX"].index(b"data") + 4, 4),
    "RF64": (28, 8),
    "W64": (PCM["W64"].index(b"data") + 16, 8),
    "AIFF": (PCM["AIFF"].index(b"SSND") + 4, 4),
    "AU": (8, 4),
    "CAF": (PCM["CAF"].index(b"data") + 4, 8),
}


@pytest.mark.parametrize("name", SIZE_FIELDS)
@pytest.mark.parametrize("byte", [b"\0", b"\xff"], ids=["size 0", "size -1"])
def test_a_length_that_the_writer_could_not_know_is_read_to_the_end(name: str, byte: bytes, tmp_path: Path) -> None:
    at, width = SIZE_FIELDS[name]
    data = replaced(PCM[name], at, byte * width)
    assert np.array_equal(samples_of(data), soundfile.read(io.BytesIO(WAV), dtype="float32")[0])
    (tmp_path / "clip").write_bytes(data)
    assert inspect_header(tmp_path / "clip").n_samples == RATE


def test_a_clip_without_samples_stays_empty(params: FeatureParams) -> None:
    empty = written("WAV", clip=np.zeros(0, np.float32)) + b"LIST\x04\0\0\0INFO"
    with pytest.raises(AudioError, match="empty"):
        decode_bytes(empty, params)


@pytest.mark.parametrize("name", ["RIFF", "AIFF", "AU"])
def test_audio_that_the_header_does_not_count_is_told(name: str) -> None:
    at, width = SIZE_FIELDS[name]
    order = "little" if name == "RIFF" else "big"
    assert reason_of(replaced(PCM[name], at, (20_000).to_bytes(width, order))) == "duration_mismatch"


@pytest.mark.parametrize(
    "tail", [b"LIST\x04\0\0\0INFO", b"\0LIST\x04\0\0\0INFO", b"TAG" + bytes(125), bytes(999), id3(99)]
)
def test_chunks_tags_and_zeros_behind_the_audio_are_no_audio(tail: bytes) -> None:
    for data in (WAV, FLAC, LOSSY["MP3"]):
        assert np.array_equal(samples_of(data + tail), samples_of(data))


def test_flac_with_a_tag_and_without_a_length_is_read_to_the_end(tmp_path: Path) -> None:
    for flac in (FLAC, encode((CLIP * 32768).round().astype(np.int64)[None], stated=0)):
        (tmp_path / "clip.flac").write_bytes(id3(200) + flac)
        assert inspect_header(tmp_path / "clip.flac").n_samples == len(samples_of(id3(200) + flac)) == RATE


def mp3(mode: str) -> bytes:
    """An MP3 stream of several seconds without a Xing header, as from a pipe; loudness changes, and with it the bit rate."""
    clip = np.concatenate([0.001 * noise(2 * RATE), noise(2 * RATE), np.zeros(RATE, np.float32), CLIP])
    file = io.BytesIO()
    soundfile.write(file, clip, RATE, format="MP3", bitrate_mode=mode, compression_level=0.5)
    data = file.getvalue()
    first = data.index(b"Xing" if b"Xing" in data[:200] else b"Info")
    return data[data.index(b"\xff\xf3" if data[1] == 0xF3 else data[:2], first) :]


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_mp3_without_a_xing_header_is_read_to_the_end(mode: str, tmp_path: Path) -> None:
    data = mp3(mode)
    # A frame has 576 samples at this rate; the decoder leaves out its own delay of 529.
    expected = 576 * frames_of(data) - 529
    assert 6 * RATE <= expected <= 6 * RATE + 3000
    assert len(samples_of(data)) == expected
    riff = b"RIFF" + (len(data) + 36).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\x55\0\1\0"
    riff += RATE.to_bytes(4, "little") + bytes(4) + b"\1\0\0\0data" + len(data).to_bytes(4, "little") + data
    for file in (riff, id3() + data, data + b"TAG" + bytes(125)):
        assert np.array_equal(samples_of(file), samples_of(data))
        (tmp_path / "clip").write_bytes(file)
        assert inspect_header(tmp_path / "clip").n_samples == expected
    assert reason_of(data[:-10]) == "truncated"
    assert reason_of(riff[:-10]) == "truncated"
    assert reason_of(data[: len(data) // 2] + b"\1\2\3" + data[len(data) // 2 :]) in ("unreadable", "truncated")


def frames_of(data: bytes) -> int:
    kbits = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    position = count = 0
    while position < len(data):
        position += 72_000 * kbits[data[position + 2] >> 4] // RATE + (data[position + 2] >> 1 & 1)
        count += 1
    return count


def test_an_mp3_with_fewer_frames_than_its_xing_header_states_is_truncated() -> None:
    data = written("MP3", clip=np.tile(CLIP, 4))
    ends = [at for at in range(len(data) // 2, len(data)) if data[at : at + 2] == data[:2]]
    assert reason_of(data[: ends[5]]) == "truncated"


@pytest.mark.parametrize("name", ["Vorbis", "Opus"])
def test_damaged_and_missing_pages_of_ogg_are_found(name: str) -> None:
    data = written("OGG", name.upper(), clip=np.tile(CLIP, 20))
    pages = [at for at in range(len(data)) if data[at : at + 4] == b"OggS"]
    assert len(pages) > 5
    assert reason_of(replaced(data, pages[4] + 300, bytes([data[pages[4] + 300] ^ 1]))) == "unreadable"
    assert reason_of(data[: pages[3]] + data[pages[4] :]) == "unreadable"
    assert reason_of(data[: pages[-1]]) == "truncated"
    assert reason_of(data[: pages[4]] + b"junk" * 9 + data[pages[4] :]) == "truncated"


def test_formats_whose_length_cannot_be_checked_are_refused() -> None:
    for kind in ("VOC", "PAF", "SVX", "IRCAM"):
        assert reason_of(written(kind)) == "unsupported_format"


@pytest.mark.parametrize("offset", [0.0, 0.004, -0.3])
def test_a_constant_is_silent_and_an_offset_is_no_sound(offset: float, params: FeatureParams) -> None:
    for clip in (np.full(RATE, offset, np.float32), offset + np.float32(2e-5) * noise()):
        with pytest.raises(AudioError, match="silent"):
            decode_bytes(written("WAV", "FLOAT", clip=clip.astype(np.float32)), params)
    assert len(decode_bytes(written("WAV", "FLOAT", clip=(offset + 0.1 * noise()).astype(np.float32)), params).waveform)


MEDIA = {"M4A": ("mp4", "aac"), "WebM": ("webm", "libopus"), "AAC": ("adts", "aac")}


def encoded_media(container: str, codec: str) -> bytes:
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.round(np.repeat(CLIP, 3) * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("name", MEDIA)
def test_what_phones_and_browsers_send_is_read_through_ffmpeg(name: str, params: FeatureParams, tmp_path: Path) -> None:
    data = encoded_media(*MEDIA[name])
    clip = decode_bytes(data, params)
    assert clip.decoder == "ffmpeg"
    assert clip.source_duration_s == pytest.approx(1.0, abs=0.1)
    lag = np.correlate(clip.waveform, CLIP, "full")
    assert lag.max() / np.sqrt((clip.waveform**2).sum() * (CLIP**2).sum()) > 0.9
    (tmp_path / "clip").write_bytes(data)
    assert inspect_header(tmp_path / "clip").decoder == "ffmpeg"
    if name != "AAC":
        assert reason_of(data[: len(data) // 2]) in ("truncated", "unreadable")


def test_without_ffmpeg_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for data in (b"\0\0\0\x20ftypM4A " + bytes(500), b"\x1a\x45\xdf\xa3" + bytes(500), b"\xff\xf1" + bytes(500)):
        with pytest.raises(AudioError, match=r"unsupported_format.*pip install 'bonafide\[media\]'"):
            open_stream(data)


def mp3_by_ffmpeg() -> bytes:
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as output:
        stream = output.add_stream("libmp3lame", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.round(CLIP * 32767).astype(np.int16)[None], "s16p", "mono")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("writer", ["LAME", "FFmpeg"])
def test_an_mp3_whose_frames_do_not_have_the_checksum_of_its_tag_is_damaged(writer: str) -> None:
    data = LOSSY["MP3"] if writer == "LAME" else mp3_by_ffmpeg()
    assert len(samples_of(data)) == RATE
    tag = data.index(b"LAME" if writer == "LAME" else b"Lav", data.index(b"Xing" if b"Xing" in data else b"Info"))
    for place in (len(data) // 2, tag + 12):
        assert reason_of(replaced(data, place, bytes([data[place] ^ 4]))) == "unreadable"
    assert reason_of(replaced(data, tag - 120, b"xxxx")) == "unreadable"
    # mp3gain changes the loudness of all frames and leaves the checksum as it is.
    quieter = replaced(data, len(data) // 2, bytes([data[len(data) // 2] ^ 4]))
    assert len(samples_of(quieter + b"APETAGEX" + bytes(24) + b"MP3GAIN_MINMAX\0" + bytes(9))) == RATE


def test_an_mp3_without_a_frame_at_its_start_is_damaged() -> None:
    data = mp3("VARIABLE")
    for damaged in (b"\0" + data[1:], data[1:], data[:2] + b"\xff" + data[3:]):
        assert reason_of(damaged) in ("unreadable", "unsupported_format")


@pytest.mark.parametrize("name", ["RIFF", "W64", "AU"])
def test_audio_that_ends_within_a_sample_is_told(name: str) -> None:
    at, width = SIZE_FIELDS[name]
    assert reason_of(replaced(PCM[name], at, b"\xff" * width) + b"\x81") == "duration_mismatch"
    assert reason_of(PCM[name] + b"\x81") == "duration_mismatch"
