"""Clips that have the same bytes: under contradicting labels, which is an error, or in two splits, which is told.

Ids do not show them: a copied file under a new name is another utterance to every check of the protocols.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.corpus.findings import Finding
from pipeline.corpus.schema import label_name
from pipeline.corpus.utterances import Utterance

_WORDS_OF_DIGEST: Final = 2


class EqualAudio:
    """Collects the digests of the clips of a corpus, 16 bytes each, and finds those that are equal.

    Args:
        n_utterances: Of the corpus.
    """

    def __init__(self, n_utterances: int) -> None:
        self._digests: npt.NDArray[np.uint64] = np.zeros((n_utterances, _WORDS_OF_DIGEST), np.uint64)
        self._known = np.zeros(n_utterances, bool)
        self._equal: list[list[int]] | None = None

    def add(self, first: int, digests: Sequence[str | None]) -> None:
        """Takes the SHA-256 of clips in the order of the corpus, from number `first`; None for those that cannot be used."""
        for number, digest in enumerate(digests, start=first):
            if digest is not None:
                self._known[number] = True
                self._digests[number] = np.frombuffer(bytes.fromhex(digest[: 16 * _WORDS_OF_DIGEST]), np.uint64)

    def contradicting(self, utterances: Sequence[Utterance]) -> list[Finding]:
        """Clips whose bytes are those of a clip with the other label."""
        return [
            Finding(
                other.where,
                f"{other.utterance_id} is {label_name(other.label)}, but its file has the same bytes as that of "
                f"{first.utterance_id}, which is {label_name(first.label)} (at {first.where}); remove one of the lines",
            )
            for first, other in self._pairs(utterances, lambda one: one.label)
        ]

    def in_two_splits(self, utterances: Sequence[Utterance]) -> list[Finding]:
        """Clips whose bytes are those of a clip in another split."""
        return [
            Finding(
                other.where,
                f"{other.utterance_id} of {other.split} has the same bytes as {first.utterance_id} of {first.split} (at "
                f"{first.where})",
            )
            for first, other in self._pairs(utterances, lambda one: one.split)
        ]

    def _pairs(
        self, utterances: Sequence[Utterance], value: Callable[[Utterance], Any]
    ) -> Iterator[tuple[Utterance, Utterance]]:
        """Clips with equal bytes and different values, which are not None: the first such clip with each of the others."""
        for group in self._groups():
            clips = [clip for clip in map(utterances.__getitem__, group) if value(clip) is not None]
            yield from ((clips[0], clip) for clip in clips[1:] if value(clip) != value(clips[0]))

    def _groups(self) -> list[list[int]]:
        """Numbers of the clips that share their bytes, each list in the order of the corpus."""
        if self._equal is None:
            known = np.flatnonzero(self._known)
            found = self._digests[known]
            order = np.lexsort((known, *found.T))
            ordered = found[order]
            same = (
                np.concatenate([[False], (ordered[1:] == ordered[:-1]).all(axis=1)])
                if len(order)
                else np.zeros(0, bool)
            )
            self._equal = []
            for place in np.flatnonzero(same).tolist():
                if not same[place - 1]:
                    self._equal.append([int(known[order[place - 1]])])
                self._equal[-1].append(int(known[order[place]]))
        return self._equal
