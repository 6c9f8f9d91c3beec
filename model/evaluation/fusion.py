"""Fusion of score files: weights fitted on the dev scores of several systems, applied to their eval scores.

`model.evaluation.network_fusion` fuses networks of this project, by the same means.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from model.artifacts import FUSION_WEIGHTS_FILE, headlines_file
from model.metrics import (
    Fusion,
    MetricsError,
    ScoreFile,
    ScoreTable,
    cllr,
    fit_calibration,
    fit_fusion,
    format_scores,
    labelled_table,
    read_protocol,
    read_scores,
    scores_side_by_side,
)
from model.metrics.rates import FloatArray, eer_of_curve
from pipeline.files import atomic_write, write_json

DEV: Final = "dev"


@dataclass(frozen=True, eq=False)
class Development:
    """The trials that a fusion is fitted on.

    Attributes:
        table: Their labels.
        scores: float64 [trials, systems], in the order of the table.
        described: In words, such as "dev".
    """

    table: ScoreTable
    scores: FloatArray
    described: str


@dataclass(frozen=True)
class SystemErrors:
    """How good a system is.

    Attributes:
        eer: Equal error rate, in [0, 1].
        cllr: Of its scores after calibration on what the fusion is fitted on, in bits.
    """

    eer: float
    cllr: float


@dataclass(frozen=True, eq=False)
class FusionResult:
    """A fusion and what it gained.

    Attributes:
        systems: Dev score files, in order.
        names: What to call the systems in a table.
        fusion: Its weights, one per system.
        errors: By split ("dev", "eval"), one entry per system and a last one for the fusion; without eval where it has no
            labels.
        fitted_on: In words, such as "dev".
    """

    systems: list[str]
    names: list[str]
    fusion: Fusion
    errors: dict[str, list[SystemErrors]]
    fitted_on: str


def fuse(
    dev: Sequence[Path],
    evaluation: Sequence[Path],
    output: Path,
    dev_protocol: Path | None = None,
    eval_protocol: Path | None = None,
    development: Development | None = None,
) -> FusionResult:
    """Fits a fusion on dev, applies it to eval, and writes `dev.txt`, `eval.txt`, `fusion.json` and the folder `metrics`.

    The folder has the figures of the fusion on dev and on eval, each a file, as an evaluation has them for `dvc metrics show`.

    Args:
        dev: Dev score files, one per system, at least two.
        evaluation: Eval score files in the same order.
        output: Folder to write to.
        dev_protocol: Gives the labels of dev; files of four columns need none.
        eval_protocol: The same for eval. Without labels there are fused scores only.
        development: What the fusion is fitted on; None for dev.

    Raises:
        MetricsError: Too few systems, files that do not belong together, or as in `read_scores` and `labelled_table`.
    """
    if len(dev) < 2 or len(dev) != len(evaluation):
        raise MetricsError(
            f"a fusion needs the dev and eval scores of at least two systems, in the same order; given were {len(dev)} dev "
            f"and {len(evaluation)} eval files"
        )
    scores, files = {}, {}
    for split, paths in (("dev", dev), ("eval", evaluation)):
        read = [read_scores(path) for path in paths]
        scores[split], files[split] = scores_side_by_side(read), read[0]
    truth = {"dev": labelled_table(files["dev"], dev_protocol)}
    if _has_labels(files["eval"], eval_protocol):
        truth["eval"] = labelled_table(files["eval"], eval_protocol)

    # A protocol may have another order than the files.
    ordered = {split: _in_order(scores[split], files[split], table) for split, table in truth.items()}
    fitted_on = development or Development(truth["dev"], ordered["dev"], DEV)
    of_bonafide = fitted_on.table.labels == 1
    fusion = fit_fusion(fitted_on.scores[of_bonafide], fitted_on.scores[~of_bonafide])
    for split, file in files.items():
        _write(output / f"{split}.txt", file, truth.get(split), fusion.apply(ordered.get(split, scores[split])))
    names = [str(path) for path in dev]
    errors = _errors(truth, ordered, fitted_on, fusion)
    result = FusionResult(names, names, fusion, errors, fitted_on.described)
    for split, systems in result.errors.items():
        write_json(output / headlines_file(split), asdict(systems[-1]))
    weights = dict(zip(result.systems, fusion.weights.tolist(), strict=True))
    described = {"intercept": fusion.intercept, "prior": fusion.prior, "fitted_on": fitted_on.described}
    write_json(output / FUSION_WEIGHTS_FILE, {"weights": weights, **described})
    return result


def _has_labels(file: ScoreFile, protocol: Path | None) -> bool:
    return file.labels is not None if protocol is None else read_protocol(protocol).labels is not None


def _in_order(scores: FloatArray, file: ScoreFile, table: ScoreTable) -> FloatArray:
    place = {name: number for number, name in enumerate(file.utterance_ids.tolist())}
    return scores[[place[name] for name in table.utterance_ids.tolist()]]


def _errors(
    truth: dict[str, ScoreTable], scores: dict[str, FloatArray], fitted_on: Development, fusion: Fusion
) -> dict[str, list[SystemErrors]]:
    single = [fitted_on.table.with_scores(column) for column in fitted_on.scores.T]
    maps = [fit_calibration(table.bonafide, table.spoof) for table in single]
    errors: dict[str, list[SystemErrors]] = {}
    for split, table in truth.items():
        calibrated = [line.apply(column) for line, column in zip(maps, scores[split].T, strict=True)]
        each = (table.with_scores(llrs) for llrs in (*calibrated, fusion.apply(scores[split])))
        errors[split] = [
            SystemErrors(eer_of_curve(system.curve).value, cllr(system.bonafide, system.spoof)) for system in each
        ]
    return errors


def _write(path: Path, file: ScoreFile, table: ScoreTable | None, fused: FloatArray) -> None:
    """Writes four columns; without labels, attacks and labels are "-"."""
    if table is None:
        unknown = np.full(len(fused), "-").tolist()
        text = format_scores(file.utterance_ids.tolist(), fused, unknown, [None] * len(fused))
    else:
        text = format_scores(table.utterance_ids.tolist(), fused, table.attack_ids.tolist(), table.labels.tolist())
    atomic_write(path, text)
