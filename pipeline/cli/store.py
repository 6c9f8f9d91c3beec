"""The commands `bonafide store …`: verify, show, get, select, stats, diff.

Results go to standard output, as tables or with `--json` as JSON; progress and remarks go to standard error.
"""

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.examples import examples
from pipeline.cli.options import JsonOption, StoreOption

if TYPE_CHECKING:
    from pipeline.store import FeatureStore

_DEFAULT = "data/features"

StoreArgument = Annotated[
    str, typer.Argument(metavar="STORE", help="Feature store: a folder, s3:// or gs:// address.", show_default=True)
]

store_app = typer.Typer(
    name="store", help="Look into a feature store: verify, show, get, select, stats, diff.", no_args_is_help=True
)


class SplitName(str, Enum):
    """`pipeline.corpus.schema.SPLITS`, for the command line."""

    train = "train"
    dev = "dev"
    eval = "eval"


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
    from pipeline.cli.console import console, print_json, progress_bar, results
    from pipeline.cli.store_tables import findings_table
    from pipeline.corpus.manifest import read_manifest
    from pipeline.store.verify import verify as verify_store

    manifest = None if manifest_path is None else read_manifest(manifest_path)
    with progress_bar("shards") as bar:
        task = bar.add_task("Verifying", total=None, note="")
        findings = verify_store(
            path, manifest, lambda done, total: bar.update(task, completed=done, total=total), workers
        )
    if as_json:
        print_json({"store": path, "ok": not findings, "findings": [vars(finding) for finding in findings]})
    elif findings:
        results().print(findings_table(path, findings))
        console.print(
            "to repair it, remove the files named above and the index parts of their shards, then run `bonafide features`: "
            "it writes the missing shards again"
        )
    else:
        against = "" if manifest is None else f" and agrees with {manifest_path}"
        results().print(f"{path}: intact{against}")
    if findings:
        raise typer.Exit(1)


@store_app.command(epilog="Example: bonafide store show data/features")
def show(path: StoreArgument = _DEFAULT, as_json: JsonOption = False) -> None:
    """Show what is in a store: splits, attacks, hours, bytes, front end, augmentation, fingerprint."""
    from pipeline.cli.console import print_json, results
    from pipeline.cli.splits import splits_table
    from pipeline.cli.store_tables import attacks_table, facts_table, twins_table
    from pipeline.store import FeatureStore
    from pipeline.store.counts import attack_counts, twin_counts

    store = FeatureStore.open(path)
    attacks, twins = attack_counts(store.index), twin_counts(store.index)
    if as_json:
        rest = {key: value for key, value in store.info.items() if key not in ("files", "statistics")}
        print_json({**rest, "attacks": attacks, "twins": twins})
        return
    output = results()
    output.print(splits_table(path, store.info["splits"]))
    output.print(attacks_table(attacks))
    if twins:
        output.print(twins_table(twins))
    output.print(facts_table(store))


