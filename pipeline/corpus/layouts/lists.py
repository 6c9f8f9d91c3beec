"""Protocols whose lines have their fields in a fixed order, as all protocols of ASVspoof: one parser, the columns of each."""

from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.corpus.audio_files import is_below
from pipeline.corpus.fields import pack_fields
from pipeline.corpus.findings import Finding, is_consistent
from pipeline.corpus.labels import NO_VALUE, PROTOCOL_LABELS, class_of_word
from pipeline.corpus.lines import field_problem, text_lines, value_of
from pipeline.corpus.places import CorpusPath
from pipeline.corpus.utterances import Utterance, Utterances
from pipeline.errors import ProtocolError
from pipeline.text import control_character

LA_2019: Final = ("speaker", "utterance", NO_VALUE, "attack", "label")
"""Columns of ASVspoof 2019 LA; a column named "-" is not used by the corpus."""
PA_2019: Final = ("speaker", "utterance", "environment", "attack", "label")
LA_2021: Final = ("speaker", "utterance", "codec", "transmission", "attack", "label", "trim", "subset")
DF_2021: Final = (
    *("speaker", "utterance", "codec", "source", "attack", "label", "trim", "subset"),
    *("vocoder", "task", "team", "gender_pair", "language"),
)
ASVSPOOF_5: Final = (
    *("speaker", "utterance", "gender", "codec", "codec_q", "codec_seed", "attack_tag", "attack", "label", "tmp"),
)
_KNOWN: Final = {
    len(LA_2021): "of ASVspoof 2021 LA",
    len(DF_2021): "of ASVspoof 2021 DF",
    len(ASVSPOOF_5): "of ASVspoof 5",
}
_MEANT: Final = frozenset({"speaker", "utterance", "attack", "label", NO_VALUE})
# Names that headed copies of ASVspoof 5 give their columns.
_HEADINGS: Final = {
    "speaker_id": "speaker",
    "flac_file_name": "utterance",
    "flac_file": "utterance",
    "speaker_gender": "gender",
    "attack_label": "attack",
    "key": "label",
}


def parse_protocol(
    path: CorpusPath, split: str, findings: list[Finding], columns: Sequence[str] = LA_2019, *, may_be_bare: bool = True
) -> Utterances:
    """Parses one protocol file; a malformed line is left out and described in `findings`.

    A line has the fields of `columns`, with `-` for the attack of bona fide speech. A file of bare utterance ids, or of labels
    `-`, is an unlabelled set of trials, allowed for eval only. A first line with the names of the columns gives their order.
    """
    widths = {len(line.split()) for _, line in text_lines(path)}
    if not widths:
        raise ProtocolError(f"{path}: the protocol is empty; it needs a line for every utterance of the {split} split")
    _refuse_label_list(path, widths)
    return Utterances(_utterances(path, split, columns, may_be_bare and widths == {1}, findings))


def first_line(path: CorpusPath) -> list[str]:
    """The fields of the first line of a protocol; none where there is no such line or no text."""
    try:
        return next((line.split() for _, line in text_lines(path)), [])
    except ProtocolError:
        return []


def _utterances(
    path: CorpusPath, split: str, columns: Sequence[str], bare: bool, findings: list[Finding]
) -> Iterator[Utterance]:
    template = " ".join(columns)
    is_first = True
    for number, line in text_lines(path):
        fields = line.split()
        if is_first and (headed := _headed(fields)) is not None:
            columns, is_first = headed, False
            continue
        is_first = False
        where = f"{path}:{number}"
        if sign := control_character(line.replace("\t", " ")):
            findings.append(Finding(where, f"the control character {sign}; remove it"))
        elif bare:
            unlabelled = dict.fromkeys(("speaker", "attack", "label"), NO_VALUE) | {"utterance": fields[0]}
            if (utterance := _utterance(unlabelled, split, where, findings)) is not None:
                yield utterance
        elif len(fields) != len(columns):
            other = f", as the lines {_KNOWN[len(fields)]} have (data.layout)" if len(fields) in _KNOWN else ""
            text = f"expected {len(columns)} fields `{template}`, found {len(fields)}{other}: {' '.join(fields)!r}"
            findings.append(Finding(where, text))
        elif (utterance := _utterance(dict(zip(columns, fields, strict=True)), split, where, findings)) is not None:
            yield utterance


def _utterance(fields: dict[str, str], split: str, where: str, findings: list[Finding]) -> Utterance | None:
    if problem := next(filter(None, map(field_problem, fields.values())), None):
        findings.append(Finding(where, f"a field {problem}"))
        return None
    utterance_id, label, attack = fields["utterance"].removesuffix(".flac"), fields["label"], value_of(fields["attack"])
    if label not in PROTOCOL_LABELS:
        findings.append(Finding(where, f"unknown label {label!r} of {utterance_id}; write bonafide or spoof"))
        return None
    utterance = Utterance(
        split,
        utterance_id,
        value_of(fields["speaker"]),
        None if attack == label == "bonafide" else attack,
        PROTOCOL_LABELS[label],
        path=None,
        where=where,
        fields=pack_fields({name: value for name, value in fields.items() if name not in _MEANT}),
    )
    return utterance if _is_file_name(utterance, findings) and is_consistent(utterance, findings) else None


def _is_file_name(utterance: Utterance, findings: list[Finding]) -> bool:
    name = utterance.utterance_id
    if is_below(name) and "/" not in name:
        return True
    findings.append(Finding(utterance.where, f"utterance {name!r} is no file name; it would lead out of its folder"))
    return False


def _headed(fields: Sequence[str]) -> tuple[str, ...] | None:
    """The columns that a line names, where it is a line of headings."""
    names = [field.lower() for field in fields]
    columns = tuple(_HEADINGS.get(name, name) for name in names)
    return columns if {"speaker", "utterance", "attack", "label"} <= set(columns) else None


def _refuse_label_list(path: CorpusPath, widths: set[int]) -> None:
    """Refuses two columns of files and labels, before their lines are taken for wrong ones."""
    if widths != {2}:
        return
    words = sorted({line.split()[1] for _, line in text_lines(path)})
    if words and all(class_of_word(word) is not None for word in words):
        raise ProtocolError(
            f"{path}: column 2 holds {'/'.join(words[:4])}: this looks like a list of files and labels; make it a table with a "
            "header line `path,split,label` and give that as data.root (docs/corpora.md)"
        )
