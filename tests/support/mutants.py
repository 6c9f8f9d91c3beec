"""Audio files with random damage, and what FFmpeg makes of them.

Run as a script, it decodes damaged files and prints what went wrong as JSON: a crash would end the process, and its memory is
measured.
"""

import io
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile

from pipeline.audio.decode import inspect_header
from pipeline.audio.streams import open_stream
from pipeline.corpus.schema import REJECT_REASONS
from pipeline.errors import AudioError
from tests.support.speech import speechlike

RATE = 48_000
"""At which every decoder of Opus works."""
FORMATS = {
    "FLAC": ("FLAC", None),
    "WAV": ("WAV", None),
    "RF64": ("RF64", None),
    "W64": ("W64", None),
    "AIFF": ("AIFF", None),
    "AU": ("AU", None),
    "CAF": ("CAF", None),
    "NIST": ("NIST", None),
    "MP3": ("MP3", None),
    "Vorbis": ("OGG", "VORBIS"),
    "Opus": ("OGG", "OPUS"),
}
TOLERANCE = {"MP3": 1e-5, "Vorbis": 1e-5, "Opus": 1e-5}
"""Largest difference between two decoders: none for lossless formats. Those of lossy ones add float32 numbers in another order,
which makes less than 1e-6 of full scale on whole files; a wrongly decoded frame differs by more than 1e-3."""
SLOW_S = 5.0


@dataclass(frozen=True)
class Audio:
    """Decoded audio.

    Attributes:
        rate: Hz.
        samples: float32 [samples, channels].
    """

    rate: int
    samples: npt.NDArray[np.float32]


def clean_files(duration_s: float = 0.6) -> dict[str, bytes]:
    """One file of each format, all with the same sound."""
    clip = speechlike(round(duration_s * RATE), seed=3)
    files = {}
    for name, (kind, subtype) in FORMATS.items():
        file = io.BytesIO()
        soundfile.write(file, clip, RATE, subtype, format=kind)
        files[name] = file.getvalue()
    return files


def mutants(files: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Damaged copies with the names of their formats: flipped bits, bytes missing, added or replaced, and cut ends.

    Every other change is in the first 200 bytes, where the headers are.
    """
    draw = random.Random(seed)
    names = list(files)
    for number in range(count):
        name = names[number % len(names)]
        data = bytearray(files[name])
        for _ in range(draw.choice([1, 1, 2, 5])):
            place = draw.randrange(min(200, len(data)) if draw.random() < 0.5 else len(data))
            action = draw.randrange(5)
            if action == 0:
                data[place] ^= 1 << draw.randrange(8)
            elif action == 1:
                del data[place : place + draw.randrange(1, 200)]
            elif action == 2:
                data[place:place] = draw.randbytes(draw.randrange(1, 30))
            elif action == 3:
                data[place] = draw.choice([0, 0x7F, 0xFF])
            else:
                del data[max(1, place) :]
            if not data:
                data = bytearray(1)
        yield name, bytes(data)


def through_ffmpeg(data: bytes) -> Audio | None:
    """What FFmpeg decodes, errors passed over as its command line does; None if it finds no audio."""
    try:
        with av.open(io.BytesIO(data), metadata_errors="replace") as container:
            stream = container.streams.audio[0]
            blocks, rate = [], 0
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:
                    continue
                for frame in frames:
                    rate = frame.sample_rate
                    resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
                    blocks += [part.to_ndarray().T for part in resampler.resample(frame)]
    except (av.error.FFmpegError, IndexError, ValueError):
        return None
    return Audio(rate, np.concatenate(blocks)) if blocks and len({block.shape[1] for block in blocks}) == 1 else None


def ours(data: bytes) -> Audio:
    """What the pipeline decodes; raises `AudioError`."""
    stream = open_stream(data)
    blocks = list(stream.blocks())
    return Audio(stream.sample_rate, np.concatenate(blocks) if blocks else np.zeros((0, stream.channels), np.float32))


def difference(name: str, audio: Audio, reference: Audio | None) -> str:
    """How two decoders disagree on a file; "" where they do not, or where the other finds no audio to compare."""
    if reference is None:
        return ""
    found, expected = (audio.rate, audio.samples.shape), (reference.rate, reference.samples.shape)
    if found != expected:
        return f"{found}, FFmpeg has {expected}"
    if np.allclose(audio.samples, reference.samples, rtol=0, atol=TOLERANCE.get(name, 0.0), equal_nan=True):
        return ""
    return f"samples differ by up to {np.nanmax(np.abs(audio.samples - reference.samples))}"


def examine(count: int, seed: int) -> dict[str, Any]:
    """Decodes damaged files.

    Returns:
        `problems`: crashes, long waits and disagreements with FFmpeg, each with the number of its mutant; `outcomes`: how many
        of each format passed, were refused, and passed without FFmpeg finding audio; `peak_mb`: of memory.
    """
    files = clean_files()
    problems, outcomes = [], Counter[str]()
    for name, data in files.items():  # compiles what is compiled
        if difference(name, ours(data), through_ffmpeg(data)) or through_ffmpeg(data) is None:
            problems.append(f"clean {name}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip")
        for number, (name, data) in enumerate(mutants(files, count, seed)):
            began, audio = time.monotonic(), None
            try:
                path.write_bytes(data)
                inspect_header(path)
                audio = ours(data)
            except AudioError as error:
                outcomes[f"{name} refused"] += 1
                if error.reason not in REJECT_REASONS:
                    problems.append(f"{number} {name}: reason {error.reason}")
            except Exception as error:
                problems.append(f"{number} {name}: {error!r}")
            if time.monotonic() - began > SLOW_S:
                problems.append(f"{number} {name}: {time.monotonic() - began:.1f} s")
            if audio is not None:
                reference = through_ffmpeg(data)
                outcomes[f"{name} {'passed' if reference else 'passed alone'}"] += 1
                if told := difference(name, audio, reference):
                    problems.append(f"{number} {name}: {told}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"problems": problems, "outcomes": outcomes, "peak_mb": peak_mb}


if __name__ == "__main__":
    print(json.dumps(examine(int(sys.argv[1]), int(sys.argv[2]))))
