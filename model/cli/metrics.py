"""The commands `metrics` and `compare`: everything that can be told from score files alone, without audio or TensorFlow.

Numbers go to standard out, as tables for people or as JSON; notes and warnings go to standard error.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.artifacts import EVALUATION_FOLDER, scores_file

if TYPE_CHECKING:
    from rich.console import Console

    from model.metrics import AsvScores, Difference, Part, ScoreTable

PAPER_WIDTH = 100


class Grouping(str, Enum):
    """What the table of parts is broken down by."""

    attack = "attack"
    speaker = "speaker"


class Clusters(str, Enum):
    """What a resample draws."""

    none = "none"
    speaker = "speaker"
    attack = "attack"


class Split(str, Enum):
    """The split whose committed scores are compared."""

    dev = "dev"
    eval = "eval"


ScoresOption = Annotated[
    Path, typer.Option("--scores", help="Lines of `id score`, or `id attack label score`; higher = more genuine.")
]
ProtocolOption = Annotated[
    Path | None,
    typer.Option("--protocol", help="ASVspoof 2019 protocol; scores in four columns can do without."),
]
AsvOption = Annotated[
    Path | None, typer.Option("--asv-scores", help="ASV scores of the same corpus, for the t-DCF and t-EER.")
]
SameCorpusOption = Annotated[
    bool,
    typer.Option("--same-corpus", help="State that the ASV scores are of this corpus although their counts differ."),
]
ClustersOption = Annotated[Clusters, typer.Option("--clusters", help="What a resample draws; none: single trials.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the resamples.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the console command."""
    app.command(
        epilog="Example: bonafide metrics --scores eval.txt --protocol ASVspoof2019.LA.cm.eval.trl.txt --intervals 1000"
    )(metrics)
    app.command(
        epilog="Examples: bonafide compare main HEAD | bonafide compare mine.txt theirs.txt --protocol protocol.txt"
    )(compare)


