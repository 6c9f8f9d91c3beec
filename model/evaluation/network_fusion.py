"""Fusion of networks of this project: the bundle that scores audio with them, beside the fused score files.

The weights are fitted on what the networks were calibrated on: dev and, where all networks have them for the same trials, attacks
left out of train. Needs no Keras.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.artifacts import DETAILS_FILE, EVALUATED_SPLITS, scores_file
from model.bundle_file import BUNDLE, REMEDY
from model.development import HELD_OUT, read_development
from model.errors import ModelError
from model.evaluation.fusion import DEV, Development, FusionResult, fuse
from model.fusion_file import require_one_rate, write_fusion
from model.metrics import ScoreFile, ScoreTable, scores_side_by_side


@dataclass(frozen=True)
class FusedNetwork:
    """One network of a fusion.

    Attributes:
        name: What it is called in the fusion.
        bundle: Folder of its model bundle.
        evaluation: Folder of its evaluation.
    """

    name: str
    bundle: Path
    evaluation: Path


def fuse_networks(
    networks: Sequence[FusedNetwork],
    output: Path,
    bundle: Path,
    dev_protocol: Path | None = None,
    eval_protocol: Path | None = None,
) -> FusionResult:
    """Fuses networks: as `fuse` from the scores of their evaluations, and the bundle of the fusion.

    Args:
        networks: The first is that of `train`.
        output: Folder for the files of `fuse`.
        bundle: Folder for the bundle of the fusion.
        dev_protocol: As in `fuse`.
        eval_protocol: As in `fuse`.

    Raises:
        ModelError: A model bundle or an evaluation is missing or damaged, an evaluation is of another model, or the networks
            have not one sample rate.
        MetricsError: As in `fuse`.
    """
    described = {network.name: _read(network) for network in networks}
    require_one_rate(
        bundle, {name: info["front_end"]["parameters"].get("sample_rate") for name, info in described.items()}
    )
    tables = [read_development(network.bundle, REMEDY) for network in networks]
    development, counts = _development(tables, [info["calibrated_on"] for info in described.values()])
    dev, evaluation = ([network.evaluation / scores_file(split) for network in networks] for split in EVALUATED_SPLITS)
    result = fuse(dev, evaluation, output, dev_protocol, eval_protocol, development)
    fused = development.table.with_scores(result.fusion.apply(development.scores))
    write_fusion({network.name: network.bundle for network in networks}, result.fusion, fused, counts, bundle)
    return replace(result, names=[network.name for network in networks])


def _read(network: FusedNetwork) -> dict[str, Any]:
    """The description of a network, whose files are whole, and whose evaluation is of it; raises `ModelError`."""
    info = BUNDLE.read(network.bundle)
    BUNDLE.check_files(network.bundle, info["sha256"])
    path = network.evaluation / DETAILS_FILE
    try:
        threshold = json.loads(path.read_text(encoding="utf-8"))["dev"]["threshold"]
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; make it with `bonafide evaluate`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} cannot be read: {error!r}; make it again with `bonafide evaluate`") from error
    if threshold != info["threshold"]:
        raise ModelError(
            f"{network.evaluation} evaluates another model than {network.bundle} (its threshold differs); "
            "run `bonafide evaluate` again"
        )
    return info


def _development(
    tables: Sequence[ScoreTable], counts: Sequence[Mapping[str, int]]
) -> tuple[Development, dict[str, int]]:
    """What the fusion is fitted on, and the numbers of its trials as in a bundle; raises `MetricsError`."""
    ids = [set(table.utterance_ids.tolist()) for table in tables]
    if counts[0]["folds"] and all(found == ids[0] for found in ids):
        return _side_by_side(tables, "dev and attacks left out of train"), dict(counts[0])
    alone = [table.select(~np.char.startswith(table.utterance_ids, HELD_OUT)) for table in tables]
    development = _side_by_side(alone, DEV)
    table = development.table
    trials = {"dev_bonafide": len(table.bonafide), "dev_spoof": len(table.spoof)}
    return development, {**trials, "folds": 0, "held_out_bonafide": 0, "held_out_spoof": 0}


def _side_by_side(tables: Sequence[ScoreTable], described: str) -> Development:
    files = [
        ScoreFile(table.utterance_ids, table.scores, table.attack_ids, table.labels, table.source) for table in tables
    ]
    return Development(tables[0], scores_side_by_side(files), described)
