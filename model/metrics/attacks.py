"""Attacks of the training data and others: which are the same, and the error rate of each group.

An attack that the detector was trained on says little about a new one, whatever its id is.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import numpy as np

from model.metrics.breakdown import Part, by_mask
from model.metrics.score_table import ScoreTable

ASVSPOOF2019_LA_ALIASES: Final[Mapping[str, str]] = {"A16": "A04", "A19": "A06"}
"""Attacks of the evaluation whose algorithm is that of an attack of training under another id: Wang et al., "ASVspoof 2019: a
large-scale public database of synthesized, converted and replayed speech", Computer Speech & Language 64, 2020."""

SEEN, UNSEEN = "seen", "unseen"

_TWIN_PREFIX: Final = "CS-"
_LA_TRAIN: Final = re.compile(r"A0[1-6]")
_LA_EVAL: Final = re.compile(r"A(0[7-9]|1[0-9])")


def without_twins(attack_ids: Iterable[str | None]) -> frozenset[str]:
    """The attacks of a corpus among these ids: bona fide has none, and copy-synthesis twins (`CS-…`) are no attacks of it."""
    return frozenset(name for name in attack_ids if name and name != "-" and not name.startswith(_TWIN_PREFIX))


def attack_aliases(
    trained: Collection[str], tested: Collection[str], stated: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Other ids of the same attacks.

    Args:
        trained: Attacks of train.
        tested: Attacks of the split that is reported.
        stated: Aliases that the user states; `{"A16": "A16"}` takes back a built-in one.

    Returns:
        The aliases that were stated and, if the ids are those of ASVspoof 2019 LA (A01 to A06 in train, A07 to A19 elsewhere),
        `ASVSPOOF2019_LA_ALIASES`.
    """
    official = bool(trained and tested)
    official &= all(map(_LA_TRAIN.fullmatch, trained)) and all(map(_LA_EVAL.fullmatch, tested))
    return {**(ASVSPOOF2019_LA_ALIASES if official else {}), **(stated or {})}


def seen_as(tested: Iterable[str], trained: Collection[str], aliases: Mapping[str, str]) -> dict[str, str]:
    """The attacks that train holds, each with its id there, in the order of `tested`."""
    found = {}
    known = {aliases.get(name, name): name for name in sorted(trained)}
    for name in tested:
        same = name if name in trained else known.get(aliases.get(name, name))
        if same is not None:
            found[name] = same
    return found


def by_seen(
    table: ScoreTable, seen: Collection[str], *, threshold: float | None = None, n_resamples: int = 0, seed: int = 0
) -> dict[str, Part]:
    """Attacks of train and other attacks, each group against all bona fide trials; a group without trials is left out.

    Args:
        table: The scores. Spoof of unknown attack ("-") is in neither group.
        seen: Attacks of the table that train holds.
        threshold: As in `by_attack`.
        n_resamples: As in `by_attack`; a group of at least five attacks draws whole attacks.
        seed: As in `by_attack`.
    """
    spoof = table.labels == 0
    of_train = np.isin(table.attack_ids, sorted(seen))
    groups = {SEEN: of_train, UNSEEN: ~of_train & (table.attack_ids != "-")}
    return {
        name: by_mask(table, name, ~spoof | chosen, threshold=threshold, n_resamples=n_resamples, seed=seed)
        for name, chosen in groups.items()
        if (spoof & chosen).any()
    }
