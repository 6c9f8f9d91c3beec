"""The plan of the corpus: which clip of which split is made of what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from recordings import Recordings, rng_of
from sources import SPEAKERS, Speaker
from systems import ATTACKS
from treatment import SAMPLE_RATE, speech_bounds


@dataclass(frozen=True)
class Split:
    """A split's name, the letter in its ids, its protocol's ending, and the clips of each of its attacks."""

    name: str
    letter: str
    protocol: str
    attacks: dict[str, int]


KNOWN = ("A01", "A02", "A03", "A04", "A05", "A06")
UNKNOWN = ("A07", "A08", "A09", "A10", "A11", "A12", "A13", "A14", "A15", "A17", "A18")
# The methods of A04 and A06 with other voices and speakers.
SEEN = ("A16", "A19")
SPLITS = (
    Split("train", "T", "train.trn", dict.fromkeys(KNOWN, 25)),
    Split("dev", "D", "dev.trl", dict.fromkeys(KNOWN, 10)),
    Split("eval", "E", "eval.trl", dict.fromkeys(UNKNOWN, 6) | dict.fromkeys(SEEN, 12)),
)
BY_KEY = {speaker.key: speaker for speaker in SPEAKERS}
SPEAKER_IDS = {speaker.key: f"LA_{number:04d}" for number, speaker in enumerate(SPEAKERS, start=1)}


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
        targets = iter(deal(speakers, sum(split.attacks.values()), rng))
        for attack, n_clips in split.attacks.items():
            for target in [next(targets) for _ in range(n_clips)]:
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
