"""Countermeasure protocols: reads those of a corpus in any layout into utterances, and checks them against one another.

A corpus with contradictory protocols is refused as a whole. The error lists every contradiction by file and line, so that
all can be repaired at once. CRLF, tabs, trailing blanks and a byte order mark are accepted.
"""

from collections.abc import Callable, Sequence

from pipeline.corpus.audio_files import audio_root
from pipeline.corpus.findings import contradictions, listed, shown, similar_ids
from pipeline.corpus.layouts import AUTO, layout_of
from pipeline.corpus.layouts.base import Reading
from pipeline.corpus.links import LinkPolicy
from pipeline.corpus.places import CorpusPath
from pipeline.corpus.utterances import Utterances
from pipeline.errors import ProtocolError


def read_corpus(
    root: CorpusPath,
    link_targets: Sequence[str] = (),
    on_warning: Callable[[str], None] = lambda text: None,
    *,
    layout: str = AUTO,
    bonafide_number: int | None = None,
) -> Utterances:
    """Reads the protocols of a corpus and checks them against one another.

    Args:
        root: Folder in a layout of `pipeline.corpus.layouts`, or a table.
        link_targets: Folders outside a corpus folder that its symbolic links may lead to.
        on_warning: Called with what is suspicious, such as ids that differ only in case or in the form of their Unicode
            characters.
        layout: Name of the layout, or "auto".
        bonafide_number: Which number means bona fide, where labels are numbers; None if the attacks of the rows tell.

    Raises:
        CorpusError: The folder, the table or a protocol file is missing.
        ProtocolError: Lines are malformed or contradict each other; the message lists the first 20.
    """
    kind = layout_of(root, layout)
    reading = Reading(root, LinkPolicy(audio_root(root), link_targets), bonafide_number, on_warning)
    utterances = kind.read(reading)
    findings = [*reading.findings, *contradictions(utterances)]
    if findings:
        raise ProtocolError(listed(findings))
    if not len(utterances):
        raise ProtocolError(f"{root}: there is no utterance in {kind.title}")
    if similar := similar_ids(utterances):
        on_warning(
            f"{len(similar)} ids differ from another one only in case or in the form of their Unicode characters, which some "
            f"file systems take for the same\n{shown(similar)}"
        )
    return utterances
