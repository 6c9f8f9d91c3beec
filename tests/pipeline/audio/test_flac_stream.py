"""FLAC: the samples are libFLAC's, damage is found wherever it is, and samples one step above full scale are read."""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from pipeline.audio.flac_stream import FlacStream
from pipeline.errors import AudioError
from tests.support.flac_writer import Form, Samples, encode
from tests.support.speech import RATE, noise


def integers(n_samples: int = 10_000, channels: int = 1, depth: int = 16, seed: int = 0) -> Samples:
    values = [noise(n_samples, seed=seed + channel) * 2.0 ** (depth - 1) for channel in range(channels)]
    return np.stack(values).round().astype(np.int64)


def decoded(data: bytes) -> npt.NDArray[np.float32]:
    return np.concatenate(list(FlacStream(data).blocks()))


def reason_of(data: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        decoded(data)
    return caught.value.reason


def by_soundfile(data: bytes) -> npt.NDArray[np.float32]:
    return np.asarray(soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0])


FORMS = {
    "fixed 0": Form(order=0),
    "fixed 1": Form(order=1),
    "fixed 2": Form(order=2),
    "fixed 3": Form(order=3, rice=12),
    "fixed 4": Form(order=4, rice=13),
    "long codes": Form(order=1, rice=4),
    "plain residuals": Form(order=2, rice=None),
    "linear 3": Form(coefficients=(1500, -600, 100), shift=10),
    "linear 12": Form(coefficients=(1500, -600, 100, *[7] * 9), shift=10),
    "linear 32": Form(coefficients=(1500, -600, *range(-15, 15)), shift=10),
    "linear 20, plain": Form(coefficients=(1500, -600, *range(18)), shift=11, rice=None),
    "wasted bits": Form(order=1, wasted=3),
    "variable blocks": Form(order=1, variable=True),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_subframe_is_decoded(name: str) -> None:
    form = FORMS[name]
    samples = integers() >> form.wasted << form.wasted
    data = encode(samples, form=form, blocks=(4000, 16, 2984, 3000) if form.variable else ())
    assert np.array_equal(decoded(data), samples.T / np.float32(32768))
    assert np.array_equal(decoded(data), by_soundfile(data)), "the encoder of the tests is right"


@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (1, 12), (2, 16), (3, 16), (8, 20), (2, 24)])
def test_every_width_and_number_of_channels_is_decoded(channels: int, depth: int) -> None:
    samples = integers(5000, channels, depth)
    data = encode(samples, depth=depth, form=Form(order=1, rice=None if depth <= 16 else 14))
    assert np.array_equal(decoded(data), samples.T / np.float32(2 ** (depth - 1)))


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_samples_are_those_of_libflac(subtype: str, level: float) -> None:
    left = np.cumsum(noise(30_000)) / 40.0
    right = left + 0.01 * noise(30_000, seed=2)
    for channels in ([left], [left, right], [right, -right], [left, 0.0 * left, right]):
        file = io.BytesIO()
        samples = np.clip(np.stack(channels, axis=1), -1.0, 1.0)
        soundfile.write(file, samples, 44_100, format="FLAC", subtype=subtype, compression_level=level)
        assert np.array_equal(decoded(file.getvalue()), by_soundfile(file.getvalue()))


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_sample_one_step_above_full_scale_is_read_as_one_and_told(order: int) -> None:
    samples = integers()
    samples[0, 5000:5004] = 32_768, 32_767, -32_768, 32_768
    stream = FlacStream(encode(samples, form=Form(order=order, rice=10)))
    values = np.concatenate(list(stream.blocks()))
    assert np.array_equal(values, samples.T / np.float32(32768))
    assert values.max() == 1.0
    assert (stream.beyond_range, stream.decoder) == (True, "flac_beyond_range")
    ordinary = FlacStream(encode(integers()))
    list(ordinary.blocks())
    assert (ordinary.beyond_range, ordinary.decoder) == (False, "flac")


def test_the_md5_decides_where_a_stream_is_in_doubt() -> None:
    samples = integers()
    samples[0, 5000] = 32_768
    for data in (encode(samples), encode(integers(), stated=0)):
        assert len(decoded(data)) == 10_000
        assert reason_of(data[:30] + bytes([data[30] ^ 1]) + data[31:]) == "unreadable"


