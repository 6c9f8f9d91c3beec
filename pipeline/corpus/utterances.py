"""The utterances of a protocol, as objects for people and as columns for millions of them."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, overload

import pyarrow as pa
import pyarrow.compute as pc

_ROWS_AT_ONCE: Final = 4096
_SHARED: Final = pa.dictionary(pa.int32(), pa.string())
_SCHEMA: Final = pa.schema(
    {
        "split": _SHARED,
        "utterance_id": pa.string(),
        "speaker_id": _SHARED,
        "attack_id": _SHARED,
        "label": pa.int8(),
        "fields": _SHARED,
        "path": pa.string(),
        # `where` without its end, which differs from line to line.
        "file": _SHARED,
        "line": pa.string(),
    }
)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of a protocol.

    Attributes:
        split: "train", "dev" or "eval".
        utterance_id: Unique in the corpus.
        speaker_id: None where the protocol has none.
        attack_id: The spoofing system; None for bona fide speech and where the protocol has none.
        label: 1 bona fide, 0 spoof, None for an unlabelled trial.
        path: The audio file relative to the corpus root as a POSIX path, or None where the layout determines it.
        where: "file:line", for messages.
        fields: The other fields of the protocol, as `pack_fields` gives them; None where it has none.
    """

    split: str
    utterance_id: str
    speaker_id: str | None
    attack_id: str | None
    label: int | None
    path: str | None
    where: str
    fields: str | None = None


class Utterances(Sequence[Utterance]):
    """Many utterances in about 50 bytes each; `Utterance` objects exist only while they are used."""

    def __init__(self, utterances: Iterable[Utterance] = ()) -> None:
        waiting = iter(utterances)
        batches = []
        while taken := list(islice(waiting, _ROWS_AT_ONCE)):
            batches.append(_to_batch(taken))
        self._table = pa.Table.from_batches(batches, _SCHEMA)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...

    @overload
    def __getitem__(self, index: slice) -> list[Utterance]: ...

    def __getitem__(self, index: int | slice) -> Utterance | list[Utterance]:
        rows = range(len(self))[index]
        if isinstance(rows, int):
            return next(_from_rows(self._table.slice(rows, 1)))
        return list(_from_rows(self._table.take(list(rows))))

    def __iter__(self) -> Iterator[Utterance]:
        for batch in self._table.to_batches(max_chunksize=_ROWS_AT_ONCE):
            yield from _from_rows(batch)

    def __add__(self, other: "Utterances") -> "Utterances":
        return _of_table(pa.concat_tables([self._table, other._table]))

    def sorted(self) -> "Utterances":
        """The same utterances by split, then by id."""
        keys = {name: self._table[name].cast(pa.string()) for name in ("split", "utterance_id")}
        order = pc.sort_indices(pa.table(keys), [(name, "ascending") for name in keys])
        return _of_table(self._table.combine_chunks().take(order))

    def repeated_ids(self) -> set[str]:
        """Utterance ids that occur more than once."""
        return _repeated(self._table["utterance_id"].combine_chunks())

    def repeated_folded_ids(self) -> set[str]:
        """What `fold` gives for more than one utterance."""
        ids = self._table["utterance_id"]
        if pc.all(pc.string_is_ascii(ids)).as_py():
            return _repeated(pc.ascii_lower(ids).combine_chunks())
        folded = (pa.array(map(fold, chunk.to_pylist()), pa.string()) for chunk in ids.chunks)
        return _repeated(pa.chunked_array(folded, pa.string()).combine_chunks())


def _repeated(names: pa.StringArray) -> set[str]:
    # Sorting needs a fraction of the memory of a hash table.
    ordered = names.take(pc.sort_indices(names))
    return set(ordered[1:].filter(pc.equal(ordered[1:], ordered[:-1])).to_pylist())


def fold(utterance_id: str) -> str:
    """What is left of an id without its case and the form of its Unicode characters."""
    return unicodedata.normalize("NFC", utterance_id).lower()


def _to_batch(utterances: Sequence[Utterance]) -> pa.RecordBatch:
    places = [utterance.where.rpartition(":") for utterance in utterances]
    columns: list[list[Any]] = [
        [utterance.split for utterance in utterances],
        [utterance.utterance_id for utterance in utterances],
        [utterance.speaker_id for utterance in utterances],
        [utterance.attack_id for utterance in utterances],
        [utterance.label for utterance in utterances],
        [utterance.fields for utterance in utterances],
        [utterance.path for utterance in utterances],
        [file + colon for file, colon, _ in places],
        [line for _, _, line in places],
    ]
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA
    )


def _from_rows(rows: pa.Table | pa.RecordBatch) -> Iterator[Utterance]:
    columns = (column.to_pylist() for column in rows.columns)
    for split, utterance_id, speaker_id, attack_id, label, fields, path, file, line in zip(*columns, strict=True):
        yield Utterance(split, utterance_id, speaker_id, attack_id, label, path, file + line, fields)


def _of_table(table: pa.Table) -> Utterances:
    utterances = Utterances()
    utterances._table = table
    return utterances
