#!/usr/bin/env python3
"""Build the sample corpus in the ASVspoof 2019 LA layout from packaged recordings of human speech.

One half of each speaker's recordings becomes bona fide clips; the other half is the source of copy-synthesis and voice
conversion. The plan and every clip depend on one seed: a run that was stopped continues with the missing clips and makes the
same ones.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from sources import SPEAKERS, Speaker, phrases
from systems import ATTACKS, TargetVoice, voice_origin
from treatment import SAMPLE_RATE, Audio, finish, join, match_channel, mean_psd, speech_bounds

SEED = 2019
# Seconds of speech in a clip, before its margins.
SPEECH_S = (0.95, 2.3)
MAX_JOINED = 3
CLIP_S = (1.0, 5.0)
TARGET_RECORDINGS = 6
PHRASES_TRIED = 3
STRETCH = (0.7, 1.8)


@dataclass(frozen=True)
class Split:
    """A split's name, the letter in its ids, its protocol's ending, its attacks and the clips of each."""

    name: str
    letter: str
    protocol: str
    attacks: tuple[str, ...]
    n_per_attack: int


KNOWN = ("A01", "A02", "A03", "A04", "A05", "A06")
UNKNOWN = ("A07", "A08", "A09", "A10", "A11", "A12", "A13")
SPLITS = (
    Split("train", "T", "train.trn", KNOWN, 15),
    Split("dev", "D", "dev.trl", KNOWN, 7),
    Split("eval", "E", "eval.trl", UNKNOWN, 11),
)
BY_KEY = {speaker.key: speaker for speaker in SPEAKERS}
SPEAKER_IDS = {speaker.key: f"LA_{number:04d}" for number, speaker in enumerate(SPEAKERS, start=1)}
PROVENANCE = (
    "id",
    "split",
    "speaker",
    "attack",
    "label",
    "system",
    "source_package",
    "source_version",
    "licence",
    "source_speaker",
    "source_file",
    "target_speaker",
    "text",
    "seconds",
    "sha256",
)


@dataclass(frozen=True)
class Clip:
    """One planned clip.

    Attributes:
        id: utterance id.
        split: name of the split.
        speaker: key of the speaker that the protocol names: who speaks, or is imitated.
        attack: attack id, `-` for bona fide.
        source: key of the speaker whose recordings the clip starts from; empty for text-to-speech.
        unit: which of that speaker's units (recordings, or groups of short ones).
        seconds: speech that a text-to-speech clip should last; 0 for the others.
    """

    id: str
    split: str
    speaker: str
    attack: str
    source: str
    unit: int
    seconds: float

    @property
    def label(self) -> str:
        return "bonafide" if self.attack == "-" else "spoof"


def rng_of(*names: str) -> np.random.Generator:
    """The random generator of one purpose."""
    return np.random.default_rng([SEED, *(zlib.crc32(name.encode()) for name in names)])


# ---------------------------------------------------------------- recordings


def read_recording(path: Path) -> Audio:
    """A recording as float64 [samples] at 16 kHz, channels averaged. G.722 has no header and is decoded by ffmpeg."""
    if path.suffix == ".g722":
        command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", str(path), "-f", "s16le", "-"]
        decoded = subprocess.run(command, capture_output=True, check=True).stdout
        return np.frombuffer(decoded, dtype="<i2") / 32768.0
    samples, sample_rate = soundfile.read(path, always_2d=True)
    waveform = samples.mean(axis=1)
    return waveform if sample_rate == SAMPLE_RATE else soxr.resample(waveform, sample_rate, SAMPLE_RATE, quality="VHQ")


class Recordings:
    """A speaker's recordings, cut into units: one recording, or several short ones, that hold enough speech."""

    def __init__(self, speaker: Speaker, root: Path):
        self.speaker, self.root = speaker, root
        files = speaker.files(root)
        if not files:
            raise SystemExit(f"no recordings of {speaker.key} below {root}: install {speaker.package.name}")
        shuffled = [files[i] for i in rng_of("files", speaker.key).permutation(len(files))]
        half = len(shuffled) // 2
        self._pools = {"bonafide": shuffled[:half], "spoof": shuffled[half:]}
        self._iterators = {pool: self._cut(files) for pool, files in self._pools.items()}
        self._units: dict[str, list[list[Path]]] = {pool: [] for pool in self._pools}

    def _cut(self, files: list[Path]) -> Iterator[list[Path]]:
        group: list[Path] = []
        total = 0.0
        for path in files:
            start, stop = speech_bounds(read_recording(path))
            seconds = (stop - start) / SAMPLE_RATE
            if not self.speaker.joined:
                if SPEECH_S[0] <= seconds <= SPEECH_S[1]:
                    yield [path]
                continue
            if not 0.15 <= seconds <= SPEECH_S[1]:
                continue
            # A joined recording brings about 0.14 s of its own silence.
            group, total = [*group, path], total + seconds + (0.14 if group else 0)
            if total >= SPEECH_S[0] or len(group) == MAX_JOINED:
                if SPEECH_S[0] <= total <= SPEECH_S[1]:
                    yield group
                group, total = [], 0.0

    def unit(self, pool: str, index: int) -> list[Path]:
        """The files of a unit; a pool with fewer units starts again with the first."""
        units = self._units[pool]
        while len(units) <= index:
            following = next(self._iterators[pool], None)
            if following is None:
                if not units:
                    raise SystemExit(f"{self.speaker.key} has no recording of {SPEECH_S} s of speech")
                return units[index % len(units)]
            units.append(following)
        return units[index]

    def count(self, pool: str, wanted: int) -> int:
        """How many different units the pool has, up to the number wanted."""
        self.unit(pool, wanted - 1)
        return min(wanted, len(self._units[pool]))

    def read(self, pool: str, index: int) -> Audio:
        """A unit's audio."""
        files = self.unit(pool, index)
        pieces = [read_recording(path) for path in files]
        return pieces[0] if len(pieces) == 1 else join(pieces, rng_of("join", *(path.name for path in files)))

    def names(self, pool: str, index: int) -> str:
        """The paths of a unit's files in the package."""
        return ";".join(str(path.relative_to(self.root)) for path in self.unit(pool, index))

    @cached_property
    def held_out(self) -> list[Audio]:
        """Recordings of no bona fide clip, from which the target voice and the channel are computed."""
        return [self.read("spoof", i) for i in range(self.count("spoof", TARGET_RECORDINGS))]

    @cached_property
    def voice(self) -> TargetVoice:
        return TargetVoice.learn(self.held_out)

    @cached_property
    def channel(self) -> tuple[Audio, Audio]:
        """Mean power spectrum of speech and median one of noise."""
        speech = np.mean([mean_psd(recording, "loud") for recording in self.held_out], axis=0)
        return speech, np.median([mean_psd(recording, "quiet") for recording in self.held_out], axis=0)


