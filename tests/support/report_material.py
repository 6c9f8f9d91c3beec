"""What the tests of the report page make a page of."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.bundle import Bundle
from model.params import Params
from model.report.page import Sources, write_page
from pipeline.store import FeatureStore


@dataclass(frozen=True)
class Material:
    """The arguments of `write_page`."""

    store: FeatureStore
    bundle: Bundle
    params: Params
    sources: Sources

    def page(self, folder: Path, **changes: Any) -> str:
        """The page with other sources."""
        path = folder / "index.html"
        write_page(self.store, self.bundle, self.params, replace(self.sources, **changes), path)
        return path.read_text(encoding="utf-8")
