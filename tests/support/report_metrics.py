"""Metrics of a split, as the evaluation writes them, for the report's sentences."""


def split_metrics(eer: float, **changes: object) -> dict[str, object]:
    return {
        "eer": eer,
        "recall": 0.9,
        "balanced_accuracy": 0.8,
        "cllr": 0.4,
        "n_bonafide": 100,
        "n_spoof": 200,
        "n_trials": 300,
        "per_attack": {},
        **changes,
    }