@store_app.command(epilog="Example: bonafide store get LA_T_1138215 --png spectrogram.png")
def get(
    utterance_id: Annotated[str, typer.Argument(metavar="ID", help="Utterance id.")],
    path: StoreOption = _DEFAULT,
    copy: Annotated[
        int, typer.Option("--copy", min=0, help="0: the original; from 1: augmented copies, then twins.")
    ] = 0,
    png: Annotated[Path | None, typer.Option("--png", help="Write the spectrogram as a picture.")] = None,
    npy: Annotated[
        Path | None, typer.Option("--npy", help="Write the spectrogram as NumPy array, frames × bins, float16, dB.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Get one example by its utterance id."""
    import numpy as np

    from pipeline.cli.console import console, print_json, results, table
    from pipeline.cli.store_tables import cell
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
        print_json(row | {"augmentation": json.loads(row["augmentation"])})
        return
    lines = [(name, cell(value)) for name, value in row.items()]
    results().print(table(f"{utterance_id}, copy {copy}", ("column", "value"), lines))


@store_app.command(
    epilog=examples(
        "bonafide store select --split train --label bonafide",
        "bonafide store select --attack A17 --attack A18 --csv hard.csv",
    )
)
def select(
    path: StoreOption = _DEFAULT,
    split: Annotated[list[SplitName] | None, typer.Option("--split", help="Split; may be repeated.")] = None,
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
    from pipeline.cli.console import console, print_json, results, table
    from pipeline.cli.store_selection import require_known, write_csv
    from pipeline.cli.store_tables import SHOWN_ROWS, cell
    from pipeline.store import FeatureStore

    store = FeatureStore.open(path)
    require_known(path, store, {"attack_id": attack, "speaker_id": speaker})
    selection = store.select(
        split=None if split is None else [name.value for name in split],
        attack_id=attack,
        speaker_id=speaker,
        label=None if label is None else int(label is ClassName.bonafide),
        copy=copy,
        min_duration_s=min_duration,
        max_duration_s=max_duration,
    )
    if csv is not None:
        write_csv(selection, csv)
        console.print(f"{len(selection):,} examples")
    elif as_json:
        print_json(selection.index.to_pylist())
    else:
        names = ("utterance_id", "split", "speaker_id", "attack_id", "label", "copy", "duration_s", "n_frames")
        rows = selection.index.slice(0, SHOWN_ROWS).select(names).to_pylist()
        cells = [[cell(value) for value in row.values()] for row in rows]
        results().print(table(f"{len(selection):,} examples", names, cells))
        if len(selection) > SHOWN_ROWS:
            console.print(f"only the first {SHOWN_ROWS} are shown; --csv FILE and --json give all")


@store_app.command(epilog="Example: bonafide store stats --plot store.png")
def stats(
    path: StoreArgument = _DEFAULT,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the distributions as PNG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Summarise the originals: duration, level and silence per class, attacks, mean and spread of the bins.

    How well each of them tells the classes apart is in `bonafide validate`.
    """
    from pipeline.cli.console import console, print_json, results
    from pipeline.cli.store_tables import bins_table, measures_table
    from pipeline.store import FeatureStore
    from pipeline.store.describe import describe

    store = FeatureStore.open(path)
    splits = describe(store.index, store.rejects())
    statistics = store.statistics
    if plot is not None:
        from pipeline.store.plots import plot_store

        plot_store(store, plot)
        console.print(f"{plot}: written")
    if as_json:
        bins = {"mean_db": statistics.mean.tolist(), "deviation_db": statistics.deviation.tolist()}
        print_json({**splits, "bins": bins, "train_frames": statistics.n_frames})
        return
    output = results()
    for split, part in splits.items():
        output.print(measures_table(split, part))
    output.print(bins_table(store))


@store_app.command(epilog="Example: bonafide store diff data/features s3://bucket/features")
def diff(
    first: Annotated[str, typer.Argument(metavar="STORE_A", help="Feature store.")],
    second: Annotated[str, typer.Argument(metavar="STORE_B", help="Feature store.")],
    as_json: JsonOption = False,
) -> None:
    """Show the differences between two stores. Ends with 1 if there is one, like diff."""
    from pipeline.cli.console import print_json, results
    from pipeline.cli.store_tables import print_comparison
    from pipeline.store import FeatureStore
    from pipeline.store.compare import compare

    comparison = compare(FeatureStore.open(first), FeatureStore.open(second))
    if as_json:
        print_json({"same": comparison.same, **vars(comparison)})
    elif comparison.same:
        results().print("the stores are equal byte for byte")
    else:
        print_comparison(comparison)
    if not comparison.same:
        raise typer.Exit(1)


def _absence(store: "FeatureStore", utterance_id: str, copy: int) -> str:
    """Says why a store has no such example: rejected, no such copy, or unknown."""
    import pyarrow.compute as pc

    where = f"{store.storage.url} has no example {utterance_id} copy {copy}"
    copies = store.index.filter(pc.equal(store.index["utterance_id"], utterance_id))["copy"].to_pylist()
    if copies:
        return f"{where}; it has copies {', '.join(map(str, sorted(copies)))}"
    rejects = store.rejects()
    for row in rejects.filter(pc.equal(rejects["utterance_id"], utterance_id)).to_pylist():
        return f"{where}: the file was rejected, {row['reason']} ({row['detail']})"
    return f"{where}; list its examples with `bonafide store select`"
