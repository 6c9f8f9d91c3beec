"""The first screen: results as the study measured them, one picture that loads fast, links that lead somewhere."""

import json
import re
from pathlib import Path

import pytest

RECIPES = {
    "sample, in this repository": "sample/default",
    "minila": "minila/default",
    "minila, twice the steps": "minila/longer",
    "minila, windows of 5 and 10 ms fused": "minila/neural_and_10_ms",
    "minila_xl: eval of minila, 5 times the steps": "minila_xl/longest",
    "minila_xl, windows of 5 and 10 ms fused": "minila_xl/longest_and_10_ms",
}
"""Rows of the README's table of results, and the runs of reports/study.json that they are means of."""


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


def percent(values: list[float]) -> str:
    return f"{100 * sum(values) / len(values):.1f} %"


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("row", RECIPES)
def test_the_results_are_those_of_the_study(row: str, readme: str, repository: Path) -> None:
    study = json.loads((repository / "reports" / "study.json").read_text(encoding="utf-8"))
    runs = [run["eval"] for name, run in study.items() if re.fullmatch(rf"{RECIPES[row]}-\d+", name)]
    eers = [run["eer"] for run in runs]
    (cells,) = (line.strip("| ").split(" | ") for line in readme.splitlines() if line.startswith(f"| {row} |"))

    assert cells[2] == f"{percent(eers)} ({100 * min(eers):.1f} to {100 * max(eers):.1f})"
    # The results of a fusion of score files do not part seen from unseen attacks.
    parts = [[run[part] for run in runs if part in run] for part in ("seen", "unseen")]
    assert cells[3:5] == [percent(values) if values else "–" for values in parts]
    assert cells[5] == f"{sum(run['cllr'] for run in runs) / len(runs):.2f}"


def test_the_pictures_of_the_readme_are_small(readme: str, repository: Path) -> None:
    pictures = re.findall(r'<img src="([^"]+)" width="\d+" alt="[^"]+">', readme)

    assert pictures == ["docs/report.png"]
    assert all((repository / picture).stat().st_size < 300_000 for picture in pictures)


def test_the_links_of_the_pages_lead_to_files(repository: Path) -> None:
    pages = [
        *repository.glob("*.md"),
        *(repository / "docs").glob("*.md"),
        *(repository / "deploy").glob("*/README.md"),
    ]
    broken = {
        f"{page.relative_to(repository)}: {link}"
        for page in pages
        for link in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", prose(page))
        if not (page.parent / link).exists()
    }

    assert sorted(broken) == []
