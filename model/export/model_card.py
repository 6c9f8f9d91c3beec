"""The model card: Markdown in the form of Hugging Face, with a front matter that its hub and tools read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from model.bundle import Bundle
from model.export.card_inputs import CorpusFacts, EvaluationFacts
from model.export.card_text import INTENDED_USE, LIMITS, USE
from model.export.measure import Measured
from model.metrics import HEADLINES, AbstainBand

LICENCE: Final = "apache-2.0"
_TAGS: Final = (
    "audio-classification",
    "anti-spoofing",
    "audio-deepfake-detection",
    "speech",
    "keras",
    "tflite",
    "onnx",
)
_METRICS: Final = ("eer", "min_dcf", "cllr", "auc", "balanced_accuracy")
_MIB: Final = 2**20


@dataclass(frozen=True)
class CardInputs:
    """What the card is made from.

    Attributes:
        bundle: The model.
        band: Of uncertain scores.
        prior: Of bona fide.
        measured: The exported models by name.
        left_out: Formats that were not written, with the reason.
        corpus: None if the manifest was not given.
        evaluation: None if it was not given.
    """

    bundle: Bundle
    band: AbstainBand
    prior: float
    measured: Mapping[str, Measured]
    left_out: Mapping[str, str]
    corpus: CorpusFacts | None
    evaluation: EvaluationFacts | None


def model_card(inputs: CardInputs) -> str:
    """The card as Markdown."""
    parts = [_front_matter(inputs), *_summary(inputs), INTENDED_USE, *_data(inputs.corpus), *_results(inputs)]
    parts += [*_files(inputs), USE.format(sample_rate=inputs.bundle.features.sample_rate), *_limits(inputs)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _front_matter(inputs: CardInputs) -> str:
    values: dict[str, Any] = {
        "license": LICENCE,
        "pipeline_tag": "audio-classification",
        "tags": list(_TAGS),
        "metrics": list(_METRICS),
    }
    evaluation = inputs.evaluation
    if evaluation is not None and evaluation.main is not None:
        name = inputs.corpus.name if inputs.corpus else "the corpus of the evaluation"
        figures = evaluation.splits[evaluation.main]
        values["model-index"] = [
            {
                "name": "bonafide",
                "results": [
                    {
                        "task": {"type": "audio-classification", "name": "Spoofed speech detection"},
                        "dataset": {"name": name, "type": name, "split": evaluation.main},
                        "metrics": [
                            {"type": metric, "name": HEADLINES[metric].title, "value": round(figures[metric], 6)}
                            for metric in _METRICS
                            if metric in figures
                        ],
                    }
                ],
            }
        ]
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---"


def _summary(inputs: CardInputs) -> Iterator[str]:
    bundle, band = inputs.bundle, inputs.band
    yield "# Bonafide: real or fake speech"
    yield (
        f"A small network (`{bundle.train.network}`, {bundle.network.count_params():,} parameters) tells recordings of human "
        "speech (bona fide) from synthetic or converted speech (spoof). It takes a waveform and gives a log-likelihood ratio: "
        "above 0 speaks for bona fide."
    )
    yield _table(
        ("", ""),
        [
            ("input", f"mono, {bundle.features.sample_rate} Hz, float32 in [-1, 1], any length"),
            ("front end", f"`{bundle.features.kind}`, inside the model"),
            ("score", "log-likelihood ratio for bona fide, calibrated on dev"),
            ("probability", f"of bona fide, at a prior of {inputs.prior:g}"),
            (
                "verdict",
                f"bona fide (1) from a score of {band.high:+.2f}, spoof (0) below {band.low:+.2f}, between them uncertain (-1)",
            ),
            (
                "threshold",
                f"{bundle.threshold:+.2f}, the equal error rate of dev, for whoever wants no uncertain verdicts",
            ),
            ("epoch", str(bundle.epoch)),
            ("config fingerprint of the training data", f"`{bundle.store_fingerprint[:16]}…`"),
        ],
    )


def _data(corpus: CorpusFacts | None) -> Iterator[str]:
    yield "## Training data and licences"
    if corpus is None:
        yield "Not stated: the export was not given the manifest of the corpus."
        return
    yield (
        f"Corpus `{corpus.name}`. Train fits the weights; dev gives calibration, threshold and uncertain band; "
        "nothing is fitted on eval."
    )
    yield _table(
        ("split", "bona fide", "spoof", "unlabelled", "hours", "speakers", "attacks"),
        [
            (
                split,
                f"{counts.bona_fide:,}",
                f"{counts.spoof:,}",
                f"{counts.unlabelled:,}",
                f"{counts.hours:,.2f}",
                f"{counts.speakers:,}",
                _attacks(counts.attacks),
            )
            for split, counts in corpus.splits.items()
        ],
    )
    if corpus.licence_files or corpus.licences:
        told = f"Its sources and licences: {_code(corpus.licence_files)}. " if corpus.licence_files else ""
        names = f"Licences of the recordings: {', '.join(corpus.licences)}. " if corpus.licences else ""
    else:
        told, names = "The folder of the corpus has no file on its licence: ask whoever published it. ", ""
    yield (
        f"{told}{names}The exported files hold weights, no recordings. Code and weights are under {LICENCE}; "
        "whether the licences of the recordings ask for more is for the reader to judge."
    )


def _attacks(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 20 else f"{len(names)} attacks"


def _results(inputs: CardInputs) -> Iterator[str]:
    yield "## Results"
    evaluation = inputs.evaluation
    if evaluation is None or evaluation.main is None:
        yield "Not measured: the export was not given an evaluation with labels."
        return
    splits = evaluation.splits
    yield "With 95 % bootstrap intervals where they were computed. Splits that are not dev or eval are other corpora."
    yield _table(
        ("metric", *splits),
        [
            (HEADLINES[name].title, *(_figure(figures, name) for figures in splits.values()))
            for name in _METRICS
            if any(name in figures for figures in splits.values())
        ]
        + [
            (label, *(_figure(figures.get(part, {}), "eer") for figures in splits.values()))
            for part, label in (("seen", "EER, attacks of train"), ("unseen", "EER, other attacks"))
        ],
    )
    main = splits[evaluation.main]
    if main.get("per_attack"):
        yield f"Per attack on {evaluation.main}; “accepted” is the share called bona fide at the threshold from dev:"
        yield _table(
            ("attack", "clips", "EER", "accepted"),
            [
                (name, str(figures["n_spoof"]), _figure(figures, "eer"), _percent(figures["false_alarm"]))
                for name, figures in sorted(main["per_attack"].items())
            ],
        )
    if evaluation.robustness:
        yield f"Clips of {evaluation.main} changed before they are scored; “changed” is the share of changed verdicts:"
        yield _table(
            ("condition", "EER", "changed", "certain, wrong"),
            [
                (row["title"], _percent(row["eer"]), _percent(row["changed"]), _percent(row["certain_wrong"]))
                for row in evaluation.robustness
            ],
        )


def _files(inputs: CardInputs) -> Iterator[str]:
    yield "## Files"
    yield (
        "Front end, calibration and thresholds are inside each. Differences are those of the score from the network in Keras."
    )
    yield _table(
        ("file", "MiB", "largest difference", "EER", "change of EER"),
        [(f"`{name}`", f"{item.bytes / _MIB:.2f}", *_parity(item)) for name, item in inputs.measured.items()],
    )
    for name, reason in inputs.left_out.items():
        yield f"No {name}: {reason}."


def _parity(item: Measured) -> tuple[str, str, str]:
    if item.parity is None:
        return "not measured", "not measured", "not measured"
    change = f"{100 * item.parity.eer_change:+.2f} points"
    return f"{item.parity.max_difference:.1e}", _percent(item.parity.eer), change


def _limits(inputs: CardInputs) -> Iterator[str]:
    yield "## Limits"
    evaluation = inputs.evaluation
    main = {} if evaluation is None or evaluation.main is None else evaluation.splits[evaluation.main]
    measured = []
    if "eer" in main.get("unseen", {}) and "eer" in main.get("seen", {}):
        measured.append(
            f"- **New attacks.** The EER is {_percent(main['seen']['eer'])} on attacks that train has and "
            f"{_percent(main['unseen']['eer'])} on others. A new generator may be harder than any of these."
        )
    if "uncertain" in main:
        measured.append(
            f"- **Uncertain verdicts.** {_percent(main['uncertain'])} of the verdicts are “uncertain”; "
            f"{_percent(main['certain_wrong'])} of all are certain and wrong."
        )
    yield "\n".join([*measured, *LIMITS.strip().splitlines()])


def _figure(figures: Mapping[str, Any], name: str) -> str:
    """A metric with its interval, if it has one; "-" if it is absent."""
    if name not in figures:
        return "-"
    shown = _percent if HEADLINES[name].unit == "%" else _decimals
    low, high = (figures.get(f"{name}_ci95_{end}") for end in ("low", "high"))
    interval = "" if low is None or high is None else f" ({shown(low)} to {shown(high)})"
    return f"{shown(figures[name])}{interval}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _decimals(value: float) -> str:
    return f"{value:.3f}"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    """Names of attacks come from the corpus and must not end a cell."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
