"""dev_scores.txt, the scores that threshold, uncertain band and calibration of a model or of a fusion come from.

They are log-likelihood ratios of dev and, where there are folds, of attacks left out of train. The id of a held-out trial
begins with its fold.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from model.artifacts import DEV_SCORES_FILE
from model.errors import ModelError
from model.metrics import MetricsError, ScoreTable, format_scores, read_scores, require_both_classes, trial_table
from model.metrics.rates import eer_of_curve
from model.sealed_file import Part, SealedFile
from pipeline.files import atomic_write

HELD_OUT: Final = "crossval-"
"""Beginning of the id of a held-out trial; the number of the fold, a colon and the id of the clip follow."""

_Count = Annotated[int, Field(ge=0)]


class Trials(Part):
    """Number of trials of each source and class."""

    dev_bonafide: _Count
    dev_spoof: _Count
    folds: _Count
    held_out_bonafide: _Count
    held_out_spoof: _Count


def write_development(table: ScoreTable, folder: Path) -> None:
    """Writes the scores."""
    columns = table.utterance_ids.tolist(), table.scores, table.attack_ids.tolist(), table.labels.tolist()
    atomic_write(folder / DEV_SCORES_FILE, format_scores(*columns))


def read_development(folder: Path, remedy: str) -> ScoreTable:
    """Reads the scores.

    Raises:
        ModelError: There are none, they are damaged, or lack labels or a class; `remedy` says what to do.
    """
    try:
        file = read_scores(folder / DEV_SCORES_FILE)
        if file.labels is None:
            raise MetricsError("it has no labels")
        # A network may give one value for every clip, which a score file of anyone else must not hold.
        table = trial_table(file.utterance_ids, file.scores, file.labels, file.attack_ids, None, file.source)
        require_both_classes(table)
        return table
    except (OSError, ValueError, MetricsError) as error:
        raise ModelError(f"{folder / DEV_SCORES_FILE} cannot be read: {error}; {remedy}") from error


def check_development(
    folder: Path, file: SealedFile, table: ScoreTable, counts: Mapping[str, int], threshold: float
) -> None:
    """Makes sure that the counts and the threshold of a description are those of the scores.

    Raises:
        ModelError: They are not.
    """
    for name, scores in (("bonafide", table.bonafide), ("spoof", table.spoof)):
        if counts[f"dev_{name}"] + counts[f"held_out_{name}"] != len(scores):
            raise file.wrong(folder, "calibrated_on", f"{DEV_SCORES_FILE} has {len(scores)} {name} trials")
    expected = eer_of_curve(table.curve).threshold
    if threshold != expected:
        raise file.wrong(folder, "threshold", f"{threshold} is not that of {DEV_SCORES_FILE}, {expected}")
