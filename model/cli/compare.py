"""The command `bonafide compare`: differences between two systems that scored the same clips.

A system is a score file, or a git revision or experiment of DVC with committed scores. The numbers go to standard output, as
tables or as JSON; warnings go to standard error.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from model.artifacts import EVALUATION_FOLDER, scores_file
from model.cli.options import (
    AsvOption,
    Clusters,
    ClustersOption,
    DevProtocolOption,
    ProtocolOption,
    SameCorpusOption,
    SeedOption,
    warnings_as_notes,
)
from pipeline.cli.options import JsonOption

if TYPE_CHECKING:
    from model.metrics import AsvScores, Difference, ScoreTable

_SIGNIFICANT_P: Final = 0.05


class Split(str, Enum):
    """The split whose committed scores are compared."""

    dev = "dev"
    eval = "eval"


SystemArgument = Annotated[str, typer.Argument(help="Score file, git revision, or experiment of DVC.")]


def compare(
    a: SystemArgument,
    b: SystemArgument,
    protocol: ProtocolOption = None,
    asv_scores: AsvOption = None,
    same_corpus: SameCorpusOption = False,
    dev_a: Annotated[Path | None, typer.Option("--dev-a", help="Dev scores of A, for its threshold.")] = None,
    dev_b: Annotated[Path | None, typer.Option("--dev-b", help="Dev scores of B, for its threshold.")] = None,
    dev_protocol: DevProtocolOption = None,
    split: Annotated[Split, typer.Option("--split", help="Split compared between revisions.")] = Split.eval,
    intervals: Annotated[int, typer.Option("--intervals", min=1, help="Resamples for intervals and p-values.")] = 1000,
    clusters: ClustersOption = Clusters.auto,
    seed: SeedOption = 0,
    flips: Annotated[int, typer.Option("--flips", min=0, help="Clips with another verdict to list.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Compare two systems on the same clips: difference per metric with interval and p-value, verdicts that flip.

    A and B are score files, or git revisions or DVC experiments with committed scores, whose thresholds come from their dev
    scores.
    """
    from model.metrics import paired_bootstrap, read_asv_scores
    from pipeline.cli.console import print_json

    with warnings_as_notes():
        first = _system(a, protocol, dev_a, dev_protocol, split)
        second = _system(b, protocol, dev_b, dev_protocol, split)
        asv = None if asv_scores is None else read_asv_scores(asv_scores)
        differences = paired_bootstrap(
            first.table,
            second.table,
            first.statistic(asv, same_corpus),
            second.statistic(asv, same_corpus),
            n_resamples=intervals,
            cluster=clusters.drawn,
            seed=seed,
        )
    _warn_of_origins(a, b)
    flipped = _flips(first, second)
    if as_json:
        result: dict[str, Any] = {name: vars(difference) for name, difference in differences.items()}
        print_json(result | {"threshold_a": first.threshold, "threshold_b": second.threshold, "flips": flipped})
    else:
        _print_differences(first, second, differences)
        _print_flips(flipped, flips)


def _warn_of_origins(a: str, b: str) -> None:
    """Warns where two committed runs come from different machines, code or corpora; a score file does not tell."""
    from model.cli.origins import differences_of_origin
    from model.cli.revisions import find_commit
    from pipeline.cli.console import warn

    if Path(a).is_file() or Path(b).is_file():
        return
    for sentence in differences_of_origin((a, b), (find_commit(a), find_commit(b))):
        warn(sentence)


@dataclass(frozen=True)
class _System:
    """One side of a comparison.

    Attributes:
        name: As given on the command line.
        table: Its scores.
        threshold: Score from which a clip is called bona fide.
        from_dev: True if the threshold comes from its dev scores, False if from the compared scores.
    """

    name: str
    table: "ScoreTable"
    threshold: float
    from_dev: bool

    def statistic(self, asv: "AsvScores | None", same_corpus: bool) -> Any:
        from model.metrics import asv_error_rates, headline_statistic, refuse_other_corpus

        if asv is None:
            return headline_statistic(self.table, self.threshold)
        refuse_other_corpus(asv, self.table, stated_same=same_corpus)
        return headline_statistic(self.table, self.threshold, asv_error_rates(asv))


