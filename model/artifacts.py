"""Names of the files that one stage leaves for another, relative to the folder that the stage writes.

Producers and consumers take the names from here, so that reading a stage's files imports nothing of the stage. Imports
nothing itself.
"""

from typing import Final

# The model bundle, data/model.
BUNDLE_FILE: Final = "bundle.json"
NETWORK_FILE: Final = "model.keras"
DEV_SCORES_FILE: Final = "dev_scores.txt"
DOMAIN_FILE: Final = "domain.json"

# The bundle of a fusion, data/fusions/NAME: those of its networks, in folders, with dev scores and this description.
FUSION_FILE: Final = "fusion.json"
MAIN_NETWORK: Final = "main"
"""Name and folder of the network of `train` in a fusion."""
MEMBER_NETWORKS_FOLDER: Final = "members"

# The exported models, data/export, and what they measured, reports/export.
EXPORT_FILE: Final = "export.json"
MODEL_CARD_FILE: Final = "README.md"
SAVED_MODEL_FOLDER: Final = "saved_model"
FLAC_MODEL_FOLDER: Final = "saved_model_flac"
ONNX_FILE: Final = "bonafide.onnx"
TFLITE_FILES: Final = {
    "float32": "bonafide_float32.tflite",
    "float16": "bonafide_float16.tflite",
    "int8": "bonafide_int8.tflite",
}
EXPORT_METRICS_FILE: Final = "metrics.json"
EXPORT_DETAILS_FILE: Final = "details.json"
EXPORT_CARD_FILE: Final = "model_card.md"

# The leave-attacks-out trainings, data/crossval and reports/crossval.
CROSSVAL_SCORES_FILE: Final = "scores.parquet"
CROSSVAL_METRICS_FILE: Final = "metrics.json"
CROSSVAL_DETAILS_FILE: Final = "details.json"

# The data validation, reports/data.
VALIDATION_FILE: Final = "validation.json"
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
HEADLINES_FOLDER: Final = "metrics"
DETAILS_FILE: Final = "details.json"
SCORES_FOLDER: Final = "scores"
PLOTS_FOLDER: Final = "plots"
BREAKDOWNS_FOLDER: Final = "breakdowns"
EXAMPLES_PICTURE: Final = "plots/examples.png"
ROBUSTNESS_FILE: Final = "robustness.json"
REJECTS_FOLDER: Final = "rejects"
MEMBERS_FOLDER: Final = "reports/members"
"""A folder with the evaluation of each further network, `EVALUATION_FOLDER` being that of the network of `train`."""
MODEL_FOLDER: Final = "data/model"
MEMBER_DATA_FOLDER: Final = "data/members"
FUSIONS_FOLDER: Final = "reports/fusions"
"""A folder with the scores, weights and figures of each fusion."""
FUSION_WEIGHTS_FILE: Final = "fusion.json"
CORPORA_FOLDER: Final = "data/corpora"
"""The manifests of the further test sets, one for each; the stage `corpus` writes them."""


def training_curve_file(split: str, name: str) -> str:
    """The curve of a metric such as "eer" on "train" or "dev": tab-separated columns `step` and `name`."""
    return f"plots/metrics/{split}/{name}.tsv"


def member_evaluation(name: str) -> str:
    """The evaluation of a further network, in `MEMBERS_FOLDER`."""
    return f"{name}/evaluation"


def member_model(name: str) -> str:
    """The model bundle of a further network, in `MEMBER_DATA_FOLDER`."""
    return f"{name}/model"


def fusion_bundle(name: str) -> str:
    """The default place of the bundle of a fusion."""
    return f"data/fusions/{name}"


def corpus_manifest(name: str) -> str:
    """The manifest of a further test set, in `CORPORA_FOLDER`."""
    return f"{name}.parquet"


def headlines_file(name: str) -> str:
    """The few metrics of a split, of a part of eval or of a further test set that `dvc metrics show` prints as one row."""
    return f"{HEADLINES_FOLDER}/{name}.json"


def rejects_file(name: str) -> str:
    """The clips of a further test set that have no score, as CSV."""
    return f"{REJECTS_FOLDER}/{name}.csv"


def scores_file(split: str) -> str:
    """The scores of an evaluated split or further test set, in the format that `model.metrics.read_scores` reads."""
    return f"{SCORES_FOLDER}/{split}.txt"


def plot_file(split: str, name: str) -> str:
    """The records of a plot such as "roc" of an evaluated split, as JSON."""
    return f"{PLOTS_FOLDER}/{split}/{name}.json"


def breakdown_file(split: str, name: str) -> str:
    """The error rates of an evaluated split by "attack", "speaker", "duration" or a field of the protocol, as CSV."""
    return f"{BREAKDOWNS_FOLDER}/{split}/{name}.csv"
