"""The tables and notes of `bonafide metrics` for people."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from model.metrics import Part


def print_metrics(summary: dict[str, Any], source: str) -> None:
    """Prints the summary of the scores of a file, with notes on what it says and what it lacks."""
    from model.cli.numbers import interval, number
    from model.metrics import HEADLINES
    from pipeline.cli.console import results, table

    console = results()
    with_intervals = "eer_ci95_low" in summary
    rows = []
    for name, info in HEADLINES.items():
        if name in summary:
            cells = [info.title, number(summary[name], info.unit)]
            if with_intervals:
                cells.append(interval(summary[f"{name}_ci95_low"], summary[f"{name}_ci95_high"], info.unit))
            rows.append((*cells, info.unit, "lower" if info.lower_is_better else "higher"))
    for name, title, unit in (
        ("t_eer", "t-EER", "%"),
        ("asv_eer", "EER of the ASV system", "%"),
        ("a_dcf_shim2024", "a-DCF, Shim 2024", ""),
        ("a_dcf_asvspoof5", "a-DCF, ASVspoof 5", ""),
    ):
        if name in summary:
            rows.append((title, number(summary[name], unit), *[""] * with_intervals, unit, "lower"))
    headings = ["metric", "value", *["95 % interval"] * with_intervals, "unit", "better"]
    title = f"{source}: {summary['n_bonafide']:,} bona fide, {summary['n_spoof']:,} spoof"
    console.print(table(title, headings, rows))
    _print_notes(console, summary)


def _print_notes(console: "Console", summary: dict[str, Any]) -> None:
    from_dev = "calibrated" in summary
    from model.cli.numbers import interval

    origin = (
        "the dev EER threshold"
        if from_dev
        else "the EER threshold of these scores, which is too optimistic (--dev-scores)"
    )
    console.print(f"Accuracy to F1 at {summary['threshold']:.4f}, {origin}.")
    console.print("actDCF and Cllr take scores as log-likelihood ratios; for other scores they measure the scale.")
    if "asv_eer" not in summary:
        console.print("No t-DCF: it needs ASV scores of the same corpus (--asv-scores).")
    for name, reason in summary.get("undefined", {}).items():
        console.print(f"No {name}: {reason}.")
    for drawn in ("clip", "speaker", "attack"):
        if f"eer_{drawn}_ci95_low" in summary:
            ends = (summary[f"eer_{drawn}_ci95_{end}"] for end in ("low", "high"))
            console.print(f"EER with other {drawn}s drawn: {interval(*ends, '%')} % (95 %).")
    if from_dev:
        fitted, band = summary["calibrated"], summary["abstain"]
        console.print(
            f"Calibrated on dev (LLR = {fitted['slope']:.4f} × score {fitted['intercept']:+.4f}): Cllr {fitted['cllr']:.4f} bit, "
            f"actDCF {fitted['act_dcf']:.4f}; the lowest Cllr of any calibration is {fitted['min_cllr']:.4f} bit."
        )
        console.print(
            f"These ratios would still need a slope of {fitted['calibration_slope']:.3f} and an offset of "
            f"{fitted['calibration_offset']:+.3f} here (1 and 0 if honest); ECE {fitted['expected_calibration_error']:.2%}."
        )
        console.print(
            f"Uncertain from {band['low']:.4f} to {band['high']:.4f} ({band['error_rate']:.0%} error on dev): "
            f"{band['bonafide_uncertain']:.1%} of bona fide and {band['spoof_uncertain']:.1%} of spoof; wrong outside it: "
            f"{band['bonafide_wrong']:.2%} and {band['spoof_wrong']:.2%}, {band['wrong_of_certain']:.1%} of the certain verdicts."
        )


def print_parts(parts: "list[Part]", heading: str, title: str, *, with_intervals: bool) -> None:
    """Prints the error rates of parts of the data as a table."""
    from model.cli.numbers import interval, number
    from pipeline.cli.console import results, table

    console = results()
    rows = []
    for part in parts:
        cells = [part.name, f"{part.n_bonafide:,}", f"{part.n_spoof:,}", number(part.eer, "%")]
        if with_intervals:
            cells.append("" if part.eer_interval is None else interval(*part.eer_interval, "%"))
        rows.append((*cells, number(part.miss, "%"), number(part.false_alarm, "%")))
    headings = [heading, "bona fide", "spoof", "EER %", *["95 % interval"] * with_intervals, "miss %", "false alarm %"]
    console.print()
    console.print(table(title, headings, rows))
