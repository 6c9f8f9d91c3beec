"""The rows of the table of networks: the main one, the members, and the fusions with the weights of their networks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model.artifacts import (
    EVALUATED_SPLITS,
    EVALUATION_FOLDER,
    FUSION_WEIGHTS_FILE,
    MEMBERS_FOLDER,
    headlines_file,
    member_evaluation,
    scores_file,
)
from model.errors import ModelError
from model.params import Params, checked_fusions
from model.report.words import signed

MAIN: Final = "main network"


@dataclass(frozen=True)
class SystemRow:
    """One network or fusion. A figure is None where the split has no labels of both classes.

    Attributes:
        name: Of the network or of the fusion.
        kind: "network", "member" or "fusion".
        eer: Equal error rate by split, "dev" and "eval".
        cllr: Cost of the ratios in bits, by split.
        weights: Weights of the networks of a fusion and its offset, as text; "" for a network.
        is_made: False for an entry of the parameters without results yet.
    """

    name: str
    kind: str
    eer: Mapping[str, float | None]
    cllr: Mapping[str, float | None]
    weights: str
    is_made: bool


def system_rows(main: Mapping[str, Mapping[str, Any]], params: Params, members: Path, fusions: Path) -> list[SystemRow]:
    """The rows; none in a project without members.

    Args:
        main: Metrics of each labelled split of the main network.
        params: Whose `members` and `fusions` are shown.
        members: Folder with the evaluation of each member.
        fusions: Folder with the files of each fusion.

    Raises:
        ModelError: A file is damaged, or a fusion is of other networks than the parameters say.
        ParamsError: An entry of `members` or `fusions` is not allowed.
    """
    named = checked_fusions(params)
    if not named.members:
        return []
    rows = [_row(MAIN, "network", main)]
    rows += [_row(name, "member", _headlines(members / member_evaluation(name))) for name in named.members]
    for name, parts in named.fusions.items():
        folder = fusions / name
        found = _headlines(folder)
        rows.append(_row(name, "fusion", found, _weights(folder / FUSION_WEIGHTS_FILE, parts) if found else ""))
    return rows


def _row(name: str, kind: str, metrics: Mapping[str, Mapping[str, Any]], weights: str = "") -> SystemRow:
    eer, cllr = ({split: metrics.get(split, {}).get(key) for split in EVALUATED_SPLITS} for key in ("eer", "cllr"))
    return SystemRow(name, kind, eer, cllr, weights, bool(metrics))


def _headlines(folder: Path) -> dict[str, dict[str, Any]]:
    """The headline metrics of each split that has some."""
    paths = {split: folder / headlines_file(split) for split in EVALUATED_SPLITS}
    return {split: _read_json(path) for split, path in paths.items() if path.exists()}


def _weights(path: Path, members: tuple[str, ...]) -> str:
    folders = {MAIN: EVALUATION_FOLDER} | {name: f"{MEMBERS_FOLDER}/{member_evaluation(name)}" for name in members}
    found = _read_json(path)
    try:
        # The keys are the dev scores that the fusion was fitted on.
        weights = {name: found["weights"][f"{folder}/{scores_file('dev')}"] for name, folder in folders.items()}
        return ", ".join(f"{name} {signed(value)}" for name, value in {**weights, "offset": found["intercept"]}.items())
    except (KeyError, TypeError, ValueError):
        raise ModelError(
            f"{path} is not the fusion of {', '.join(folders)}; make it again with `bonafide fuse --fusion`"
        ) from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"expected an object, found {type(found).__name__}")
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; make it again with `dvc repro`") from error
    return found
