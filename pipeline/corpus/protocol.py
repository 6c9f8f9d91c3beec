"""Countermeasure protocols: parses ASVspoof files or the rows of a table into `Utterance`s.

A corpus with contradictory protocols is refused as a whole. The error lists every contradiction by file and line, so that
all can be repaired at once. CRLF, tabs, trailing blanks and a byte order mark are accepted.
"""

import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, TextIO

import pyarrow.parquet as pq

from pipeline.corpus.audio_files import LinkPolicy, is_below
from pipeline.corpus.findings import Finding, contradictions, listed, shown, similar_ids
from pipeline.corpus.schema import BONA_FIDE, SPLITS, SPOOF, TWIN_ATTACK_PREFIX
from pipeline.corpus.utterances import Utterance, Utterances
from pipeline.errors import CorpusError, ProtocolError
from pipeline.text import control_character

PROTOCOL_FOLDER: Final = "ASVspoof2019_LA_cm_protocols"
PROTOCOL_FILES: Final = {
    "train": "ASVspoof2019.LA.cm.train.trn.txt",
    "dev": "ASVspoof2019.LA.cm.dev.trl.txt",
    "eval": "ASVspoof2019.LA.cm.eval.trl.txt",
}
NO_VALUE: Final = "-"

_LABELS: Final = {"bonafide": BONA_FIDE, "spoof": SPOOF, NO_VALUE: None}
_TABLE_LABELS: Final = {
    **_LABELS,
    "bona fide": BONA_FIDE,
    "": None,
    # Beside unlabelled rows, pandas writes whole numbers with a point.
    **dict.fromkeys(("1", "1.0"), BONA_FIDE),
    **dict.fromkeys(("0", "0.0"), SPOOF),
}
_ROWS_AT_ONCE: Final = 4096
_LONGEST_LINE: Final = 1 << 16
# A path below a root; file names have at most 255 bytes.
_LONGEST_FIELD: Final = 1024
_SHOWN_CHARACTERS: Final = 60


def read_corpus(
    root: Path, link_targets: Sequence[str] = (), on_warning: Callable[[str], None] = lambda text: None
) -> Utterances:
    """Reads the three protocols of a corpus folder, or a CSV or Parquet table, and checks them against one another.

    Args:
        root: Folder in the ASVspoof 2019 LA layout, or a table with the columns path, split, label and, if known,
            utterance_id, speaker_id and attack_id.
        link_targets: Folders outside a corpus folder that its symbolic links may lead to.
        on_warning: Called with ids that differ only in case or in the form of their Unicode characters.

    Raises:
        CorpusError: The folder, the table or a protocol file is missing.
        ProtocolError: Lines are malformed or contradict each other; the message lists the first 20.
    """
    findings: list[Finding] = []
    if root.is_dir():
        utterances = Utterances()
        links = LinkPolicy(root, link_targets)
        for split in SPLITS:
            path = root / PROTOCOL_FOLDER / PROTOCOL_FILES[split]
            if not path.is_file():
                raise CorpusError(
                    f"{path}: no such protocol file; data.root must be a folder in the ASVspoof 2019 LA layout, "
                    "or a CSV or Parquet table (docs/corpora.md shows both)"
                )
            if not links.allows(path):
                raise CorpusError(
                    f"{path}: a link that leaves the corpus; to follow it, add its folder to data.link_targets"
                )
            utterances += parse_protocol(path, split, findings)
    elif root.is_file():
        utterances = parse_table(root, findings)
    else:
        raise CorpusError(f"{root}: no such corpus; set data.root in params.yaml to the folder that holds it")
    findings += contradictions(utterances)
    if findings:
        raise ProtocolError(listed(findings))
    for split in SPLITS:
        if not any(utterance.split == split for utterance in utterances):
            raise ProtocolError(f"{root}: the {split} split has no utterances; every split needs some")
    if similar := similar_ids(utterances):
        on_warning(
            f"{len(similar)} ids differ from another one only in case or in the form of their Unicode characters, which some "
            f"file systems take for the same\n{shown(similar)}"
        )
    return utterances


def parse_protocol(path: Path, split: str, findings: list[Finding]) -> Utterances:
    """Parses one protocol file; a malformed line is left out and described in `findings`.

    A line is `speaker utterance - attack label`, with `-` for the attack of bona fide speech. A file of bare utterance ids,
    or of labels `-`, is an unlabelled set of trials, allowed for eval only.
    """
    widths = {len(line.split()) for _, line in _protocol_lines(path)}
    if not widths:
        raise ProtocolError(f"{path}: the protocol is empty; it needs a line for every utterance of the {split} split")
    return Utterances(_utterances_of_protocol(path, split, widths == {1}, findings))


