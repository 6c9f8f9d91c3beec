"""A model bundle whose network is no network: enough for what reads its description and dev scores alone."""

from collections.abc import Mapping
from pathlib import Path

from model.artifacts import DETAILS_FILE, DEV_SCORES_FILE, DOMAIN_FILE, NETWORK_FILE, scores_file
from model.bundle_file import BUNDLE_VERSION
from model.metrics import parse_scores, score_table
from model.metrics.rates import eer_of_curve
from model.sealed_file import sealed
from pipeline.files import sha256_of, write_json


def write_toy_bundle(folder: Path, scores: str, held_out: str = "", sample_rate: int = 16000) -> float:
    """Writes the bundle; gives its threshold.

    Args:
        folder: To write to.
        scores: Its dev scores, the text of a score file.
        held_out: The same of attacks left out of train, with ids that begin with the fold.
        sample_rate: Of its front end, Hz.
    """
    folder.mkdir(parents=True)
    (folder / NETWORK_FILE).write_bytes(f"a network of {folder}".encode())
    (folder / DOMAIN_FILE).write_text("{}")
    (folder / DEV_SCORES_FILE).write_text(scores + held_out)
    dev, others = (_counts(text) for text in (scores, held_out))
    file = parse_scores(scores + held_out, "toy")
    threshold = eer_of_curve(
        score_table(file.utterance_ids, file.scores, file.labels, file.attack_ids, None).curve
    ).threshold
    description = {
        "bundle_version": BUNDLE_VERSION,
        "front_end": {"version": 1, "parameters": {"sample_rate": sample_rate}, "mean_db": [], "deviation_db": []},
        "calibration": {"slope": 1.0, "intercept": 0.0, "prior": 0.5},
        "calibrated_on": {
            "dev_bonafide": dev["bonafide"],
            "dev_spoof": dev["spoof"],
            "folds": int(bool(held_out)),
            "held_out_bonafide": others["bonafide"],
            "held_out_spoof": others["spoof"],
        },
        "threshold": threshold,
        "training": {"parameters": {}, "epoch": 1},
        "store_fingerprint": "0" * 64,
        "versions": {},
        "sha256": {name: sha256_of(folder / name) for name in (NETWORK_FILE, DEV_SCORES_FILE, DOMAIN_FILE)},
    }
    write_json(folder / "bundle.json", sealed(description))
    return threshold


def write_toy_evaluation(folder: Path, scores: Mapping[str, str], threshold: float) -> None:
    """Writes what a fusion reads of an evaluation: scores by split, and the threshold of the model."""
    for split, text in scores.items():
        path = folder / scores_file(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_json(folder / DETAILS_FILE, {"dev": {"threshold": threshold}})


def _counts(scores: str) -> dict[str, int]:
    labels = [line.split()[2] for line in scores.splitlines()]
    return {name: labels.count(name) for name in ("bonafide", "spoof")}