def test_more_than_a_step_above_full_scale_is_damage() -> None:
    samples = integers()
    samples[0, 5000] = 32_769
    assert reason_of(encode(samples, form=Form(order=0, rice=10))) == "unreadable"


DATA = encode(integers(12_000), form=Form(order=2))
FRAMES = [at for at in range(42, len(DATA)) if DATA[at : at + 2] == b"\xff\xf8" and DATA[at + 2] == 0x7D]


def test_every_flipped_bit_of_the_audio_is_found() -> None:
    generator = np.random.default_rng(1)
    for position in generator.integers(42 * 8, len(DATA) * 8, 300):
        damaged = bytearray(DATA)
        damaged[position // 8] ^= 1 << position % 8
        # Where the damage makes a frame longer than the file, it looks cut.
        assert reason_of(bytes(damaged)) in ("unreadable", "truncated"), position


def test_every_cut_is_found() -> None:
    for end in [*range(60), *range(60, len(DATA), 97), *(frame + 1 for frame in FRAMES), len(DATA) - 1]:
        assert reason_of(DATA[:end]) == ("duration_mismatch" if end in FRAMES[1:] else "truncated"), end
    assert len(FRAMES) == 3
    for frame in FRAMES[1:]:
        assert reason_of(DATA[:frame]) == "duration_mismatch"


CHANGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a frame is missing": (lambda data: data[: FRAMES[1]] + data[FRAMES[2] :], "unreadable"),
    "a frame stands twice": (lambda data: data[: FRAMES[1]] + data[FRAMES[0] :], "unreadable"),
    "frames change places": (
        lambda data: data[: FRAMES[0]] + data[FRAMES[1] : FRAMES[2]] + data[FRAMES[0] : FRAMES[1]] + data[FRAMES[2] :],
        "unreadable",
    ),
    "bytes between frames": (lambda data: data[: FRAMES[1]] + bytes(5) + b"x" + data[FRAMES[1] :], "unreadable"),
    "bytes behind a stream of unknown length": (
        lambda data: data[:21] + b"\xf0" + bytes(4) + data[26:] + b"\1" * 9,
        "unreadable",
    ),
    "another sample rate in the header": (lambda data: data[:18] + b"\x13\xe8" + data[20:], "unreadable"),
    "another number of channels in the header": (lambda data: data[:20] + b"\x02" + data[21:], "unreadable"),
    "another depth in the header": (lambda data: data[:20] + b"\x01\x70" + data[22:], "unreadable"),
    "a first block that is no STREAMINFO": (lambda data: data[:4] + b"\x81" + data[5:], "unreadable"),
    "a sample less in the header": (lambda data: data[:25] + bytes([data[25] - 1]) + data[26:], "duration_mismatch"),
    "two samples more in the header": (lambda data: data[:25] + bytes([data[25] + 2]) + data[26:], "duration_mismatch"),
    "2^36 - 1 samples in the header": (lambda data: data[:21] + b"\xff" * 5 + data[26:], "duration_mismatch"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_stream_that_contradicts_itself_is_refused(name: str) -> None:
    change, reason = CHANGES[name]
    assert reason_of(change(DATA)) == reason


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), b"APETAGEX" + b"\1" * 50, bytes(1000), b"\0"])
@pytest.mark.parametrize("stated", [None, 0])
def test_tags_and_zeros_behind_the_audio_are_no_damage(tail: bytes, stated: int | None) -> None:
    data = encode(integers(), stated=stated) + tail
    assert len(decoded(data)) == 10_000


def test_long_streams_come_in_blocks() -> None:
    samples = np.zeros((2, 1_500_000), np.int64)
    samples[:, ::1000] = 5
    file = io.BytesIO()
    soundfile.write(file, samples.T.astype(np.int16), RATE, format="FLAC")
    blocks = list(FlacStream(file.getvalue()).blocks())
    assert len(blocks) > 2
    assert np.array_equal(np.concatenate(blocks), by_soundfile(file.getvalue()))
