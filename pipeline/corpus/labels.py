"""Labels as corpora write them: the words for the two classes, and numbers, whose meaning someone has to state."""

from collections.abc import Iterable
from typing import Final

from pipeline.corpus.schema import BONA_FIDE, SPOOF
from pipeline.errors import ProtocolError

NO_VALUE: Final = "-"
"""What a protocol has where it has no value."""

PROTOCOL_LABELS: Final = {"bonafide": BONA_FIDE, "spoof": SPOOF, NO_VALUE: None}
"""The labels of ASVspoof's protocols."""

_WORDS: Final = {
    **dict.fromkeys(("bonafide", "genuine", "real", "human"), BONA_FIDE),
    **dict.fromkeys(("spoof", "spoofed", "fake", "deepfake"), SPOOF),
}
# Beside unlabelled rows, pandas writes whole numbers with a point.
_NUMBERS: Final = {"1": 1, "1.0": 1, "0": 0, "0.0": 0}


def class_of_word(word: str) -> int | None:
    """The class that a word names, such as "bona-fide", "Real" or "fake"; None for any other word."""
    return _WORDS.get("".join(letter for letter in word.lower() if letter not in " -_"))


def number_of(label: str) -> int | None:
    """The number that a label is, 0 or 1; None for a word."""
    return _NUMBERS.get(label)


def number_of_bona_fide(labels: Iterable[tuple[str, bool]], stated: int | None, where: str) -> int | None:
    """Which number means bona fide: as stated, or as the attacks show, which spoof rows alone have.

    Args:
        labels: The label of each row, and whether it has an attack.
        stated: `data.bonafide_number`.
        where: The file, for messages.

    Returns:
        0, 1, or None where no label is a number.

    Raises:
        ProtocolError: Labels are numbers whose meaning neither the parameters nor the attacks tell.
    """
    found = {(number, has_attack) for label, has_attack in labels if (number := number_of(label)) is not None}
    if stated is not None or not found:
        return stated
    with_attack = {number for number, has_attack in found if has_attack}
    without = {number for number, has_attack in found if not has_attack}
    if len(with_attack) == 1 and not with_attack & without:
        return 1 - with_attack.pop()
    raise ProtocolError(
        f"{where}: the labels are numbers, and nothing tells which of them is bona fide, 1 or 0; set "
        "data.bonafide_number to 1 or 0, or write bonafide and spoof, or give the spoof rows an attack_id"
    )