def metrics(
    scores: ScoresOption,
    protocol: ProtocolOption = None,
    asv_scores: AsvOption = None,
    same_corpus: SameCorpusOption = False,
    sasv_scores: Annotated[
        Path | None,
        typer.Option("--sasv-scores", help="Scores of a spoofing-robust ASV system, in the ASV format, for the a-DCF."),
    ] = None,
    dev_scores: Annotated[
        Path | None,
        typer.Option("--dev-scores", help="Dev scores of the same system: threshold, calibration and abstain band."),
    ] = None,
    dev_protocol: Annotated[
        Path | None, typer.Option("--dev-protocol", help="Protocol of the dev scores; as --protocol.")
    ] = None,
    abstain_error_rate: Annotated[
        float,
        typer.Option(
            "--abstain-error-rate", min=0, max=0.49, help="Error per class that the abstain band leaves on dev."
        ),
    ] = 0.05,
    intervals: Annotated[
        int, typer.Option("--intervals", min=0, help="Resamples for the 95 % intervals; 0: none.")
    ] = 0,
    clusters: ClustersOption = Clusters.none,
    by: Annotated[Grouping, typer.Option("--by", help="Break down by attack or by speaker.")] = Grouping.attack,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compute every metric of anybody's score file: EER, t-DCF, DCF, Cllr, AUC, accuracy, by attack or speaker."""
    from model.metrics import (
        MetricsError,
        a_dcf,
        by_attack,
        by_speaker,
        dev_threshold,
        read_asv_scores,
        read_score_table,
        summarise,
    )

    if dev_protocol is not None and dev_scores is None:
        raise typer.BadParameter("it is of no use without --dev-scores", param_hint="--dev-protocol")
    with warnings_as_notes():
        table = read_score_table(scores, protocol)
        asv = None if asv_scores is None else read_asv_scores(asv_scores)
        dev = None if dev_scores is None else read_score_table(dev_scores, dev_protocol)
        threshold = None if dev is None else dev_threshold(dev)
        summary = summarise(
            table,
            threshold=threshold,
            asv=asv,
            same_corpus=same_corpus,
            n_resamples=intervals,
            cluster=_cluster(clusters),
            seed=seed,
        )
        if sasv_scores is not None:
            sasv = read_asv_scores(sasv_scores)
            summary["a_dcf"] = a_dcf(sasv.target, sasv.nontarget, sasv.spoof)
        if dev is not None:
            summary |= _learnt_on_dev(dev, table, abstain_error_rate)
        breakdown = by_attack if by is Grouping.attack else by_speaker
        if by is Grouping.speaker and not (table.speaker_ids != "-").any():
            raise MetricsError(f"{scores} does not tell speakers: give the protocol of its corpus (--protocol)")
        parts = breakdown(table, threshold=summary["threshold"], n_resamples=intervals, seed=seed)
    if as_json:
        if by is Grouping.speaker:
            summary["per_speaker"] = {part.name: _part_as_scalars(part) for part in parts}
        _print_json(summary)
        return
    _print_metrics(summary, parts, by, scores.name, from_dev=dev is not None, with_asv=asv is not None)


def compare(
    a: Annotated[str, typer.Argument(help="Score file, or git revision.")],
    b: Annotated[str, typer.Argument(help="Score file, or git revision.")],
    protocol: ProtocolOption = None,
    asv_scores: AsvOption = None,
    same_corpus: SameCorpusOption = False,
    dev_a: Annotated[Path | None, typer.Option("--dev-a", help="Dev scores of A, for its threshold.")] = None,
    dev_b: Annotated[Path | None, typer.Option("--dev-b", help="Dev scores of B, for its threshold.")] = None,
    dev_protocol: Annotated[
        Path | None, typer.Option("--dev-protocol", help="Protocol of the dev scores; as --protocol.")
    ] = None,
    split: Annotated[Split, typer.Option("--split", help="Split compared between git revisions.")] = Split.eval,
    intervals: Annotated[int, typer.Option("--intervals", min=1, help="Resamples for intervals and p-values.")] = 1000,
    clusters: ClustersOption = Clusters.none,
    seed: SeedOption = 0,
    flips: Annotated[int, typer.Option("--flips", min=0, help="Clips with another verdict to list.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Compare two systems on the same clips: difference per metric with interval and p-value, verdicts that flip.

    A and B are score files, or git revisions with committed scores. A revision's threshold comes from its dev scores.
    """
    from model.metrics import paired_bootstrap, read_asv_scores

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
            cluster=_cluster(clusters),
            seed=seed,
        )
    flipped = _flips(first, second)
    if as_json:
        result: dict[str, Any] = {name: vars(difference) for name, difference in differences.items()}
        result |= {"threshold_a": first.threshold, "threshold_b": second.threshold, "flips": flipped}
        _print_json(result)
        return
    _print_comparison(first, second, differences, flipped, flips)


@dataclass(frozen=True)
class _System:
    """One side of a comparison."""

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
    from model.metrics import (
        dev_threshold,
        join,
        labelled_table,
        parse_scores,
        read_protocol,
        read_score_table,
        read_scores,
    )

    dev_table = None if dev is None else read_score_table(dev, dev_protocol)
    if Path(name).is_file():
        file = read_scores(Path(name))
    else:
        file = parse_scores(_at_revision(name, split.value, required=True), f"{name}:{split.value}")
        if dev_table is None and (text := _at_revision(name, "dev", required=False)):
            dev_table = labelled_table(parse_scores(text, f"{name}:dev"))
    table = labelled_table(file) if protocol is None else join(file, read_protocol(protocol))
    return _System(name, table, dev_threshold(table if dev_table is None else dev_table), dev_table is not None)


def _at_revision(revision: str, split: str, *, required: bool) -> str:
    import subprocess

    from model.metrics import MetricsError

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(["git", *arguments], capture_output=True, text=True, encoding="utf-8", check=False)
        except FileNotFoundError:
            raise MetricsError(f"{revision}: no such file, and without git it cannot be a revision") from None

    known = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if known.returncode:
        raise MetricsError(f"{revision}: neither a score file nor a git revision of this folder")
    path = f"./{EVALUATION_FOLDER}/{scores_file(split)}"
    shown = git("show", f"{known.stdout.strip()}:{path}")
    if shown.returncode:
        if not required:
            return ""
        raise MetricsError(
            f"{revision}: this revision has no {path[2:]}. Commit it after `bonafide evaluate` (git keeps it, not DVC), or "
            "compare score files"
        )
    return shown.stdout


def _flips(a: _System, b: _System) -> list[dict[str, Any]]:
    """Utterances whose verdict differs, those that became wrong first, then by distance between the scores."""
    from model.metrics.intervals import aligned

    other = aligned(a.table, b.table)
    called_a, called_b = a.table.scores >= a.threshold, other.scores >= b.threshold
    rows = [
        {
            "utterance_id": str(a.table.utterance_ids[i]),
            "attack_id": str(a.table.attack_ids[i]),
            "label": "bonafide" if a.table.labels[i] else "spoof",
            "score_a": float(a.table.scores[i]),
            "score_b": float(other.scores[i]),
            "verdict_a": "bonafide" if called_a[i] else "spoof",
            "verdict_b": "bonafide" if called_b[i] else "spoof",
            "right": "a" if called_a[i] == a.table.labels[i] else "b",
        }
        for i in (called_a != called_b).nonzero()[0]
    ]

    def distance(row: dict[str, Any]) -> float:
        return abs(float(row["score_a"] - a.threshold - row["score_b"] + b.threshold))

    return sorted(rows, key=lambda row: (row["right"] != "a", -distance(row), row["utterance_id"]))


def _learnt_on_dev(dev: "ScoreTable", table: "ScoreTable", error_rate: float) -> dict[str, Any]:
    """Calibration and abstain band of dev, and what they do to the scores of a table."""
    from model.metrics import abstain_band, act_dcf, cllr, fit_calibration

    calibration = fit_calibration(dev.bonafide, dev.spoof)
    genuine, fake = calibration.apply(table.bonafide), calibration.apply(table.spoof)
    band = abstain_band(dev.bonafide, dev.spoof, error_rate)
    verdicts = band.verdicts(table.scores)
    bonafide = table.labels == 1
    return {
        "calibrated": {
            "slope": calibration.slope,
            "intercept": calibration.intercept,
            "cllr": cllr(genuine, fake),
            "act_dcf": act_dcf(genuine, fake),
        },
        "abstain": {
            "low": band.low,
            "high": band.high,
            "error_rate": band.error_rate,
            "bonafide_uncertain": float((verdicts[bonafide] == -1).mean()),
            "spoof_uncertain": float((verdicts[~bonafide] == -1).mean()),
            "bonafide_wrong": float((verdicts[bonafide] == 0).mean()),
            "spoof_wrong": float((verdicts[~bonafide] == 1).mean()),
        },
    }


def _part_as_scalars(part: "Part") -> dict[str, float]:
    values = {
        "n_bonafide": part.n_bonafide,
        "n_spoof": part.n_spoof,
        "eer": part.eer,
        "miss": part.miss,
        "false_alarm": part.false_alarm,
    }
    if part.eer_interval is not None:
        values |= {"eer_ci95_low": part.eer_interval.low, "eer_ci95_high": part.eer_interval.high}
    return {name: value for name, value in values.items() if value is not None}


def _print_metrics(
    summary: dict[str, Any], parts: "list[Part]", by: Grouping, source: str, *, from_dev: bool, with_asv: bool
) -> None:
    from model.metrics import HEADLINES
    from pipeline.cli.console import table

    console = _console()
    with_intervals = "eer_ci95_low" in summary
    rows = []
    for name, info in HEADLINES.items():
        if name not in summary:
            continue
        cells = [info.title, _number(summary[name], info.unit)]
        if with_intervals:
            cells.append(_range(summary[f"{name}_ci95_low"], summary[f"{name}_ci95_high"], info.unit))
        rows.append((*cells, info.unit, "lower" if info.lower_is_better else "higher"))
    for name, title, unit in (
        ("t_eer", "t-EER", "%"),
        ("asv_eer", "EER of the ASV system", "%"),
        ("a_dcf", "a-DCF", ""),
    ):
        if name in summary:
            rows.append((title, _number(summary[name], unit), *[""] * with_intervals, unit, "lower"))
    headings = ["metric", "value", *["95 % interval"] * with_intervals, "unit", "better"]
    title = f"{source}: {summary['n_bonafide']:,} bona fide, {summary['n_spoof']:,} spoof"
    console.print(table(title, headings, rows))
    origin = (
        "the dev EER threshold" if from_dev else "the EER threshold of these very scores, which flatters (--dev-scores)"
    )
    console.print(f"Accuracy to F1 at {summary['threshold']:.4f}, {origin}.")
    console.print("actDCF and Cllr take scores as log-likelihood ratios; for other scores they measure the scale.")
    if not with_asv:
        console.print("No t-DCF: it needs ASV scores of the same corpus (--asv-scores).")
    if "calibrated" in summary:
        fitted, band = summary["calibrated"], summary["abstain"]
        console.print(
            f"Calibrated on dev (LLR = {fitted['slope']:.4f} × score {fitted['intercept']:+.4f}): Cllr {fitted['cllr']:.4f} bit, "
            f"actDCF {fitted['act_dcf']:.4f}."
        )
        console.print(
            f"Uncertain from {band['low']:.4f} to {band['high']:.4f} ({band['error_rate']:.0%} error on dev): "
            f"{band['bonafide_uncertain']:.1%} of bona fide and {band['spoof_uncertain']:.1%} of spoof; wrong outside it: "
            f"{band['bonafide_wrong']:.2%} and {band['spoof_wrong']:.2%}."
        )
    part_rows = []
    for part in parts:
        cells = [part.name, f"{part.n_bonafide:,}", f"{part.n_spoof:,}", _number(part.eer, "%")]
        if with_intervals:
            cells.append("" if part.eer_interval is None else _range(*part.eer_interval, "%"))
        part_rows.append((*cells, _number(part.miss, "%"), _number(part.false_alarm, "%")))
    headings = [by.value, "bona fide", "spoof", "EER %", *["95 % interval"] * with_intervals, "miss %", "false alarm %"]
    console.print()
    console.print(table(f"By {by.value}, worst first", headings, part_rows))


def _print_comparison(
    a: _System, b: _System, differences: "dict[str, Difference]", flipped: list[dict[str, Any]], n_shown: int
) -> None:
    from model.metrics import HEADLINES
    from pipeline.cli.console import table

    console = _console()
    rows = []
    for name, info in HEADLINES.items():
        if name not in differences:
            continue
        found = differences[name]
        better = "" if found.p_value >= 0.05 else "B" if (found.difference < 0) == info.lower_is_better else "A"
        rows.append(
            (
                f"{info.title} [{info.unit}]" if info.unit else info.title,
                _number(found.a, info.unit),
                _number(found.b, info.unit),
                _signed(found.difference, info.unit),
                _range(found.low, found.high, info.unit, signed=True),
                f"{found.p_value:.3f}",
                better,
            )
        )
    for letter, system in (("A", a), ("B", b)):
        console.print(f"{letter} = {system.name}")
    console.print(table(f"{len(a.table):,} clips", ("metric", "A", "B", "B − A", "95 % interval", "p", "better"), rows))
    for letter, system in (("A", a), ("B", b)):
        origin = "from its dev scores" if system.from_dev else "its EER threshold on these very scores, which flatters"
        console.print(f"Threshold of {letter}: {system.threshold:.4f}, {origin}.")
    worse = sum(row["right"] == "a" for row in flipped)
    console.print(
        f"{len(flipped):,} verdicts flip: {worse:,} became wrong in B, {len(flipped) - worse:,} became right."
    )
    if not flipped or not n_shown:
        return
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
    console.print()
    headings = ("utterance", "attack", "label", "score A", "score B", "verdict", "right")
    console.print(table(f"Flipped verdicts, {len(shown):,} of {len(flipped):,}", headings, shown))


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f}" if unit == "%" else f"{value:.4f}"


def _signed(value: float, unit: str) -> str:
    return f"{100 * value:+.2f}" if unit == "%" else f"{value:+.4f}"


def _range(low: float, high: float, unit: str, *, signed: bool = False) -> str:
    shape = _signed if signed else _number
    return f"{shape(low, unit)} to {shape(high, unit)}"


def _cluster(clusters: Clusters) -> Any:
    return None if clusters is Clusters.none else clusters.value


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, indent=2, sort_keys=True, allow_nan=False))


def _console() -> "Console":
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=PAPER_WIDTH)


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Shows warnings as one line on standard error, without the place in the code."""

    def show(message: Warning | str, *_args: object, **_kwargs: object) -> None:
        typer.secho(f"warning: {message}", fg=typer.colors.YELLOW, err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield
