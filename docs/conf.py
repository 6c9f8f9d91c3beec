"""The documentation as a site, by Sphinx: `make docs`. The links of the pages are those that work in the repository, too."""

from pathlib import Path
from typing import Any

# The source is the repository, so that pages keep their paths; links to files that are no pages become downloads.
project = "Bonafide"
copyright = "The Bonafide maintainers"
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/*.md",
    "deploy/*/README.md",
    "data/sample/LA/SOURCES.md",
]
extensions = ["myst_parser"]
myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
highlight_language = "none"

html_theme = "furo"
html_title = "Bonafide"
html_show_sphinx = False
html_copy_source = False


def write_first_page(app: Any, exception: Exception | None) -> None:
    """A host shows `index.html` of the site's folder; the pages are under docs/."""
    if exception is None:
        page = f'<!doctype html><title>{project}</title><meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("build-finished", write_first_page)
