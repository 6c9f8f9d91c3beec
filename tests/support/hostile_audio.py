"""A corpus of 106 audio files that are damaged, lie or attack, among good ones; each with the reasons that may refuse it."""

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from tests.support.flac_bytes import constant_flac, with_block, with_stream_info
from tests.support.synthetic_corpus import SAMPLE_RATE, waveform

GOOD: frozenset[str] = frozenset()
"""The reasons of a file that must be accepted."""
SPLITS = ("train", "dev", "eval")
TEN_HOURS = 36_000 * SAMPLE_RATE

Made = tuple[str, bytes | Callable[[Path], None], str]
"""File name, its bytes or what makes it, and the reasons that may refuse it, separated by blanks; "" for a good file."""


def encoded(
    samples: npt.NDArray[np.float32], kind: str = "FLAC", subtype: str | None = None, rate: int = SAMPLE_RATE
) -> bytes:
    """The bytes of an audio file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype, format=kind)
    return file.getvalue()


def write_hostile_corpus(root: Path, only: Callable[[int], bool] = lambda number: True) -> dict[str, frozenset[str]]:
    """Writes a table corpus with the hostile files and twelve good ones.

    Args:
        root: Its folder; the table is `corpus.csv`.
        only: Which of the hostile files to write, by their number.

    Returns:
        The reasons that may refuse each utterance; `GOOD` for a good one.
    """
    audio = root / "audio"
    audio.mkdir(parents=True)
    (root.parent / "outside").mkdir(exist_ok=True)
    (root.parent / "outside" / "secret.flac").write_bytes(encoded(waveform("secret")))
    expected, rows = {}, []
    for number, (name, content, reasons) in enumerate(hostile_files()):
        if not only(number):
            continue
        if callable(content):
            content(audio / name)
        else:
            (audio / name).write_bytes(content)
        utterance_id = f"h{number:03d}_{name.partition('.')[0]}"
        expected[utterance_id] = frozenset(reasons.split())
        rows.append(("train", utterance_id, f"audio/{name}", ("bonafide", "spoof")[number % 2]))
    for split in SPLITS:
        for number in range(4):
            utterance_id = f"good_{split}_{number}"
            (audio / f"{utterance_id}.flac").write_bytes(encoded(waveform(utterance_id)))
            rows.append((split, utterance_id, f"audio/{utterance_id}.flac", ("bonafide", "spoof")[number % 2]))
            expected[utterance_id] = GOOD
    lines = [",".join(row) for row in [("split", "utterance_id", "path", "label"), *rows]]
    (root / "corpus.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return expected


def hostile_files() -> list[Made]:
    """All hostile files, in a fixed order."""
    return [*_cut_and_damaged(), *_lying_flac(), *_lying_wav(), *_no_audio(), *_values(), *_special_files()]


def _cut_and_damaged() -> Iterator[Made]:
    draw = np.random.default_rng(12)
    noise = draw.uniform(-0.5, 0.5, 2 * SAMPLE_RATE).astype(np.float32)
    flac, wav = encoded(noise), encoded(noise, "WAV")
    for number, length in enumerate([0, 3, 20, 41, 60, *draw.integers(9000, len(flac), 7).tolist()]):
        reasons = {0: "empty", 3: "unsupported_format"}.get(length, "truncated")
        yield f"cut_{number}.flac", flac[:length], reasons
    for number, length in enumerate([1, 11, 30, 43, *draw.integers(50, len(wav), 4).tolist()]):
        yield f"cut_{number}.wav", wav[:length], "unsupported_format truncated" if length < 12 else "truncated"
    for number, place in enumerate(draw.integers(9000, len(flac) - 9000, 8).tolist()):
        yield f"flipped_{number}.flac", flac[:place] + bytes([flac[place] ^ 0x55]) + flac[place + 1 :], "unreadable"
    yield "middle_missing.flac", flac[:20_000] + flac[30_000:], "unreadable duration_mismatch truncated"
    yield "two_in_one.flac", flac + flac, ""


def _lying_flac() -> Iterator[Made]:
    flac = encoded(waveform("lies", 1.0))
    for rate in (8000, 22_050, 48_000, 500, 655_350):
        yield f"rate_{rate}.flac", with_stream_info(flac, rate=rate), "unreadable unsupported_format"
    for channels in (2, 8):
        yield f"channels_{channels}.flac", with_stream_info(flac, channels=channels), "unreadable"
    for bits in (8, 24, 4):
        yield f"bits_{bits}.flac", with_stream_info(flac, bits=bits), "unreadable"
    for place in (26, 33, 41):
        yield f"md5_{place}.flac", flac[:place] + bytes([flac[place] ^ 1]) + flac[place + 1 :], "unreadable"
    yield "without_md5.flac", flac[:26] + bytes(16) + flac[42:], ""
    for n_samples in (SAMPLE_RATE - 1, SAMPLE_RATE + 1):
        yield f"length_{n_samples}.flac", with_stream_info(flac, n_samples=n_samples), "duration_mismatch"
    for n_samples in (2**32, 2**36 - 1):
        yield f"length_{n_samples}.flac", with_stream_info(flac, n_samples=n_samples), "duration_mismatch"
    yield "no_length.flac", with_stream_info(flac, n_samples=0), ""
    yield "ten_hours.flac", constant_flac(TEN_HOURS), "too_long"
    yield "ten_hours_unknown.flac", constant_flac(TEN_HOURS, 0), "too_long"
    yield "ten_hours_as_a_second.flac", constant_flac(TEN_HOURS, SAMPLE_RATE), "duration_mismatch"
    yield "eight_channels.flac", constant_flac(500 * SAMPLE_RATE, channels=8), "too_long"
    yield "high_rate.flac", constant_flac(500 * 655_350, rate=655_350), "too_long"
    yield "application.flac", with_block(flac, 2, bytes(range(256)) * 20_000), ""
    yield "picture.flac", with_block(flac, 6, b"\xff" * 200_000), ""
    yield "padding.flac", with_block(flac, 1, bytes((1 << 24) - 1)), ""
    yield "block_beyond_the_end.flac", flac[:42] + b"\x04\xff\xff\xff" + flac[46:], "unreadable truncated"
    yield "tags_behind.flac", flac + b"TAG" + bytes(125), ""


def _lying_wav() -> Iterator[Made]:
    wav = encoded(waveform("lies", 1.0), "WAV")

    def changed(place: int, packing: str, value: int) -> bytes:
        return wav[:place] + struct.pack(packing, value) + wav[place + struct.calcsize(packing) :]

    refused = "unsupported_format"
    yield "codec.wav", changed(20, "<H", 0x4321), refused
    yield "no_channels.wav", changed(22, "<H", 0), refused
    yield "many_channels.wav", changed(22, "<H", 65_535), refused
    yield "no_rate.wav", changed(24, "<I", 0), refused
    yield "huge_rate.wav", changed(24, "<I", 2**31 - 1), refused
    yield "no_bits.wav", changed(34, "<H", 0), refused
    yield "many_bits.wav", changed(34, "<H", 999), refused
    yield "no_format.wav", wav[:12] + b"junk" + wav[16:], "unsupported_format truncated"
    yield "format_size.wav", changed(16, "<I", 0xFFFFFFF0), "unsupported_format truncated"
    yield "streamed.wav", changed(40, "<I", 0xFFFFFFFF), ""

    def sparse(path: Path) -> None:
        head = changed(40, "<I", 0x7FFFE000)[:44]
        path.write_bytes(head)
        os.truncate(path, 44 + 0x7FFFE000)

    yield "two_gigabytes.wav", sparse, "too_long"


def _no_audio() -> Iterator[Made]:
    contents = {
        "text": b"this was never a sound\n" * 200,
        "zeros": bytes(9000),
        "ones": b"\xff" * 9000,
        "elf": b"\x7fELF" + bytes(500),
        "png": b"\x89PNG\r\n\x1a\n" + bytes(500),
        "gzip": zlib.compress(bytes(9000)),
        "html": b"<!doctype html><script>alert(1)</script>" * 20,
        "pickle": b"cos\nsystem\n(S'touch /tmp/owned'\ntR." * 20,
        "mp4": b"\0\0\0\x20ftypM4A " + bytes(500),
        "zip": b"PK\x03\x04" + bytes(500),
        "aiff": b"FORM\x7f\xff\xff\xffAIFFCOMM" + bytes(200),
        "au": b".snd" + b"\xff" * 200,
        "ogg": b"OggS" + bytes(300),
        "only_flac": b"fLaC",
    }
    for name, content in contents.items():
        yield f"{name}.flac", content, "unsupported_format truncated unreadable empty"


def _values() -> Iterator[Made]:
    good = waveform("values", 1.0)
    for name, value in (("nan", np.nan), ("infinity", np.inf), ("minus_infinity", -np.inf)):
        yield f"{name}.wav", encoded(np.where(np.arange(len(good)) == 99, value, good), "WAV", "FLOAT"), "not_finite"
    yield "all_nan.wav", encoded(np.full(9000, np.nan), "WAV", "FLOAT"), "not_finite"
    yield "huge_values.wav", encoded(good * np.float32(1e37), "WAV", "FLOAT"), ""
    yield "tiny_values.wav", encoded(good * np.float32(1e-30), "WAV", "FLOAT"), "silent"
    yield "silence.flac", encoded(np.zeros(SAMPLE_RATE, np.float32)), "silent"
    yield "channels_cancel.wav", encoded(np.stack([good, -good], axis=1), "WAV"), "silent"
    yield "one_sample.flac", encoded(good[:1]), "too_short"
    yield "no_samples.wav", encoded(good[:0], "WAV"), "empty"


def _special_files() -> Iterator[Made]:
    def socket_at(path: Path) -> None:
        # A socket's address has a short limit, which a path within the folder keeps.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)

    def loop(path: Path) -> None:
        path.symlink_to(path.name)

    def folder_outside(path: Path) -> None:
        path.with_name("far").symlink_to(path.parent.parent.parent / "outside")
        path.symlink_to("far/secret.flac")

    yield "folder.flac", Path.mkdir, "unreadable"
    yield "pipe.flac", os.mkfifo, "unreadable"
    yield "socket.flac", socket_at, "unreadable"
    yield "loop.flac", loop, "unreadable"
    yield "nothing.flac", lambda path: path.symlink_to("nowhere"), "missing"
    yield "passwd.flac", lambda path: path.symlink_to("/etc/passwd"), "unreadable"
    yield "endless.flac", lambda path: path.symlink_to("/dev/zero"), "unreadable"
    yield "kernel_log.flac", lambda path: path.symlink_to("/proc/kmsg"), "unreadable"
    yield "memory.flac", lambda path: path.symlink_to("/proc/self/mem"), "unreadable"
    yield "outside.flac", lambda path: path.symlink_to("../../outside/secret.flac"), "unreadable"
    yield "outside_by_folder.flac", folder_outside, "unreadable"
    yield "inside.flac", lambda path: path.symlink_to("good_train_1.flac"), ""
