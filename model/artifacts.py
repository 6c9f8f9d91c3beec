"""Names of the files that one stage leaves for another, relative to the folder that the stage writes.

Producers and consumers take the names from here, so that reading a stage's files imports nothing of the stage. Imports
nothing itself.
"""

from typing import Final

# The model bundle, data/model.
BUNDLE_FILE: Final = "bundle.json"
NETWORK_FILE: Final = "model.keras"
DEV_SCORES_FILE: Final = "dev_scores.txt"

# The exported models, data/export.
EXPORT_FILE: Final = "export.json"
SERVING_FILE: Final = "serving.keras"

# The leave-attacks-out trainings, data/crossval and reports/crossval.
CROSSVAL_SCORES_FILE: Final = "scores.parquet"
CROSSVAL_METRICS_FILE: Final = "metrics.json"

# The data validation, reports/data.
VALIDATION_FILE: Final = "validation.json"
VALIDATION_METRICS_FILE: Final = "metrics.json"
DISTRIBUTIONS_FILE: Final = "distributions.json"
DISTRIBUTIONS_PICTURE: Final = "plots/distributions.png"

# The training, reports/train; its metrics.json and its curves have the names that DVCLive gives them.
TRAINING_FOLDER: Final = "reports/train"
NETWORK_PICTURE: Final = "network.svg"
MACHINE_FILE: Final = "machine.json"

# The evaluation, reports/evaluation.
EVALUATION_FOLDER: Final = "reports/evaluation"
EVALUATED_SPLITS: Final = ("dev", "eval")
METRICS_FILE: Final = "metrics.json"
DETAILS_FILE: Final = "details.json"
SCORES_FOLDER: Final = "scores"
PLOTS_FOLDER: Final = "plots"
BREAKDOWNS_FOLDER: Final = "breakdowns"
EXAMPLES_PICTURE: Final = "plots/examples.png"
ROBUSTNESS_FILE: Final = "robustness.json"


def training_curve_file(split: str, name: str) -> str:
    """The curve of a metric such as "eer" on "train" or "dev": tab-separated columns `step` and `name`."""
    return f"plots/metrics/{split}/{name}.tsv"


def scores_file(split: str) -> str:
    """The scores of an evaluated split, in the format that `model.metrics.read_scores` reads."""
    return f"{SCORES_FOLDER}/{split}.txt"


def plot_file(split: str, name: str) -> str:
    """The records of a plot such as "roc" of an evaluated split, as JSON."""
    return f"{PLOTS_FOLDER}/{split}/{name}.json"


def breakdown_file(split: str, name: str) -> str:
    """The error rates of an evaluated split by "attack", "speaker" or "duration", as CSV."""
    return f"{BREAKDOWNS_FOLDER}/{split}/{name}.csv"
