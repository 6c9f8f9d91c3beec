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
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from plan import BY_KEY, SPEAKER_IDS, SPLITS, Clip, make_plan
from recordings import Recordings, rng_of
from sources import SPEAKERS, Speaker, phrases
from systems import ATTACKS, Attack, voice_origin
from treatment import SAMPLE_RATE, Audio, finish, match_channel, mean_psd, speech_bounds

CLIP_S = (1.0, 5.0)
# Phrases drawn for a clip, of which those are spoken whose number of characters promises the length wanted.
PHRASES_DRAWN = 12
PHRASES_TRIED = 2
CHARACTERS_PER_S = 13.0
STRETCH = (0.7, 1.8)


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


# ---------------------------------------------------------------- rendering


def candidates(language: str, seconds: float, rng: np.random.Generator) -> list[str]:
    """Phrases, and pairs of them, that probably last about as long as wanted."""
    single = phrases(language)
    texts = [*single, *(f"{first}, {second}" for first, second in permutations(single, 2))]
    drawn = [texts[i] for i in rng.permutation(len(texts))[:PHRASES_DRAWN]]
    return sorted(drawn, key=lambda text: abs(len(text) - CHARACTERS_PER_S * seconds))[:PHRASES_TRIED]


def voiced_by(
    attack: Attack, phrase: str, language: str, stretch: float, target: Recordings, seed: int
) -> tuple[Audio, str]:
    """What a system speaks, converted to the target's voice where the system does so, and the name of its voice."""
    rng = np.random.default_rng(seed)
    speech, voice = attack.function(phrase, language, stretch, rng)
    return (attack.then(speech, target.voice, rng) if attack.then else speech), voice


def speak(clip: Clip, target: Recordings) -> tuple[Audio, str, str]:
    """A synthesiser's clip of the length wanted: audio in the target's channel, voice, phrase."""
    attack = ATTACKS[clip.attack]
    rng = rng_of(clip.id, "speak")
    language = attack.reads(target.speaker.language)
    seed = int(rng.integers(1 << 30))

    def ratio_of(speech: Audio) -> float:
        start, stop = speech_bounds(speech)
        return clip.seconds * SAMPLE_RATE / max(stop - start, 1)

    tried = []
    for phrase in candidates(language, clip.seconds, rng):
        speech, voice = voiced_by(attack, phrase, language, 1.0, target, seed)
        tried.append((abs(np.log(ratio_of(speech))), phrase, ratio_of(speech), speech, voice))
    _, phrase, stretch, speech, voice = min(tried, key=lambda row: row[0])
    for _ in range(2):
        if abs(np.log(ratio_of(speech))) < 0.05:
            break
        stretch = float(np.clip(stretch, *STRETCH))
        speech, voice = voiced_by(attack, phrase, language, stretch, target, seed)
        stretch *= ratio_of(speech)
    return match_channel(speech, *target.channel, rng), voice, phrase


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
        # A conversion that follows is named behind the voice, as in the system's name.
        facts["system"] = ", ".join([voice, *ATTACKS[clip.attack].name.split(", ")[1:]])
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