def _system(name: str, protocol: Path | None, dev: Path | None, dev_protocol: Path | None, split: Split) -> _System:
    from model.cli.revisions import find_commit
    from model.metrics import dev_threshold, labelled_table, parse_scores, read_score_table

    dev_table = None if dev is None else read_score_table(dev, dev_protocol)
    if Path(name).is_file():
        table = read_score_table(Path(name), protocol)
    else:
        commit = find_commit(name)
        text = _committed_scores(name, commit, split.value, required=True)
        table = labelled_table(parse_scores(text, f"{name}:{split.value}"), protocol)
        if dev_table is None and (text := _committed_scores(name, commit, "dev", required=False)):
            dev_table = labelled_table(parse_scores(text, f"{name}:dev"))
    return _System(name, table, dev_threshold(table if dev_table is None else dev_table), dev_table is not None)


def _committed_scores(name: str, commit: str, split: str, *, required: bool) -> str:
    """The text of a committed score file; "" for one that is not required and not there."""
    from model.cli.revisions import committed
    from model.metrics import MetricsError

    path = f"{EVALUATION_FOLDER}/{scores_file(split)}"
    text = committed(commit, path)
    if text is None and required:
        raise MetricsError(
            f"{name}: this revision has no {path}. Commit it after `bonafide evaluate`, or compare score files"
        )
    return text or ""


def _flips(a: _System, b: _System) -> list[dict[str, Any]]:
    """Clips whose verdict differs: those that became wrong first, then by the distance between the scores."""
    from model.metrics.intervals import aligned
    from model.metrics.score_files import LABEL_NAMES

    other = aligned(a.table, b.table)
    called_a, called_b = a.table.scores >= a.threshold, other.scores >= b.threshold
    rows = [
        {
            "utterance_id": str(a.table.utterance_ids[i]),
            "attack_id": str(a.table.attack_ids[i]),
            "label": LABEL_NAMES[a.table.labels[i]],
            "score_a": float(a.table.scores[i]),
            "score_b": float(other.scores[i]),
            "verdict_a": LABEL_NAMES[called_a[i]],
            "verdict_b": LABEL_NAMES[called_b[i]],
            "right": "a" if called_a[i] == a.table.labels[i] else "b",
        }
        for i in (called_a != called_b).nonzero()[0]
    ]

    def distance(row: dict[str, Any]) -> float:
        return abs(float(row["score_a"] - a.threshold - row["score_b"] + b.threshold))

    return sorted(rows, key=lambda row: (row["right"] != "a", -distance(row), row["utterance_id"]))


def _print_differences(a: _System, b: _System, differences: "dict[str, Difference]") -> None:
    from model.cli.numbers import interval, number, signed_number
    from model.metrics import HEADLINES
    from pipeline.cli.console import results, table

    console = results()
    rows = []
    for name, info in HEADLINES.items():
        if name not in differences:
            continue
        found = differences[name]
        better = "B" if (found.difference < 0) == info.lower_is_better else "A"
        rows.append(
            (
                f"{info.title} [{info.unit}]" if info.unit else info.title,
                number(found.a, info.unit),
                number(found.b, info.unit),
                signed_number(found.difference, info.unit),
                interval(found.low, found.high, info.unit, signed=True),
                f"{found.p_value:.3f}",
                better if found.p_value < _SIGNIFICANT_P else "",
            )
        )
    for letter, system in (("A", a), ("B", b)):
        console.print(f"{letter} = {system.name}")
    console.print(table(f"{len(a.table):,} clips", ("metric", "A", "B", "B − A", "95 % interval", "p", "better"), rows))
    for letter, system in (("A", a), ("B", b)):
        origin = (
            "from its dev scores" if system.from_dev else "its EER threshold on these scores, which is too optimistic"
        )
        console.print(f"Threshold of {letter}: {system.threshold:.4f}, {origin}.")


def _print_flips(flipped: list[dict[str, Any]], n_shown: int) -> None:
    from pipeline.cli.console import results, table

    console = results()
    worse = sum(row["right"] == "a" for row in flipped)
    console.print(
        f"{len(flipped):,} verdicts flip: {worse:,} became wrong in B, {len(flipped) - worse:,} became right."
    )
    shown = [
        (
            row["utterance_id"],
            row["attack_id"],
            row["label"],
            f"{row['score_a']:.3f}",
            f"{row['score_b']:.3f}",
            f"{row['verdict_a']} → {row['verdict_b']}",
            row["right"].upper(),
        )
        for row in flipped[:n_shown]
    ]
    if shown:
        console.print()
        headings = ("utterance", "attack", "label", "score A", "score B", "verdict", "right")
        console.print(table(f"Flipped verdicts, {len(shown):,} of {len(flipped):,}", headings, shown))