# ---------------------------------------------------------------- the plan


def deal(speakers: list[Speaker], n: int, rng: np.random.Generator) -> list[Speaker]:
    """Draw `n` speakers, each as often as its share of the bona fide clips, as evenly as possible."""
    dealt: list[Speaker] = []
    while len(dealt) < n:
        deck = [speaker for speaker in speakers for _ in range(speaker.n_bonafide)]
        dealt += [deck[i] for i in rng.permutation(len(deck))]
    return dealt[:n]


def make_plan(recordings: dict[str, Recordings]) -> list[Clip]:
    """All clips of all splits, in the order of their ids; ids are drawn at random, so that they carry no information."""
    plan: list[Clip] = []
    for split in SPLITS:
        rng = rng_of("plan", split.name)
        speakers = [speaker for speaker in SPEAKERS if speaker.split == split.name]
        rows: list[dict[str, Any]] = []
        for speaker in speakers:
            for unit in range(recordings[speaker.key].count("bonafide", speaker.n_bonafide)):
                rows.append(
                    {"speaker": speaker.key, "attack": "-", "source": speaker.key, "unit": unit, "seconds": 0.0}
                )
        used = dict.fromkeys((speaker.key for speaker in speakers), 0)
        targets = iter(deal(speakers, len(split.attacks) * split.n_per_attack, rng))
        for attack in split.attacks:
            for target in [next(targets) for _ in range(split.n_per_attack)]:
                source, unit, seconds = target, 0, 0.0
                if ATTACKS[attack].kind == "speak":
                    like = recordings[target.key]
                    drawn = int(rng.integers(like.count("bonafide", target.n_bonafide)))
                    start, stop = speech_bounds(like.read("bonafide", drawn))
                    seconds = round((stop - start) / SAMPLE_RATE, 3)
                else:
                    if ATTACKS[attack].kind == "convert":
                        others = [s for s in speakers if s.family == target.family and s != target]
                        source = deal(others, 1, rng)[0]
                    unit, used[source.key] = used[source.key], used[source.key] + 1
                rows.append({
                    "speaker": target.key,
                    "attack": attack,
                    "source": "" if ATTACKS[attack].kind == "speak" else source.key,
                    "unit": unit,
                    "seconds": seconds,
                })  # fmt: skip
        for number, row in zip(rng.permutation(len(rows)) + 1, rows, strict=True):
            plan.append(Clip(id=f"LA_{split.letter}_{number:07d}", split=split.name, **row))
    return sorted(plan, key=lambda clip: clip.id)


