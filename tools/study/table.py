"""docs/study.md from the results of the study."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

BEGIN, END = "<!-- tables: written by `make study` -->", "<!-- end of the tables -->"


def write_page(results: dict[str, Any], plan: dict[str, Any], page: Path) -> None:
    """Replaces the tables of the page; the text around them is written by hand."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{tables(results, plan)}\n{END}{after}")


def tables(results: dict[str, Any], plan: dict[str, Any]) -> str:
    """The ladder of each corpus, then attacks and conditions of each recipe, as Markdown."""
    whats = {name: recipe["what"] for name, recipe in plan["recipes"].items()}
    whats |= {name: f"fusion of {' and '.join(members)}" for name, members in plan["fusions"].items()}
    whats |= {name: f"fusion of all seeds of {' and '.join(members)}" for name, members in plan["ensembles"].items()}
    parts = []
    for corpus in plan["corpora"]:
        rows = {
            name: [found for run, found in results.items() if run.startswith(f"{corpus}/{name}-")] for name in whats
        }
        rows = {name: found for name, found in rows.items() if found}
        if rows:
            parts += [f"### {corpus}\n", ladder(rows, whats), attacks(rows), conditions(rows)]
    return "\n".join(part for part in parts if part)


def ladder(rows: dict[str, list[dict[str, Any]]], whats: dict[str, str]) -> str:
    """One row for each recipe: means over the seeds, and the seeds' EER on eval."""
    head = (
        "| recipe | seeds | dev EER % | held-out EER % | eval EER % (seeds) | seen | unseen | Cllr | slope | certain but wrong %"
        " | train s, folds s |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    lines = []
    for name, found in rows.items():
        single = sorted(run["eval"]["eer"] for run in found)
        seeds = " / ".join(f"{100 * value:.1f}" for value in single)
        cells = [
            f"**{name}**: {whats[name]}",
            str(len(found)),
            percent(found, "dev", "eer"),
            percent(found, "held_out"),
            f"**{100 * fmean(single):.1f}** ({seeds})",
            percent(found, "eval", "seen"),
            percent(found, "eval", "unseen"),
            plain(found, "eval", "cllr"),
            plain(found, "eval", "calibration_slope"),
            percent(found, "eval", "certain_wrong"),
            f"{plain(found, 'train_s', digits=0)}, {plain(found, 'folds_s', digits=0)}",
        ]
        lines.append(f"| {' | '.join(cells)} |\n")
    return head + "".join(lines)


def attacks(rows: dict[str, list[dict[str, Any]]]) -> str:
    """EER of each attack of eval, means over the seeds."""
    rows = {name: found for name, found in rows.items() if "attacks" in found[0]}
    names = sorted({attack for found in rows.values() for run in found for attack in run["attacks"]})
    if not names:
        return ""
    lines = [f"| EER % | {' | '.join(names)} |\n", f"|{' --- |' * (len(names) + 1)}\n"]
    for name, found in rows.items():
        lines.append(f"| {name} | {' | '.join(percent(found, 'attacks', attack) for attack in names)} |\n")
    return "".join(lines)


def conditions(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Share of changed verdicts and misses under each condition, means over the seeds that measured them."""
    rows = {name: [run for run in found if run.get("conditions")] for name, found in rows.items()}
    rows = {name: found for name, found in rows.items() if found}
    if not rows:
        return ""
    titles = dict.fromkeys(title for found in rows.values() for run in found for title in run["conditions"])
    lines = [f"| changed % (miss %) | {' | '.join(rows)} |\n", f"|{' --- |' * (len(rows) + 1)}\n"]
    for title in titles:
        cells = [
            f"{percent(found, 'conditions', title, 'changed')} ({percent(found, 'conditions', title, 'miss')})"
            for found in rows.values()
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |\n")
    return "".join(lines)


def percent(found: list[dict[str, Any]], *path: str) -> str:
    """The mean of a fraction over runs, in percent; "–" where a run has none."""
    value = mean(found, *path)
    return "–" if value is None else f"{100 * value:.1f}"


def plain(found: list[dict[str, Any]], *path: str, digits: int = 2) -> str:
    """The mean of a number over runs."""
    value = mean(found, *path)
    return "–" if value is None else f"{value:.{digits}f}"


def mean(found: list[dict[str, Any]], *path: str) -> float | None:
    """The mean over runs of what is at a path of keys, or None."""
    values: list[Any] = []
    for run in found:
        value: Any = run
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        values.append(value)
    return None if any(value is None for value in values) else fmean(values)
