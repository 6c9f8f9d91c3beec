"""Small corpora in the ASVspoof 2019 LA layout: protocol lines as given, audio of filtered noise drawn from the utterance id."""

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

PROTOCOL_FOLDER = "ASVspoof2019_LA_cm_protocols"
PROTOCOL_FILES = {
    "train": "ASVspoof2019.LA.cm.train.trn.txt",
    "dev": "ASVspoof2019.LA.cm.dev.trl.txt",
    "eval": "ASVspoof2019.LA.cm.eval.trl.txt",
}
ATTACKS = {"train": ("A01", "A02"), "dev": ("A01", "A02"), "eval": ("A07", "A08")}
SAMPLE_RATE = 16_000


def protocol_lines(split: str, n_utterances: int = 9) -> list[str]:
    """Lines of one split: bona fide and two attacks in turn, two speakers of the split alone."""
    lines = []
    for number in range(n_utterances):
        attack = ("-", *ATTACKS[split])[number % 3]
        label = "bonafide" if attack == "-" else "spoof"
        speaker = f"LA_{tuple(PROTOCOL_FILES).index(split)}{number % 2:03d}"
        lines.append(f"{speaker} LA_{split[0].upper()}_{number:07d} - {attack} {label}")
    return lines


def write_protocols(root: Path, changes: Mapping[str, Iterable[str] | str | bytes] | None = None) -> Path:
    """Writes the three protocols; `changes` gives the lines or the whole content of some splits."""
    folder = root / PROTOCOL_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for split, name in PROTOCOL_FILES.items():
        content = (changes or {}).get(split, protocol_lines(split))
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            text = content if isinstance(content, str) else "".join(f"{line}\n" for line in content)
            (folder / name).write_text(text, encoding="utf-8")
    return root


def waveform(utterance_id: str, duration_s: float = 0.5) -> npt.NDArray[np.float32]:
    """A voice-like clip drawn from its name: float32 [samples] in [-1, 1] at `SAMPLE_RATE`."""
    generator = np.random.default_rng(zlib.crc32(utterance_id.encode()))
    time_s = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = generator.uniform(90, 250)
    voice = sum(np.sin(2 * np.pi * pitch * k * time_s + generator.uniform(0, 6)) / k for k in range(1, 20))
    voice = voice * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s)) + 0.05 * generator.standard_normal(time_s.size)
    return np.asarray(0.5 * voice / np.abs(voice).max(), dtype=np.float32)


def write_corpus(
    root: Path,
    n_utterances: int = 9,
    suffix: str = ".flac",
    folder: str = "flac",
    duration_s: float = 0.5,
) -> Path:
    """Writes protocols and audio of a whole corpus."""
    write_protocols(root, {split: protocol_lines(split, n_utterances) for split in PROTOCOL_FILES})
    for split in PROTOCOL_FILES:
        audio = root / f"ASVspoof2019_LA_{split}" / folder
        audio.mkdir(parents=True, exist_ok=True)
        for line in protocol_lines(split, n_utterances):
            utterance_id = line.split()[1]
            soundfile.write(
                audio / f"{utterance_id}{suffix}", waveform(utterance_id, duration_s), SAMPLE_RATE, "PCM_16"
            )
    return root
