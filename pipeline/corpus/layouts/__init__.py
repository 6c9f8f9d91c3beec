"""The layouts of corpora, as they are published: which one a corpus has, and how its protocols become utterances.

One module per family; `LAYOUTS` is the registry. Checks that hold for every layout are in `pipeline.corpus.findings`.
"""

from itertools import islice
from typing import Final

from pipeline.corpus.layouts.asvspoof import ASVSPOOF
from pipeline.corpus.layouts.base import Layout, folders_in
from pipeline.corpus.layouts.folders import ClassFolders
from pipeline.corpus.layouts.tables import TABLE_SUFFIXES, InTheWild, Table
from pipeline.corpus.places import CorpusPath
from pipeline.errors import CorpusError

AUTO: Final = "auto"

_MOST_HINTED: Final = 100

LAYOUTS: Final = {layout.name: layout for layout in (*ASVSPOOF, InTheWild(), ClassFolders(), Table())}
"""Every layout by its name in `data.layout`; `auto` takes the one that the corpus has."""


def layout_of(root: CorpusPath, name: str = AUTO) -> Layout:
    """The layout of a corpus.

    Args:
        root: Folder or table.
        name: A name of `LAYOUTS`, or "auto".

    Raises:
        CorpusError: There is no such corpus or no such layout, or the corpus has none of the layouts, or more than one.
    """
    if not root.exists():
        raise CorpusError(f"{root}: no such corpus; set data.root in params.yaml to the folder that holds it")
    if name in LAYOUTS:
        return LAYOUTS[name]
    if name != AUTO:
        raise CorpusError(f"there is no layout {name!r}; known are {', '.join([AUTO, *LAYOUTS])}")
    found = [layout for layout in LAYOUTS.values() if layout.matches(root)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(layout.name for layout in found)
        raise CorpusError(f"{root}: it has more than one layout, {names}; set data.layout to the one that is meant")
    if root.is_file():
        return LAYOUTS[Table.name]
    raise CorpusError(
        f"{root}: no layout of a corpus is recognised there{_hint(root)}; docs/corpora.md shows every layout"
    )


def _hint(root: CorpusPath) -> str:
    """What a folder that has no layout holds instead, as the middle of a sentence."""
    for path in islice(folders_in(root), _MOST_HINTED):
        if found := [layout for layout in LAYOUTS.values() if layout.matches(path)]:
            return f", but {path.name} in it is {found[0].title}: set data.root to {path}"
    tables = sorted(path for suffix in TABLE_SUFFIXES for path in root.glob(f"*{suffix}"))
    if tables:
        return f"; a table is named by its file, such as data.root: {tables[0]}"
    return (
        "; data.root must be a folder as it was published, a folder with one for each class, or a CSV or Parquet table"
    )
