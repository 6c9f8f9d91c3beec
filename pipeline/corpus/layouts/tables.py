"""Corpora whose protocol is a table: one of any corpus with path, split and label, and the `meta.csv` of In-the-Wild."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

from pipeline.audio.files import AUDIO_SUFFIXES
from pipeline.corpus.audio_files import is_below
from pipeline.corpus.fields import pack_fields
from pipeline.corpus.findings import Finding, is_consistent
from pipeline.corpus.labels import NO_VALUE, class_of_word, number_of, number_of_bona_fide
from pipeline.corpus.layouts.base import Layout, Reading
from pipeline.corpus.lines import field_problem, table_rows, value_of
from pipeline.corpus.places import CorpusPath
from pipeline.corpus.schema import BONA_FIDE, SPLITS, SPOOF
from pipeline.corpus.utterances import Utterance, Utterances
from pipeline.errors import ProtocolError

TABLE_SUFFIXES: Final = (".csv", ".parquet")
UNKNOWN_ATTACK: Final = "unknown"

_SHOWN_CHARACTERS: Final = 60
_COLUMNS: Final = frozenset({"path", "split", "label", "utterance_id", "speaker_id", "attack_id"})
_NEEDED: Final = ("path", "split", "label")
_META_FILE: Final = "meta.csv"
_META_COLUMNS: Final = {"file": "path", "speaker": "speaker_id", "label": "label"}


class Table(Layout):
    """A CSV or Parquet table with one row per utterance.

    Columns: path (relative to the table's folder), split, label (words for the classes, numbers, or empty for unlabelled eval
    trials); optional utterance_id (default: the path without its suffix), speaker_id, attack_id (default "unknown" for
    spoof rows). Any other column is kept as a field.
    """

    name = "table"
    title = "a table of path, split and label"
    audio_hint = "paths are relative to the folder of the table"

    def matches(self, root: CorpusPath) -> bool:
        return root.is_file() and not InTheWild().matches(root)

    def read(self, reading: Reading) -> Utterances:
        if not reading.root.is_file():
            raise ProtocolError(f"{reading.root}: a table is a file, and this is none")
        _require_columns(reading.root)
        return read_table(reading, reading.root, dict)


class InTheWild(Layout):
    """In-the-Wild: `meta.csv` with file, speaker and label beside the audio, a test set alone."""

    name = "in_the_wild"
    title = "In-the-Wild"
    published = MappingProxyType({"eval": 31_779})
    audio_hint = "are the audio files in the folder of meta.csv?"

    def matches(self, root: CorpusPath) -> bool:
        path = self._meta_file(root)
        if not path.is_file() or path.suffix.lower() != ".csv":
            return False
        try:
            columns = next((row for _, row in table_rows(path) if row is not None), {})
        except ProtocolError:
            return False
        return _META_COLUMNS.keys() <= columns.keys() and "path" not in columns

    def read(self, reading: Reading) -> Utterances:
        path = self._meta_file(reading.root)
        if not path.is_file():
            raise ProtocolError(f"{path}: no such file; In-the-Wild has it beside its audio")
        reading.require_link(path)
        if not self.matches(reading.root):
            raise ProtocolError(f"{path}: a CSV file with the columns {', '.join(_META_COLUMNS)} is expected")

        def renamed(row: Mapping[str, str]) -> dict[str, str]:
            return {"split": "eval"} | {_META_COLUMNS.get(name, name): value for name, value in row.items()}

        return read_table(reading, path, renamed)

    def _meta_file(self, root: CorpusPath) -> CorpusPath:
        return root / _META_FILE if root.is_dir() else root


def read_table(reading: Reading, path: CorpusPath, named: Callable[[Mapping[str, str]], dict[str, str]]) -> Utterances:
    """The utterances of a table; `named` gives a row under the names that `Table` describes."""

    def labels() -> Iterator[tuple[str, bool]]:
        for _, row in table_rows(path):
            if row is not None:
                values = named(row)
                yield values.get("label", ""), value_of(values.get("attack_id", "")) is not None

    bona_fide = number_of_bona_fide(labels(), reading.bonafide_number, str(path))
    return Utterances(_utterances(path, named, bona_fide, reading.findings))


def _utterances(
    path: CorpusPath,
    named: Callable[[Mapping[str, str]], dict[str, str]],
    bona_fide: int | None,
    findings: list[Finding],
) -> Iterator[Utterance]:
    for where, row in table_rows(path):
        if row is None:
            findings.append(Finding(where, "more fields than columns; put a value that holds a comma in quotes"))
        elif (utterance := _utterance(named(row), bona_fide, where, findings)) is not None:
            yield utterance


def _utterance(
    values: Mapping[str, str], bona_fide: int | None, where: str, findings: list[Finding]
) -> Utterance | None:
    texts = [text for name, value in values.items() for text in (name, value)]
    if wrong := next(filter(field_problem, texts), None):
        findings.append(Finding(where, f"the value {wrong[:_SHOWN_CHARACTERS]!r} {field_problem(wrong)}"))
        return None
    audio, split, word = values["path"], values["split"], values["label"]
    if split not in SPLITS:
        findings.append(Finding(where, f"unknown split {split!r}; write train, dev or eval"))
        return None
    number = number_of(word)
    label = class_of_word(word) if number is None else (BONA_FIDE if number == bona_fide else SPOOF)
    if label is None and value_of(word) is not None:
        findings.append(Finding(where, f"unknown label {word!r}; write bonafide or spoof"))
        return None
    if not is_below(audio):
        findings.append(Finding(where, f"path {audio!r} must be relative to the folder of the table and stay in it"))
        return None
    attack = value_of(values.get("attack_id", ""))
    if label == SPOOF and attack is None:
        attack = UNKNOWN_ATTACK
    utterance_id = values.get("utterance_id") or "_".join(str(PurePosixPath(audio).with_suffix("")).split())
    spaced = [name for name in (utterance_id, attack) if name is not None and len(name.split()) != 1]
    if spaced:
        findings.append(Finding(where, f"id {spaced[0]!r} has white space, at which score files are split; remove it"))
        return None
    speaker = value_of(values.get("speaker_id", ""))
    fields = {name: value or NO_VALUE for name, value in values.items() if name and name not in _COLUMNS}
    utterance = Utterance(split, utterance_id, speaker, attack, label, audio, where, pack_fields(fields))
    return utterance if is_consistent(utterance, findings) else None


def _require_columns(path: CorpusPath) -> None:
    """Refuses a table without the columns that are needed, and says which of its columns look like them.

    Raises:
        ProtocolError: A column is missing, or the first line holds values in place of names.
    """
    rows = [row for _, row in islice(table_rows(path), 100) if row is not None]
    if not rows:
        return
    columns = list(rows[0])
    absent = [name for name in _NEEDED if name not in columns]
    if not absent:
        return
    if len(columns) == 1 and (separator := next((sign for sign in ";\t|" if sign in columns[0]), None)):
        raise ProtocolError(f"{path}: its columns are separated by {separator!r}; write commas")
    if any(_looks_like(name, [column]) for name in _NEEDED for column in columns):
        shown = ", ".join(columns)[:_SHOWN_CHARACTERS]
        raise ProtocolError(
            f"{path}: the first line holds values ({shown}), no names; put the line `path,split,label` first"
        )
    alike = {
        name: column
        for name in absent
        for column in columns
        if column not in _COLUMNS and _looks_like(name, [row[column] for row in rows])
    }
    hints = "".join(f"; column {column!r} looks like it: rename it to {name}" for name, column in alike.items())
    if path.suffix.lower() not in TABLE_SUFFIXES:
        hints += "; of a published corpus, data.root is the folder that holds protocols and audio"
    raise ProtocolError(
        f"{path}: column {absent[0]!r} is missing; needed are path, split and label, found {', '.join(columns)}{hints}"
    )


def _looks_like(column: str, values: list[str]) -> bool:
    """Whether values look like those of a needed column."""
    if column == "path":
        return all(PurePosixPath(value).suffix.lower() in AUDIO_SUFFIXES for value in values)
    if column == "split":
        return all(value in SPLITS for value in values)
    return all(class_of_word(value) is not None for value in values)
