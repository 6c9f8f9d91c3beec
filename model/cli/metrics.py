"""The command `bonafide metrics`: every metric of a score file, without audio and without TensorFlow.

The numbers go to standard output, as tables or as JSON; warnings go to standard error.
"""

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    from model.metrics import AsvScores, Part, ScoreTable


class Grouping(str, Enum):
    """The property that divides the data into parts."""

    attack = "attack"
    speaker = "speaker"


ScoresOption = Annotated[
    Path,
    typer.Option(
        "--scores", help="Lines of `id score` or `id attack label score`, CSV or JSON Lines; higher = more genuine."
    ),
]
SasvOption = Annotated[
    Path | None,
    typer.Option("--sasv-scores", help="Scores of a spoofing-robust ASV system, in the ASV format, for the a-DCF."),
]
DevScoresOption = Annotated[
    Path | None,
    typer.Option("--dev-scores", help="Dev scores of the same system: threshold, calibration and abstain band."),
]
AbstainOption = Annotated[
    float,
    typer.Option("--abstain-error-rate", min=0, max=0.49, help="Error per class that the abstain band leaves on dev."),
]
IntervalsOption = Annotated[
    int, typer.Option("--intervals", min=0, help="Resamples for the 95 % intervals; 0: no intervals.")
]
TrainProtocolOption = Annotated[
    Path | None,
    typer.Option(
        "--train-protocol", help="Protocol of train: tells its attacks from others, which get EERs of their own."
    ),
]
AliasOption = Annotated[
    list[str] | None,
    typer.Option("--alias", help="An attack that is one of train under another id, such as A16=A04; may be repeated."),
]
GroupingOption = Annotated[Grouping, typer.Option("--by", help="Break down by attack or by speaker.")]


