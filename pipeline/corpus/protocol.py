"""Countermeasure protocols: parses ASVspoof files or the rows of a table into `Utterance`s.

A corpus with contradictory protocols is refused as a whole. The error lists every contradiction by file and line, so that
all can be repaired at once. CRLF, tabs, trailing blanks and a byte order mark are accepted.
"""

import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow.parquet as pq

from pipeline.corpus.schema import BONA_FIDE, SPLITS, SPOOF, TWIN_ATTACK_PREFIX
from pipeline.corpus.utterances import Utterance, Utterances
from pipeline.errors import CorpusError, ProtocolError

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
_SHOWN_FINDINGS: Final = 20
_ROWS_AT_ONCE: Final = 4096


@dataclass(frozen=True)
class Finding:
    """Something wrong in a protocol: where ("file:line") and what, with the fix."""

    where: str
    text: str


def read_corpus(root: Path) -> Utterances:
    """Reads the three protocols of a corpus folder, or a CSV or Parquet table, and checks them against one another.

    Args:
        root: Folder in the ASVspoof 2019 LA layout, or a table with the columns path, split, label and, if known,
            utterance_id, speaker_id and attack_id.

    Raises:
        CorpusError: The folder, the table or a protocol file is missing.
        ProtocolError: Lines are malformed or contradict each other; the message lists the first 20.
    """
    findings: list[Finding] = []
    if root.is_dir():
        utterances = Utterances()
        for split in SPLITS:
            path = root / PROTOCOL_FOLDER / PROTOCOL_FILES[split]
            if not path.is_file():
                raise CorpusError(
                    f"{path}: no such protocol file; data.root must be a folder in the ASVspoof 2019 LA layout, "
                    "or a CSV or Parquet table (docs/corpora.md shows both)"
                )
            utterances += parse_protocol(path, split, findings)
    elif root.is_file():
        utterances = parse_table(root, findings)
    else:
        raise CorpusError(f"{root}: no such corpus; set data.root in params.yaml to the folder that holds it")
    findings += contradictions(utterances)
    if findings:
        raise ProtocolError(_listed(findings))
    for split in SPLITS:
        if not any(utterance.split == split for utterance in utterances):
            raise ProtocolError(f"{root}: the {split} split has no utterances; every split needs some")
    return utterances


def parse_protocol(path: Path, split: str, findings: list[Finding]) -> Utterances:
    """Parses one protocol file; a malformed line is left out and described in `findings`.

    A line is `speaker utterance - attack label`, with `-` for the attack of bona fide speech. A file of bare utterance ids,
    or of labels `-`, is an unlabelled set of trials, allowed for eval only.
    """
    widths = {len(fields) for _, fields in _protocol_lines(path)}
    if not widths:
        raise ProtocolError(f"{path}: the protocol is empty; it needs a line for every utterance of the {split} split")
    return Utterances(_utterances_of_protocol(path, split, widths == {1}, findings))


def _protocol_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of every line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = itertools.chain.from_iterable(line.splitlines() for line in file)
            for number, line in enumerate(lines, start=1):
                if fields := line.split():
                    yield number, fields
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _utterances_of_protocol(path: Path, split: str, bare: bool, findings: list[Finding]) -> Iterator[Utterance]:
    for number, fields in _protocol_lines(path):
        where = f"{path}:{number}"
        if bare:
            fields = [NO_VALUE, fields[0], NO_VALUE, NO_VALUE, NO_VALUE]
        if len(fields) != 5:
            text = f"expected 5 fields `speaker utterance - attack label`, found {len(fields)}: {' '.join(fields)!r}"
            findings.append(Finding(where, text))
            continue
        speaker, utterance_id, _, attack, label = fields
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
        audio, split, label = values["path"], values["split"], values["label"].lower()
        if split not in SPLITS:
            findings.append(Finding(where, f"unknown split {split!r}; write train, dev or eval"))
            continue
        if label not in _TABLE_LABELS:
            findings.append(Finding(where, f"unknown label {label!r}; write bonafide or spoof"))
            continue
        if not audio or PurePosixPath(audio).is_absolute() or ".." in PurePosixPath(audio).parts:
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
                f"{resident.where}); a speaker belongs to one split, or scores measure the voice"
            )
            findings.append(Finding(utterance.where, text))
    return findings


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


def _table_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        if path.suffix.lower() == ".parquet":
            with pq.ParquetFile(path) as table:
                rows = itertools.chain.from_iterable(batch.to_pylist() for batch in table.iter_batches(_ROWS_AT_ONCE))
                for number, row in enumerate(rows, start=1):
                    yield f"{path}:row {number}", row
            return
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in (reader := csv.DictReader(file)):
                yield f"{path}:{reader.line_num}", row
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ProtocolError(f"{path}: cannot be read as a CSV or Parquet table: {error}") from error


def _value(field: str) -> str | None:
    return None if field in (NO_VALUE, "") else field


def _listed(findings: Sequence[Finding]) -> str:
    shown = "\n".join(f"  {finding.where}: {finding.text}" for finding in findings[:_SHOWN_FINDINGS])
    rest = len(findings) - _SHOWN_FINDINGS
    return f"the protocols have {len(findings)} error{'s' * (len(findings) > 1)}\n{shown}" + (
        f"\n  … and {rest} more" if rest > 0 else ""
    )