# ---------------------------------------------------------------- rendering


def speak(clip: Clip, recordings: Recordings) -> tuple[Audio, str, str]:
    """A synthesiser's clip of the length wanted: audio in the target's channel, voice, phrase."""
    attack = ATTACKS[clip.attack]
    rng = rng_of(clip.id, "speak")
    language = attack.reads(recordings.speaker.language)
    texts = phrases(language)
    best: tuple[float, str, float] | None = None
    seed = int(rng.integers(1 << 30))
    for i in rng.permutation(len(texts))[:PHRASES_TRIED]:
        speech, _ = attack.function(texts[i], language, 1.0, np.random.default_rng(seed))
        start, stop = speech_bounds(speech)
        ratio = clip.seconds * SAMPLE_RATE / max(stop - start, 1)
        if best is None or abs(np.log(ratio)) < best[0]:
            best = (float(abs(np.log(ratio))), texts[i], ratio)
    assert best is not None
    _, phrase, stretch = best
    for _ in range(2):
        stretch = float(np.clip(stretch, *STRETCH))
        speech, voice = attack.function(phrase, language, stretch, np.random.default_rng(seed))
        start, stop = speech_bounds(speech)
        ratio = clip.seconds * SAMPLE_RATE / max(stop - start, 1)
        if abs(np.log(ratio)) < 0.05:
            break
        stretch *= ratio
    return match_channel(speech, *recordings.channel, rng), voice, phrase


def combined_licence(source: Speaker, target: Speaker) -> str:
    """Licence of a conversion: the stricter one of two that are compatible."""
    licences = {source.package.licence, target.package.licence}
    return next(name for name in ("CC-BY-SA-3.0", "CC-BY-3.0", "GPL-2", "GPL-2+") if name in licences)


def render(clip: Clip, recordings: dict[str, Recordings]) -> tuple[Any, dict[str, str]]:
    """A clip's int16 samples and its provenance."""
    target = recordings[clip.speaker]
    rng = rng_of(clip.id, "finish")
    facts = {
        "system": "",
        "text": "",
        "source_speaker": "",
        "source_file": "",
        "target_speaker": SPEAKER_IDS[clip.speaker],
    }
    if not clip.source:
        waveform, voice, facts["text"] = speak(clip, target)
        package, version, licence = voice_origin(voice)
        facts["system"] = voice
    else:
        source = recordings[clip.source]
        pool = "bonafide" if clip.attack == "-" else "spoof"
        waveform = source.read(pool, clip.unit)
        package, version = source.speaker.package.name, source.speaker.package.version
        licence = combined_licence(source.speaker, target.speaker)
        facts["source_speaker"] = SPEAKER_IDS[clip.source]
        facts["source_file"] = source.names(pool, clip.unit)
        if clip.attack != "-":
            attack = ATTACKS[clip.attack]
            system_rng = rng_of(clip.id, "system")
            facts["system"] = attack.name
            if attack.kind == "convert":
                waveform = attack.function(waveform, target.voice, system_rng)
            else:
                waveform = attack.function(waveform, system_rng)
    waveform = np.asarray(waveform, dtype=np.float64)
    if not np.isfinite(waveform).all() or np.abs(waveform).max() < 1e-4:
        raise ValueError(f"{clip.id}: {clip.attack} gave no usable audio")
    # Missing margins are filled with the clip's own noise, or the speaker's if the clip has no quiet frame.
    noise = np.minimum(mean_psd(waveform, "quiet"), 4 * target.channel[1] + 1e-12)
    facts |= {"source_package": package, "source_version": version, "licence": licence}
    return finish(waveform, noise, rng), facts