def _protocol_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(_lines(file, path), start=1):
                if line := line.strip():
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _utterances_of_protocol(path: Path, split: str, bare: bool, findings: list[Finding]) -> Iterator[Utterance]:
    for number, line in _protocol_lines(path):
        where = f"{path}:{number}"
        if sign := control_character(line.replace("\t", " ")):
            findings.append(Finding(where, f"the control character {sign}; remove it"))
            continue
        fields = line.split()
        if bare:
            fields = [NO_VALUE, fields[0], NO_VALUE, NO_VALUE, NO_VALUE]
        if len(fields) != 5:
            text = f"expected 5 fields `speaker utterance - attack label`, found {len(fields)}: {' '.join(fields)!r}"
            findings.append(Finding(where, text))
            continue
        if problem := next(filter(None, map(_field_problem, fields)), None):
            findings.append(Finding(where, f"a field {problem}"))
            continue
        speaker, utterance_id, _, attack, label = fields
        if not is_below(utterance_id) or "/" in utterance_id:
            findings.append(
                Finding(where, f"utterance {utterance_id!r} is no file name; it would lead out of its folder")
            )
            continue
        if label not in _LABELS:
            text = f"unknown label {label!r} of {utterance_id}; write bonafide or spoof"
            findings.append(Finding(where, text))
            continue
        utterance = Utterance(
            split, utterance_id, _value(speaker), _value(attack), _LABELS[label], path=None, where=where
        )
        if _is_consistent(utterance, findings):
            yield utterance


def parse_table(path: Path, findings: list[Finding]) -> Utterances:
    """Parses a corpus in another layout: a CSV or Parquet table with one row per utterance.

    Columns: path (relative to the table's folder), split, label (bonafide, spoof, 1, 0, or empty for unlabelled eval
    trials); optional utterance_id (default: the path without its suffix), speaker_id, attack_id (default "unknown" for
    spoof rows).
    """
    return Utterances(_utterances_of_table(path, findings))


def _utterances_of_table(path: Path, findings: list[Finding]) -> Iterator[Utterance]:
    for where, row in _table_rows(path):
        if None in row:
            findings.append(Finding(where, "more fields than columns; put a value that holds a comma in quotes"))
            continue
        values = {key.strip(): "" if value is None else str(value).strip() for key, value in row.items()}
        absent = [key for key in ("path", "split", "label") if key not in values]
        if absent:
            raise ProtocolError(
                f"{path}: column {absent[0]!r} is missing; needed are path, split and label, found {', '.join(values)}"
            )
        if wrong := next(filter(_field_problem, values.values()), None):
            findings.append(Finding(where, f"the value {wrong[:_SHOWN_CHARACTERS]!r} {_field_problem(wrong)}"))
            continue
        audio, split, label = values["path"], values["split"], values["label"].lower()
        if split not in SPLITS:
            findings.append(Finding(where, f"unknown split {split!r}; write train, dev or eval"))
            continue
        if label not in _TABLE_LABELS:
            findings.append(Finding(where, f"unknown label {label!r}; write bonafide or spoof"))
            continue
        if not is_below(audio):
            findings.append(
                Finding(where, f"path {audio!r} must be relative to the folder of the table and stay in it")
            )
            continue
        attack = _value(values.get("attack_id", ""))
        if _TABLE_LABELS[label] == SPOOF and attack is None:
            attack = "unknown"
        utterance_id = values.get("utterance_id") or "_".join(str(PurePosixPath(audio).with_suffix("")).split())
        spaced = [name for name in (utterance_id, attack) if name is not None and len(name.split()) != 1]
        if spaced:
            findings.append(
                Finding(where, f"id {spaced[0]!r} has white space, at which score files are split; remove it")
            )
            continue
        speaker = _value(values.get("speaker_id", ""))
        utterance = Utterance(split, utterance_id, speaker, attack, _TABLE_LABELS[label], audio, where)
        if _is_consistent(utterance, findings):
            yield utterance


def _is_consistent(utterance: Utterance, findings: list[Finding]) -> bool:
    """Whether label, attack and split are consistent; if not, adds to `findings`."""
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


def _field_problem(value: str) -> str | None:
    if control_character(value):
        return "has a control character; remove it"
    return f"has more than {_LONGEST_FIELD} characters" if len(value) > _LONGEST_FIELD else None


def _table_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        if path.suffix.lower() == ".parquet":
            with path.open("rb") as binary, pq.ParquetFile(binary) as table:
                rows = itertools.chain.from_iterable(batch.to_pylist() for batch in table.iter_batches(_ROWS_AT_ONCE))
                for number, row in enumerate(rows, start=1):
                    yield f"{path}:row {number}", row
            return
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in (reader := csv.DictReader(_lines(file, path))):
                yield f"{path}:{reader.line_num}", row
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ProtocolError(f"{path}: cannot be read as a CSV or Parquet table: {error}") from error


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """The lines of a file, none of which may be longer than any protocol's: a file without ends of lines may be endless."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise ProtocolError(
                f"{path}:{number}: the line has {_LONGEST_LINE:,} characters or more; is this a protocol?"
            )
        yield line


def _value(field: str) -> str | None:
    return None if field in (NO_VALUE, "") else field
