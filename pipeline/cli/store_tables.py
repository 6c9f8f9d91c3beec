"""What the commands `bonafide store …` print for people: tables of attacks, measures, findings and differences."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from pipeline.cli.console import results, table

if TYPE_CHECKING:
    from pipeline.store import FeatureStore
    from pipeline.store.checks.findings import Finding
    from pipeline.store.compare import Comparison

SHOWN_ROWS: Final = 20
"""Rows shown of a table that can be longer."""

_SHOWN_BINS: Final = 10
_QUANTILES: Final = ("p05", "median", "p95", "mean")


def cell(value: object) -> str:
    """The text of a value in a table: empty for None, three decimals for a float."""
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def attacks_table(attacks: Mapping[str, Mapping[str, int]]) -> Table:
    """The number of originals by attack and split."""
    from pipeline.corpus.schema import SPLITS

    rows = [
        (name, *(f"{counts[split]:,}" if counts[split] else "" for split in SPLITS)) for name, counts in attacks.items()
    ]
    return table("Originals by attack", ("attack", *SPLITS), rows)


def twins_table(twins: Mapping[str, int]) -> Table:
    """The number of twins of train by their attack."""
    return table("Twins of bona fide clips by copy-synthesis", ("attack", "train"), [*twins.items()])


def facts_table(store: "FeatureStore") -> Table:
    """What made the store: front end, augmentation, versions, fingerprint."""
    facts = Table.grid(padding=(0, 2))
    facts.add_row("front end", _front_end(store))
    facts.add_row("augmentation", _augmentation(store))
    facts.add_row("versions", ", ".join(f"{name} {version}" for name, version in store.info["versions"].items()))
    facts.add_row("fingerprint", store.config_fingerprint)
    return facts


def _front_end(store: "FeatureStore") -> str:
    from pipeline.frontends import make_front_end

    params = store.features
    axis = make_front_end(params).bin_axis()
    parameters = ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in params.spectral().items()
        if key != "kind"
    )
    extent = f"{axis.quantity} {axis.values[0]:.0f} to {axis.values[-1]:.0f} {axis.unit}".rstrip()
    return (
        f"{params.kind}, version {store.info['front_end_version']}: {params.n_bins} bins, {extent}, "
        f"a frame every {1000 * params.hop_length / params.sample_rate:g} ms ({parameters})"
    )


def _augmentation(store: "FeatureStore") -> str:
    from pipeline.augmentation.params import AugmentParams

    augment = AugmentParams.model_validate_json(json.dumps(store.info["parameters"]["augment"]))
    parts = []
    if augment.copies:
        number = f"{augment.copies} {'copy' if augment.copies == 1 else 'copies'}"
        parts.append(f"{number} of each train clip, seed {augment.seed}; {augment.describe()}")
    if augment.copy_synthesis.copies:
        kinds = ", ".join(augment.copy_synthesis.kinds)
        parts.append(f"{augment.copy_synthesis.copies} twins of each copy of a bona fide train clip ({kinds})")
    return "; ".join(parts) or "none"


def measures_table(split: str, part: Mapping[str, Any]) -> Table:
    """The distribution of every measure per class, from the description of a split by `pipeline.store.describe`."""
    from pipeline.store.describe import MEASURES

    rows = [
        (title, name.replace("_", " "), *(cell(summary[quantile]) for quantile in _QUANTILES))
        for measure, title in MEASURES.items()
        for name, summary in part["measures"][measure].items()
    ]
    title = (
        f"{split}: {part['bona_fide']:,} bona fide, {part['spoof']:,} spoof of {len(part['attacks'])} attacks, "
        f"{part['speakers']:,} speakers, {part['hours']:.2f} h"
    )
    return table(title, ("measure", "class", *_QUANTILES), rows)


def bins_table(store: "FeatureStore") -> Table:
    """What about ten bins, evenly spaced, stand for, their mean and deviation of about ten bins, evenly spaced."""
    from pipeline.frontends import make_front_end

    statistics = store.statistics
    axis = make_front_end(store.features).bin_axis()
    rows = [
        (
            number,
            f"{axis.values[number]:.0f}",
            f"{statistics.mean[number]:.1f}",
            f"{statistics.deviation[number]:.1f}",
        )
        for number in range(0, len(axis.values), max(1, len(axis.values) // _SHOWN_BINS))
    ]
    title = f"{len(rows)} of {len(axis.values)} bins, {statistics.n_frames:,} frames of train originals"
    return table(title, ("bin", axis.title, "mean, dB", "deviation, dB"), rows)


def findings_table(path: str, findings: "Sequence[Finding]") -> Table:
    """The findings of a verification; a shard is named once."""
    shards = len({finding.shard for finding in findings} - {""})
    title = f"{path}: {len(findings):,} findings" + (f" in {shards} shards" if shards else "")
    result = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("shard", "file", "finding"):
        result.add_column(heading, overflow="fold")
    previous = None
    for finding in findings:
        result.add_row("" if finding.shard == previous else finding.shard or "(store)", finding.file, finding.text)
        previous = finding.shard
    return result


def print_comparison(comparison: "Comparison") -> None:
    """Prints the differences between two stores."""
    output = results()
    for line in comparison.parameters:
        output.print(line)
    rows = [(utterance_id, "added") for utterance_id in comparison.added]
    rows += [(utterance_id, "removed") for utterance_id in comparison.removed]
    rows += [(utterance_id, f"{', '.join(what)} changed") for utterance_id, what in comparison.changed.items()]
    if rows:
        title = (
            f"{len(comparison.added):,} utterances added, {len(comparison.removed):,} removed, "
            f"{len(comparison.changed):,} changed"
        )
        output.print(table(title, ("utterance", "difference"), rows[:SHOWN_ROWS]))
        if len(rows) > SHOWN_ROWS:
            output.print(f"and {len(rows) - SHOWN_ROWS:,} more; --json gives all")
    output.print(f"{len(comparison.files):,} files differ or are in one store only")
