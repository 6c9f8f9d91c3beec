"""What is wrong in protocols: findings with their place, and those that only several lines together show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.corpus.schema import BONA_FIDE, SPOOF, TWIN_ATTACK_PREFIX
from pipeline.corpus.utterances import Utterance, Utterances, fold

_SHOWN_FINDINGS: Final = 20


@dataclass(frozen=True)
class Finding:
    """Something wrong in a protocol: where ("file:line") and what, with the fix."""

    where: str
    text: str


def is_consistent(utterance: Utterance, findings: list[Finding]) -> bool:
    """Whether label, attack and split of an utterance are consistent; if not, adds to `findings`."""
    name = utterance.utterance_id
    if utterance.label == BONA_FIDE and utterance.attack_id is not None:
        text = f"{name} is bonafide but has the attack {utterance.attack_id}; write - for the attack, or spoof"
    elif utterance.label == SPOOF and utterance.attack_id is None:
        text = f"{name} is spoof but has no attack; write the id of the spoofing system, such as A01"
    elif (utterance.attack_id or "").startswith(TWIN_ATTACK_PREFIX):
        text = f"{name} has the attack {utterance.attack_id}; ids that begin with {TWIN_ATTACK_PREFIX} are kept for twins of ours"
    elif utterance.label is None and utterance.split != "eval":
        text = f"{name} has no label; only the eval split may be unlabelled"
    else:
        return True
    findings.append(Finding(utterance.where, text))
    return False


def contradictions(utterances: Utterances) -> list[Finding]:
    """Finds duplicate utterance ids, ids in two splits and speakers in two splits."""
    findings = []
    repeated = utterances.repeated_ids()
    first: dict[str, Utterance] = {}
    home: dict[str, Utterance] = {}
    reported: set[tuple[str, str]] = set()
    for utterance in utterances:
        earlier = (
            first.setdefault(utterance.utterance_id, utterance) if utterance.utterance_id in repeated else utterance
        )
        if earlier is not utterance:
            what = "is listed twice" if earlier.split == utterance.split else f"is in {earlier.split} too"
            text = f"utterance {utterance.utterance_id} {what} (first at {earlier.where}); remove one of the lines"
            findings.append(Finding(utterance.where, text))
            continue
        if utterance.speaker_id is None:
            continue
        resident = home.setdefault(utterance.speaker_id, utterance)
        if resident.split != utterance.split and (utterance.speaker_id, utterance.split) not in reported:
            reported.add((utterance.speaker_id, utterance.split))
            text = (
                f"speaker {utterance.speaker_id} of {utterance.split} is in {resident.split} too (first at "
                f"{resident.where}); a speaker belongs to one split, or scores measure the voice; leave the speaker empty (-) to "
                "accept it"
            )
            findings.append(Finding(utterance.where, text))
    return findings


def similar_ids(utterances: Utterances) -> list[Finding]:
    """Finds ids that differ from an earlier one only in case or in the form of their Unicode characters (NFC, NFD)."""
    findings = []
    repeated = utterances.repeated_folded_ids()
    first: dict[str, Utterance] = {}
    for utterance in utterances if repeated else ():
        folded = fold(utterance.utterance_id)
        if folded in repeated and (earlier := first.setdefault(folded, utterance)) is not utterance:
            text = f"{utterance.utterance_id} is nearly the same as {earlier.utterance_id} at {earlier.where}"
            findings.append(Finding(utterance.where, text))
    return findings


def listed(findings: Sequence[Finding]) -> str:
    """The message that refuses protocols: the number of their errors, and the first 20."""
    return f"the protocols have {len(findings)} error{'s' * (len(findings) > 1)}\n{shown(findings)}"


def shown(findings: Sequence[Finding]) -> str:
    """A line for each of the first 20 findings."""
    lines = [f"  {finding.where}: {finding.text}" for finding in findings[:_SHOWN_FINDINGS]]
    rest = len(findings) - _SHOWN_FINDINGS
    return "\n".join([*lines, f"  … and {rest} more"] if rest > 0 else lines)
