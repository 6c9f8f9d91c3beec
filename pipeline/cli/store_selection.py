"""What `bonafide store select` checks before it selects, and the CSV of what it selected."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.errors import StoreError
from pipeline.files import atomic_write
from pipeline.text import csv_cell

if TYPE_CHECKING:
    from pipeline.store import FeatureStore

_LISTED_NAMES = 20


def require_known(path: str, store: "FeatureStore", wanted: dict[str, list[str] | None]) -> None:
    """Refuses names that no example of a store has, which a typing error would otherwise turn into an empty selection."""
    import pyarrow.compute as pc

    for column, names in wanted.items():
        known = sorted(pc.unique(store.index[column]).drop_null().to_pylist())
        unknown = [name for name in names or () if name not in known]
        if unknown:
            kind = column.removesuffix("_id")
            more = f" and {len(known) - _LISTED_NAMES} more" if len(known) > _LISTED_NAMES else ""
            listed = ", ".join(known[:_LISTED_NAMES]) + more
            raise StoreError(f"no example of {path} has the {kind} {', '.join(unknown)}; there are {listed or 'none'}")


def write_csv(selection: "FeatureStore", target: Path) -> None:
    """Writes the rows of a selection's index as CSV, to standard output if the target is "-"; formulas are defused."""
    import pyarrow as pa
    import pyarrow.csv

    index = selection.index
    for place, field in enumerate(index.schema):
        if pa.types.is_string(field.type):
            cells = pa.array(map(csv_cell, index[field.name].to_pylist()), pa.string())
            index = index.set_column(place, field, cells)
    sink = io.BytesIO()
    pyarrow.csv.write_csv(index, sink)
    if str(target) == "-":
        typer.echo(sink.getvalue(), nl=False)  # UTF-8, whatever the terminal has
    else:
        atomic_write(target, sink.getvalue())