def metrics(
    scores: ScoresOption,
    protocol: ProtocolOption = None,
    asv_scores: AsvOption = None,
    same_corpus: SameCorpusOption = False,
    sasv_scores: SasvOption = None,
    dev_scores: DevScoresOption = None,
    dev_protocol: DevProtocolOption = None,
    train_protocol: TrainProtocolOption = None,
    alias: AliasOption = None,
    abstain_error_rate: AbstainOption = 0.05,
    intervals: IntervalsOption = 0,
    clusters: ClustersOption = Clusters.auto,
    by: GroupingOption = Grouping.attack,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compute every metric of a score file: EER, t-DCF, DCF, Cllr, AUC, accuracy, by attack or speaker."""
    from model.cli.metrics_tables import print_metrics, print_parts
    from model.metrics import dev_threshold, read_asv_scores, read_score_table, summarise
    from pipeline.cli.console import print_json

    if dev_protocol is not None and dev_scores is None:
        raise typer.BadParameter("it is used with --dev-scores only", param_hint="--dev-protocol")
    aliases = _aliases(alias, train_protocol)
    with warnings_as_notes():
        table = read_score_table(scores, protocol)
        dev = None if dev_scores is None else read_score_table(dev_scores, dev_protocol)
        asv = None if asv_scores is None else read_asv_scores(asv_scores)
        summary = summarise(
            table,
            threshold=None if dev is None else dev_threshold(dev),
            asv=asv,
            same_corpus=same_corpus,
            n_resamples=intervals,
            cluster=clusters.drawn,
            seed=seed,
        )
        summary |= _costs_of_asv(asv, sasv_scores)
        if dev is not None:
            summary |= _fitted_on_dev(dev, table, abstain_error_rate)
        groups: dict[str, Part] = {}
        if train_protocol is not None:
            groups, summary["seen_attacks"] = _seen(
                table, train_protocol, aliases, summary["threshold"], intervals, seed
            )
            summary |= {name: _part_as_scalars(part) for name, part in groups.items()}
        parts = _parts(table, by, summary["threshold"], intervals, seed)
    if as_json:
        if by is Grouping.speaker:
            summary["per_speaker"] = {part.name: _part_as_scalars(part) for part in parts}
        print_json(summary)
    else:
        print_metrics(summary, scores.name)
        titles = {"seen": "of train", "unseen": "others"}
        if groups:
            named = [replace(part, name=titles[name]) for name, part in groups.items()]
            print_parts(named, "attacks", _seen_title(summary["seen_attacks"]), with_intervals=intervals > 0)
        print_parts(parts, by.value, f"By {by.value}, worst first", with_intervals=intervals > 0)


def _costs_of_asv(asv: "AsvScores | None", sasv_scores: Path | None) -> dict[str, Any]:
    """Why a t-DCF is absent, and the a-DCFs of a spoofing-robust ASV system."""
    from model.metrics import ASVSPOOF5_TRACK2, SHIM2024, a_dcf, asv_error_rates, read_asv_scores, undefined_costs

    found: dict[str, Any] = {}
    if asv is not None and (undefined := undefined_costs(asv_error_rates(asv))):
        found["undefined"] = undefined
    if sasv_scores is not None:
        sasv = read_asv_scores(sasv_scores)
        for name, costs in (("shim2024", SHIM2024), ("asvspoof5", ASVSPOOF5_TRACK2)):
            found[f"a_dcf_{name}"] = a_dcf(sasv.target, sasv.nontarget, sasv.spoof, costs)
    return found


def _fitted_on_dev(dev: "ScoreTable", table: "ScoreTable", error_rate: float) -> dict[str, Any]:
    """Calibration and abstain band of dev, and the metrics of a table's scores with them."""
    from model.metrics import abstain_band, act_dcf, band_outcomes, calibration_checks, cllr, fit_calibration

    calibration = fit_calibration(dev.bonafide, dev.spoof)
    calibrated = table.with_scores(calibration.apply(table.scores))
    band = abstain_band(dev.bonafide, dev.spoof, error_rate)
    return {
        "calibrated": {
            "slope": calibration.slope,
            "intercept": calibration.intercept,
            "cllr": cllr(calibrated.bonafide, calibrated.spoof),
            "act_dcf": act_dcf(calibrated.bonafide, calibrated.spoof),
            **calibration_checks(calibrated),
        },
        "abstain": {
            "low": band.low,
            "high": band.high,
            "error_rate": band.error_rate,
            **band_outcomes(band, table),
        },
    }


def _aliases(stated: list[str] | None, train_protocol: Path | None) -> dict[str, str]:
    """The aliases of the command line as a mapping."""
    if stated and train_protocol is None:
        raise typer.BadParameter("it is used with --train-protocol only", param_hint="--alias")
    pairs = [text.partition("=") for text in stated or []]
    wrong = ["".join(pair) for pair in pairs if not all(pair)]
    if wrong:
        raise typer.BadParameter(f"expected ID=ID, such as A16=A04, found {', '.join(wrong)}", param_hint="--alias")
    return {name: same for name, _, same in pairs}


def _seen(
    table: "ScoreTable", train_protocol: Path, aliases: dict[str, str], threshold: float, n_resamples: int, seed: int
) -> "tuple[dict[str, Part], dict[str, str]]":
    """Error rates of attacks of train and of others, and the id in train of each attack of train."""
    from model.metrics import attack_aliases, by_seen, read_protocol, seen_as, without_twins

    trained = without_twins(read_protocol(train_protocol).attack_ids.tolist())
    tested = sorted(without_twins(table.attack_ids[table.labels == 0].tolist()))
    seen = seen_as(tested, trained, attack_aliases(trained, tested, aliases))
    return by_seen(table, seen, threshold=threshold, n_resamples=n_resamples, seed=seed), seen


def _seen_title(seen: dict[str, str]) -> str:
    listed = ", ".join(name if name == same else f"{name} (is {same})" for name, same in seen.items())
    return f"Attacks of train ({listed or 'none here'}) and others"


def _parts(table: "ScoreTable", by: Grouping, threshold: float, n_resamples: int, seed: int) -> "list[Part]":
    from model.metrics import MetricsError, by_attack, by_speaker
    from model.metrics.fields import NO_VALUE

    if by is Grouping.attack:
        return by_attack(table, threshold=threshold, n_resamples=n_resamples, seed=seed)
    if not (table.speaker_ids != NO_VALUE).any():
        raise MetricsError(f"{table.source} does not tell speakers: give the protocol of its corpus (--protocol)")
    return by_speaker(table, threshold=threshold, n_resamples=n_resamples, seed=seed)


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