def make_clip(clip: Clip, root: Path, work: Path, cache: dict[str, Recordings]) -> str:
    """Render a clip into the work folder, unless it is there; its facts are written last and mark it as complete."""
    audio, facts_file = work / f"{clip.id}.flac", work / f"{clip.id}.json"
    planned = asdict(clip)
    if facts_file.is_file() and json.loads(facts_file.read_text(encoding="utf-8"))["plan"] == planned:
        return clip.id
    for key in {clip.speaker, clip.source} - {"", *cache}:
        cache[key] = Recordings(BY_KEY[key], root)
    pcm, facts = render(clip, cache)
    seconds = len(pcm) / SAMPLE_RATE
    if not CLIP_S[0] <= seconds <= CLIP_S[1]:
        raise ValueError(f"{clip.id}: {clip.attack} of {clip.speaker} lasts {seconds:.2f} s")
    soundfile.write(audio, pcm, SAMPLE_RATE, subtype="PCM_16", format="FLAC", compression_level=1.0)
    facts_file.write_text(json.dumps({"plan": planned, "facts": facts}), encoding="utf-8")
    return clip.id


_worker_cache: dict[str, Recordings] = {}


def _work(clip: Clip, root: Path, work: Path) -> str:
    return make_clip(clip, root, work, _worker_cache)


# ---------------------------------------------------------------- the corpus


def write_corpus(plan: list[Clip], work: Path, out: Path) -> int:
    """Write the rendered clips, the protocols and the provenance into the layout; gives the bytes of audio."""
    rows = []
    for split in SPLITS:
        folder = out / f"ASVspoof2019_LA_{split.name}" / "flac"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        lines = []
        for clip in (clip for clip in plan if clip.split == split.name):
            path = Path(shutil.copyfile(work / f"{clip.id}.flac", folder / f"{clip.id}.flac"))
            facts = json.loads((work / f"{clip.id}.json").read_text(encoding="utf-8"))["facts"]
            speaker = SPEAKER_IDS[clip.speaker]
            lines.append(f"{speaker} {clip.id} - {clip.attack} {clip.label}\n")
            rows.append({
                **facts,
                "id": clip.id,
                "split": clip.split,
                "speaker": speaker,
                "attack": clip.attack,
                "label": clip.label,
                "seconds": f"{soundfile.info(path).duration:.3f}",
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            })  # fmt: skip
        protocol = out / "ASVspoof2019_LA_cm_protocols" / f"ASVspoof2019.LA.cm.{split.protocol}.txt"
        protocol.parent.mkdir(parents=True, exist_ok=True)
        protocol.write_text("".join(sorted(lines)), encoding="utf-8")
    with (out / "provenance.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, PROVENANCE, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return sum(path.stat().st_size for path in out.rglob("*.flac"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/sample_corpus/build.py data/sample/LA --work build/sample_corpus --jobs 2",
    )
    parser.add_argument("out", type=Path, help="corpus folder, e.g. data/sample/LA")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the packages are unpacked (default: /)")
    parser.add_argument("--work", type=Path, default=Path("build/sample_corpus"), help="folder of rendered clips")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--plan", action="store_true", help="print the plan and stop")
    args = parser.parse_args()
    recordings = {speaker.key: Recordings(speaker, args.root) for speaker in SPEAKERS}
    plan = make_plan(recordings)
    for split in SPLITS:
        clips = [clip for clip in plan if clip.split == split.name]
        bonafide = sum(clip.label == "bonafide" for clip in clips)
        print(
            f"{split.name:5s} {len(clips):4d} clips, {bonafide:3d} bona fide, {len({c.speaker for c in clips})} speakers"
        )
    if args.plan:
        return
    args.work.mkdir(parents=True, exist_ok=True)
    # Neighbours in this order share a speaker, whose statistics a worker has computed already.
    ordered = sorted(plan, key=lambda clip: (clip.speaker, clip.attack, clip.id))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(args.jobs) as pool:
        done = pool.map(partial(_work, root=args.root, work=args.work), ordered, chunksize=8)
        for count, name in enumerate(done, start=1):
            print(f"\r{count}/{len(ordered)} {name}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{write_corpus(plan, args.work, args.out) / 1e6:.2f} MB of audio in {args.out}")


if __name__ == "__main__":
    main()
