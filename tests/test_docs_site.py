"""The documentation builds as a site without a warning, and its pages load nothing from other hosts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|audio|video)\b[^>]*?\bsrc=["']([^"']+)|<link\b[^>]*?\bhref=["']([^"']+)"""
)
_LOADED_BY_STYLE = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package, reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", "-d", folder / "doctrees", "."]
    result = subprocess.run([*command, folder / "site"], cwd=repository, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == "", "a page, a link or an anchor is missing, or a page is in no list of docs/index.md"
    return folder / "site"


def test_every_page_of_the_repository_is_on_the_site(site: Path, repository: Path) -> None:
    pages = {path.relative_to(repository).with_suffix(".html") for path in (repository / "docs").glob("*.md")}
    pages |= {Path("README.html"), Path("CONTRIBUTING.html"), Path("CHANGELOG.html"), Path("deploy/flink/README.html")}

    assert {page for page in pages if not (site / page).is_file()} == set()
    assert "url=docs/index.html" in (site / "index.html").read_text(encoding="utf-8")


def test_the_pages_load_nothing_from_other_hosts(site: Path) -> None:
    foreign = {
        f"{path.relative_to(site)}: {target}"
        for pattern, suffix in ((_LOADED, "html"), (_LOADED_BY_STYLE, "css"))
        for path in site.rglob(f"*.{suffix}")
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
        if re.match(r"(?:[a-z]+:)?//", target := next(filter(None, match.groups())))
    }

    assert sorted(foreign) == []
