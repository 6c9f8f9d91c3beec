"""What a layout is: how a corpus is recognised, where its protocols and its audio are, how its lines become utterances."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Final

from pipeline.corpus.findings import Finding
from pipeline.corpus.links import LinkPolicy
from pipeline.corpus.places import CorpusPath, ObjectPath
from pipeline.corpus.utterances import Utterance, Utterances
from pipeline.errors import CorpusError

_SUFFIXES: Final = (".flac", ".wav")


@dataclass(frozen=True)
class Reading:
    """What the reading of a corpus needs beside its layout, and what it finds.

    Attributes:
        root: Folder or table.
        links: Where its symbolic links may lead.
        bonafide_number: Which number means bona fide, where labels are numbers; None if not stated.
        on_warning: Called with what is suspicious.
        findings: Takes what is wrong.
    """

    root: CorpusPath
    links: LinkPolicy
    bonafide_number: int | None = None
    on_warning: Callable[[str], None] = lambda text: None
    findings: list[Finding] = field(default_factory=list)

    def require_link(self, path: CorpusPath) -> None:
        """Refuses a protocol whose links leave the corpus.

        Raises:
            CorpusError: They do.
        """
        if not self.links.allows(path):
            raise CorpusError(
                f"{path}: a link that leaves the corpus; to follow it, add its folder to data.link_targets"
            )


class Layout(ABC):
    """One way in which corpora are laid out.

    Attributes:
        name: Value of `data.layout`.
        title: Name for people.
        published: Lines of each split of the published corpus; empty where the layout is not of one corpus.
        audio_hint: Where audio is expected, for the message that none was found.
    """

    name: str
    title: str
    published: Mapping[str, int] = MappingProxyType({})
    audio_hint: str

    @abstractmethod
    def matches(self, root: CorpusPath) -> bool:
        """Whether a corpus has this layout, from the names of its files and the first lines of its protocols."""

    @abstractmethod
    def read(self, reading: Reading) -> Utterances:
        """Parses the protocols; what is wrong goes to `reading.findings`.

        Raises:
            CorpusError: A protocol is missing.
            ProtocolError: A protocol cannot be read at all.
        """

    def compared(self, counts: Mapping[str, int]) -> str | None:
        """The lines of each split beside those of the published corpus, as a sentence; None where there is no such corpus."""
        if not self.published:
            return None
        if all(counts.get(split, 0) == published for split, published in self.published.items()):
            return f"these are all {sum(self.published.values()):,} lines of {self.title} as it is published"
        parts = [
            f"{split} {counts.get(split, 0):,} of {published:,} lines" for split, published in self.published.items()
        ]
        return f"this is not {self.title} as it is published: {', '.join(parts)}"

    def candidates(self, utterance: Utterance) -> list[str]:
        """Where the audio of an utterance can be, relative to the corpus, the usual place first."""
        assert utterance.path is not None
        return [utterance.path]


def audio_candidates(folders: Sequence[str], utterance_id: str) -> list[str]:
    """The paths of an utterance as FLAC, then as WAV, in these folders; "" is the corpus itself."""
    return [f"{folder}/{utterance_id}{suffix}".lstrip("/") for suffix in _SUFFIXES for folder in folders]


def first_file(root: CorpusPath, names: Sequence[str], below: Sequence[str]) -> CorpusPath | None:
    """The first file that a corpus has of some names.

    Args:
        root: Of the corpus.
        names: Relative to the corpus.
        below: Relative to a folder in the corpus, which are looked through in their order.
    """
    places = (root / name for name in names)
    further = (folder / name for folder in folders_in(root) for name in below)
    return next((path for path in chain(places, further) if path.is_file()), None)


def folders_in(root: CorpusPath) -> Iterator[CorpusPath]:
    """The folders in a folder, sorted by name; none where there is no such folder. Listing them reads no other file's state."""
    if isinstance(root, ObjectPath):
        yield from (root / name for name in root.folders())
    elif root.is_dir():
        with os.scandir(root) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
        yield from (root / name for name in names)
