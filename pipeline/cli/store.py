"""The commands `bonafide store …`: verify, show, get, select, stats, diff.

What a command was asked for goes to standard output, as a table or with `--json`; progress and remarks go to standard error.
"""

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipeline.store import FeatureStore
    from pipeline.store.compare import Comparison
    from pipeline.store.verify import Finding

_DEFAULT = "data/features"
_SHOWN_ROWS = 20

StoreOption = Annotated[str, typer.Option("--store", help="Feature store: a folder or s3://bucket/prefix.")]
StoreArgument = Annotated[
    str, typer.Argument(metavar="[STORE]", help="Feature store: a folder or s3://bucket/prefix.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

store_app = typer.Typer(
    name="store", help="Look into a feature store: verify, show, get, select, stats, diff.", no_args_is_help=True
)


class ClassName(str, Enum):
    """The two classes, as the protocols write them."""

    bonafide = "bonafide"
    spoof = "spoof"


@store_app.command(epilog="Example: bonafide store verify data/features --manifest data/manifest.parquet")
def verify(
    path: StoreArgument = _DEFAULT,
    manifest_path: Annotated[
        Path | None, typer.Option("--manifest", help="Also require every utterance of this manifest, with its labels.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Threads.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Check every byte, record, count and checksum. Ends with 1 if anything is wrong."""
    from pipeline.cli.console import console, progress_bar, results
    from pipeline.corpus.manifest import read_manifest
    from pipeline.store.verify import verify as verify_store

    manifest = None if manifest_path is None else read_manifest(manifest_path)
    with progress_bar("shards") as bar:
        task = bar.add_task("Verifying", total=None, note="")
        findings = verify_store(
            path, manifest, lambda done, total: bar.update(task, completed=done, total=total), workers
        )
    if as_json:
        _print_json({"store": path, "ok": not findings, "findings": [vars(finding) for finding in findings]})
    elif findings:
        results().print(_findings_table(path, findings))
        console.print(
            "to repair it, remove the files named above and the index parts of their shards, then run `bonafide features`: "
            "it writes again what is not there"
        )
    else:
        against = "" if manifest is None else f" and agrees with {manifest_path}"
        results().print(f"{path}: intact{against}")
    if findings:
        raise typer.Exit(1)


@store_app.command(epilog="Example: bonafide store show data/features")
def show(path: StoreArgument = _DEFAULT, as_json: JsonOption = False) -> None:
    """Tell what is in a store: splits, attacks, hours, bytes, front end, augmentation, fingerprint."""
    from rich.table import Table

    from pipeline.cli.console import results, size, table
    from pipeline.corpus.schema import SPLITS
    from pipeline.store import FeatureStore
    from pipeline.store.summary import attack_counts

    store = FeatureStore.open(path)
    attacks = attack_counts(store)
    if as_json:
        rest = {key: value for key, value in store.info.items() if key not in ("files", "statistics")}
        _print_json({**rest, "attacks": attacks})
        return
    output = results()
    rows = [
        (
            split,
            *(f"{counts[name]:,}" for name in ("bona_fide", "spoof", "unlabelled", "examples", "rejects", "shards")),
            f"{counts['duration_s'] / 3600:.2f}",
            size(counts["record_bytes"]),
        )
        for split, counts in ((split, store.info["splits"][split]) for split in SPLITS)
    ]
    headings = ("split", "bona fide", "spoof", "unlabelled", "examples", "rejects", "shards", "hours", "size")
    output.print(table(path, headings, rows))
    lines = [
        (name, *(f"{counts[split]:,}" if counts[split] else "" for split in SPLITS)) for name, counts in attacks.items()
    ]
    output.print(table("Originals by attack", ("attack", *SPLITS), lines))
    facts = Table.grid(padding=(0, 2))
    facts.add_row("front end", _front_end(store))
    facts.add_row("augmentation", _augmentation(store))
    facts.add_row("versions", ", ".join(f"{name} {version}" for name, version in store.info["versions"].items()))
    facts.add_row("fingerprint", store.config_fingerprint)
    output.print(facts)


@store_app.command(epilog="Example: bonafide store get LA_T_1138215 --png spectrogram.png")
def get(
    utterance_id: Annotated[str, typer.Argument(metavar="ID", help="Utterance id.")],
    path: StoreOption = _DEFAULT,
    copy: Annotated[int, typer.Option("--copy", min=0, help="0: the original; from 1: augmented copies.")] = 0,
    png: Annotated[Path | None, typer.Option("--png", help="Write the spectrogram as a picture.")] = None,
    npy: Annotated[
        Path | None, typer.Option("--npy", help="Write the spectrogram as NumPy array [frames, bins], float16, dB.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Get one example by its utterance id."""
    import numpy as np

    from pipeline.cli.console import console, results, table
    from pipeline.errors import StoreError
    from pipeline.files import atomic_path
    from pipeline.store import FeatureStore

    store = FeatureStore.open(path)
    try:
        example = store.get(utterance_id, copy)
    except KeyError:
        raise StoreError(_absence(store, utterance_id, copy)) from None
    row = store.row(utterance_id, copy)
    if npy is not None:
        with atomic_path(npy) as temporary, temporary.open("wb") as file:
            np.save(file, example.features)
        console.print(f"{npy}: float16 {list(example.features.shape)}")
    if png is not None:
        from pipeline.store.plots import plot_example

        plot_example(example, store.features, png)
        console.print(f"{png}: written")
    values = example.features.astype(np.float64)
    row |= {"n_bins": values.shape[1], "min_db": values.min(), "mean_db": values.mean(), "max_db": values.max()}
    if as_json:
        _print_json(row | {"augmentation": json.loads(row["augmentation"])})
        return
    lines = [(name, _cell(value)) for name, value in row.items()]
    results().print(table(f"{utterance_id}, copy {copy}", ("column", "value"), lines))


@store_app.command(
    epilog="Examples: bonafide store select --split train --label bonafide | "
    "bonafide store select --attack A17 --attack A18 --csv hard.csv"
)
def select(
    path: StoreOption = _DEFAULT,
    split: Annotated[list[str] | None, typer.Option("--split", help="train, dev or eval; may be repeated.")] = None,
    attack: Annotated[list[str] | None, typer.Option("--attack", help="Attack; may be repeated.")] = None,
    speaker: Annotated[list[str] | None, typer.Option("--speaker", help="Speaker; may be repeated.")] = None,
    label: Annotated[ClassName | None, typer.Option("--label", help="Class.")] = None,
    copy: Annotated[list[int] | None, typer.Option("--copy", help="0: originals; may be repeated.")] = None,
    min_duration: Annotated[float | None, typer.Option("--min-duration", help="Seconds.")] = None,
    max_duration: Annotated[float | None, typer.Option("--max-duration", help="Seconds.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the rows of the index as CSV; - for stdout.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the examples that meet every condition given."""
    from pipeline.cli.console import console, results, table
    from pipeline.store import FeatureStore

    selection = FeatureStore.open(path).select(
        split=split,
        attack_id=attack,
        speaker_id=speaker,
        label=None if label is None else int(label is ClassName.bonafide),
        copy=copy,
        min_duration_s=min_duration,
        max_duration_s=max_duration,
    )
    if csv is not None:
        _write_csv(selection, csv)
        console.print(f"{len(selection):,} examples")
    elif as_json:
        _print_json(selection.index.to_pylist())
    else:
        names = ("utterance_id", "split", "speaker_id", "attack_id", "label", "copy", "duration_s", "n_frames")
        rows = selection.index.slice(0, _SHOWN_ROWS).select(names).to_pylist()
        cells = [[_cell(value) for value in row.values()] for row in rows]
        results().print(table(f"{len(selection):,} examples", names, cells))
        if len(selection) > _SHOWN_ROWS:
            console.print(f"the first {_SHOWN_ROWS}; all of them with --csv FILE or --json")


@store_app.command(epilog="Example: bonafide store stats --plot store.png")
def stats(
    path: StoreArgument = _DEFAULT,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the distributions as PNG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Summarise the originals: duration, level and silence per class, attacks, mean and spread of the bins."""
    from model.evaluation.data_validation import MEASURES, validate
    from pipeline.cli.console import console, results, table
    from pipeline.corpus.schema import SPLITS
    from pipeline.store import FeatureStore

    store = FeatureStore.open(path)
    report = validate(store.index, store.rejects())
    statistics = store.statistics
    if plot is not None:
        from pipeline.store.plots import plot_store

        plot_store(store, plot)
        console.print(f"{plot}: written")
    if as_json:
        bins = {"mean_db": statistics.mean.tolist(), "deviation_db": statistics.deviation.tolist()}
        _print_json({**report, "bins": bins, "train_frames": statistics.n_frames})
        return
    output = results()
    quantiles = ("p05", "median", "p95", "mean")
    for split in SPLITS:
        if split not in report:
            continue
        part = report[split]
        lines = [
            (
                title,
                name.replace("_", " "),
                *(_cell(by_class[name][quantile]) for quantile in quantiles),
                _percent(part["shortcut_eer"].get(measure)),
            )
            for measure, title in MEASURES.items()
            for by_class in (part["measures"][measure],)
            for name in by_class
        ]
        title = (
            f"{split}: {part['bona_fide']:,} bona fide, {part['spoof']:,} spoof of {len(part['attacks'])} attacks, "
            f"{part['speakers']:,} speakers, {part['hours']:.2f} h"
        )
        output.print(table(title, ("measure", "class", *quantiles, "EER alone"), lines))
    output.print(_bins_table(store))


@store_app.command(epilog="Example: bonafide store diff data/features s3://bucket/features")
def diff(
    first: Annotated[str, typer.Argument(metavar="STORE_A", help="Feature store.")],
    second: Annotated[str, typer.Argument(metavar="STORE_B", help="Feature store.")],
    as_json: JsonOption = False,
) -> None:
    """Tell what differs between two stores. Ends with 1 if anything does, like diff."""
    from pipeline.cli.console import results
    from pipeline.store import FeatureStore
    from pipeline.store.compare import compare

    comparison = compare(FeatureStore.open(first), FeatureStore.open(second))
    if as_json:
        _print_json({"same": comparison.same, **vars(comparison)})
    elif comparison.same:
        results().print("the stores are equal byte for byte")
    else:
        _print_comparison(comparison)
    if not comparison.same:
        raise typer.Exit(1)


def _print_comparison(comparison: "Comparison") -> None:
    from pipeline.cli.console import results, table

    output = results()
    for line in comparison.parameters:
        output.print(line)
    lines = [(utterance_id, "added") for utterance_id in comparison.added]
    lines += [(utterance_id, "removed") for utterance_id in comparison.removed]
    lines += [(utterance_id, f"{', '.join(what)} changed") for utterance_id, what in comparison.changed.items()]
    if lines:
        title = (
            f"{len(comparison.added):,} utterances added, {len(comparison.removed):,} removed, "
            f"{len(comparison.changed):,} changed"
        )
        output.print(table(title, ("utterance", "difference"), lines[:_SHOWN_ROWS]))
        if len(lines) > _SHOWN_ROWS:
            output.print(f"and {len(lines) - _SHOWN_ROWS:,} more; all of them with --json")
    output.print(f"{len(comparison.files):,} files differ or are in one store only")


def _findings_table(path: str, findings: "list[Finding]") -> Any:
    from rich.table import Table

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


def _bins_table(store: "FeatureStore") -> Any:
    from pipeline.cli.console import table
    from pipeline.frontends import make_front_end

    statistics = store.statistics
    frequencies = make_front_end(store.features).frequencies()
    lines = [
        (
            number,
            f"{frequencies[number]:.0f}",
            f"{statistics.mean[number]:.1f}",
            f"{statistics.deviation[number]:.1f}",
        )
        for number in range(0, len(frequencies), max(1, len(frequencies) // 10))
    ]
    title = f"{len(lines)} of {len(frequencies)} bins, {statistics.n_frames:,} frames of train originals"
    return table(title, ("bin", "frequency, Hz", "mean, dB", "deviation, dB"), lines)


def _front_end(store: "FeatureStore") -> str:
    from pipeline.frontends import make_front_end

    params = store.features
    frequencies = make_front_end(params).frequencies()
    parameters = ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in params.spectral().items()
        if key != "kind"
    )
    return (
        f"{params.kind}, version {store.info['front_end_version']}: {params.n_bins} bins at {frequencies[0]:.0f} to "
        f"{frequencies[-1]:.0f} Hz, a frame every {1000 * params.hop_length / params.sample_rate:g} ms ({parameters})"
    )


def _augmentation(store: "FeatureStore") -> str:
    augment = store.augment
    if not augment.copies:
        return "none"
    pitch, stretch, noise = augment.pitch_shift, augment.time_stretch, augment.noise
    return (
        f"{augment.copies} {'copy' if augment.copies == 1 else 'copies'} of each train clip, seed {augment.seed}; "
        f"pitch {pitch.semitones[0]:g} to {pitch.semitones[1]:g} semitones (p {pitch.probability:g}), "
        f"tempo {stretch.rate[0]:g} to {stretch.rate[1]:g} (p {stretch.probability:g}), "
        f"{'/'.join(noise.kinds)} noise at {noise.snr_db[0]:g} to {noise.snr_db[1]:g} dB (p {noise.probability:g})"
    )


def _absence(store: "FeatureStore", utterance_id: str, copy: int) -> str:
    """Says why an example is not there: rejected, no such copy, or unknown."""
    import pyarrow.compute as pc

    where = f"{store.storage.url} has no example {utterance_id} copy {copy}"
    copies = store.index.filter(pc.equal(store.index["utterance_id"], utterance_id))["copy"].to_pylist()
    if copies:
        return f"{where}; it has copies {', '.join(map(str, sorted(copies)))}"
    rejects = store.rejects()
    for row in rejects.filter(pc.equal(rejects["utterance_id"], utterance_id)).to_pylist():
        return f"{where}: the file was rejected, {row['reason']} ({row['detail']})"
    return f"{where}; list what it has with `bonafide store select`"


def _write_csv(selection: "FeatureStore", target: Path) -> None:
    import io

    import pyarrow.csv

    from pipeline.files import atomic_write

    sink = io.BytesIO()
    pyarrow.csv.write_csv(selection.index, sink)
    if str(target) == "-":
        typer.echo(sink.getvalue().decode(), nl=False)
    else:
        atomic_write(target, sink.getvalue())


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, sort_keys=True))
