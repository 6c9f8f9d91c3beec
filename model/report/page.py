"""Gathers what the page shows and renders it: one HTML file with its style, script, charts, pictures and sound inside.

The same inputs at the same revision give the same bytes. Everything that comes from data is escaped, and a content security
policy in the page forbids every request.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from model.bundle import BUNDLE_FILE, Bundle
from model.errors import ModelError
from model.metrics import Interval
from model.params import Params
from model.report import charts, tables, words
from model.report.clips import Corpus, data_uri, frequency_ticks, hard_clips, hardest
from model.report.gradcam import last_block
from model.report.inputs import Evaluation, git_revision, read_curves, read_evaluation, read_validation
from model.training.network_plot import PICTURE_FILE
from pipeline.corpus.schema import SPLITS
from pipeline.files import atomic_write
from pipeline.store import FeatureStore

LARGEST_PAGE: Final = 15 * 2**20
CLIPS_PER_ERROR: Final = 5
_SPEAKERS_SHOWN: Final = 10
_FOLDER: Final = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Sources:
    """Where the page's contents come from.

    Attributes:
        evaluation: Folder that `evaluate` wrote.
        training: Folder of the training curves; may be absent.
        validation: Folder of the data validation; may be absent.
        model: Folder of the model bundle.
        corpus: The audio, or None where it is not at hand.
        project: Folder whose git revision is stated.
    """

    evaluation: Path
    training: Path
    validation: Path
    model: Path
    corpus: Corpus | None
    project: Path


@dataclass(frozen=True)
class Outcome:
    """What was made.

    Attributes:
        n_bytes: Size of the page.
        verdict: Its first sentence.
        n_clips: Hard clips shown.
        n_audio: Of these, how many can be heard.
    """

    n_bytes: int
    verdict: str
    n_clips: int
    n_audio: int


def write_page(store: FeatureStore, bundle: Bundle, params: Params, sources: Sources, output: Path) -> Outcome:
    """Makes the page.

    Args:
        store: The feature store that was evaluated.
        bundle: The model that was evaluated.
        params: All parameters; the prior is used, the rest is shown.
        sources: Where the rest comes from.
        output: The HTML file.

    Raises:
        ModelError: The evaluation is missing, damaged, or of another store or model.
        MetricsError: A score file is damaged.
    """
    bundle.require_front_end_of(store)
    evaluation = read_evaluation(sources.evaluation, store)
    main = evaluation.main
    if main.metrics["threshold"] != bundle.threshold:
        raise ModelError(
            f"{sources.evaluation} evaluates another model than {sources.model} (its threshold differs); "
            "run `bonafide evaluate` again"
        )
    accepted, rejected = (
        hard_clips(places, main.table, store, bundle, sources.corpus, params.evaluate.prior)
        for places in hardest(main.table, bundle.threshold, CLIPS_PER_ERROR)
    )
    content = _content(store, bundle, params, sources, evaluation)
    content |= {"accepted": accepted, "rejected": rejected}
    page = render(content)
    n_bytes = len(page.encode())
    if n_bytes > LARGEST_PAGE:
        raise ModelError(f"{output}: the page would have {n_bytes:,} bytes, more than {LARGEST_PAGE:,}")
    atomic_write(output, page)
    shown = [*accepted, *rejected]
    return Outcome(n_bytes, content["verdict"].sentence, len(shown), sum(clip.audio is not None for clip in shown))


def render(content: Mapping[str, Any]) -> str:
    """The page from its content, everything in it escaped but the page's own style and scripts."""
    from plotly.offline import get_plotlyjs

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": words.percent,
        "figure": figure,
        "interval": interval,
        "script_json": script_json,
        "parameter": parameter,
        "quantity": quantity,
        "signed": words.signed,
    }
    page: str = environment.get_template("template.html.j2").render(
        **content,
        style=_inline("style", (_FOLDER / "style.css").read_text(encoding="utf-8")),
        script=_inline("script", (_FOLDER / "page.js").read_text(encoding="utf-8")),
        plotly=_inline("script", get_plotlyjs()),
    )
    return page


def figure(value: float, unit: str = "", digits: int = 3) -> str:
    """A number for people: fractions with unit "%" in per cent, "bit" with its unit, anything else as it is."""
    if unit == "%":
        return words.percent(value)
    return f"{value:.{digits}f}\u202f{unit}" if unit else f"{value:.{digits}f}"


def interval(ends: Interval | None, unit: str = "", digits: int = 3) -> str:
    """A 95 % interval, or a dash."""
    if ends is None:
        return "–"
    low = f"{100 * ends.low:.1f}" if unit == "%" else f"{ends.low:.{digits}f}"
    return f"{low} to {figure(ends.high, unit, digits)}"


def quantity(value: float) -> str:
    """A measured quantity for people: no decimals from 100 on, two below."""
    return (f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}").replace("-", "\u2212")


def parameter(value: Any) -> str:
    """A parameter as YAML writes it."""
    return json.dumps(value, ensure_ascii=False)


def script_json(value: Any) -> Markup:
    """JSON for a script element: nothing in it can end the element."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _content(
    store: FeatureStore, bundle: Bundle, params: Params, sources: Sources, evaluation: Evaluation
) -> dict[str, Any]:
    validation = read_validation(sources.validation)
    metrics = {split: found.metrics for split, found in evaluation.splits.items()}
    main, prior = evaluation.main, params.evaluate.prior
    originals = store.select(split=main.split, copy=0).index
    durations_s = dict(zip(originals["utterance_id"].to_pylist(), originals["duration_s"].to_pylist(), strict=True))
    heard = frozenset(store.select(split="train", label=0).index["attack_id"].to_pylist()) - {None}
    tested = frozenset(metrics["eval"]["per_attack"]) if "eval" in metrics else frozenset()
    unseen = tested - heard
    speakers, n_speakers = tables.worst_speakers(main.table, bundle.threshold, _SPEAKERS_SHOWN)
    window_s = bundle.network.input_shape[1] * bundle.features.hop_length / bundle.features.sample_rate
    rows = tables.headlines(metrics)
    evidence_s = window_s / last_block(bundle.network).output.shape[1]
    return {
        "split": main.split,
        "metrics": main.metrics,
        "error_rates": words.error_rates(main.metrics),
        "verdict": words.verdict(main.metrics, main.split, bool(tested) and not tested & heard),
        "tiles": [row for name in tables.TILES for row in rows if row.name == name and main.split in row.values],
        "headlines": rows,
        "splits": sorted(evaluation.splits, key=lambda split: split != main.split),
        "unlabelled": evaluation.unlabelled,
        "charts": _evaluation_charts(evaluation, bundle.threshold, prior),
        "training_charts": charts.training_curves(read_curves(sources.training), bundle.epoch),
        "network_picture": _network_picture(sources.training / PICTURE_FILE),
        "attacks": {split: tables.attacks(figures, heard) for split, figures in metrics.items()},
        "speakers": speakers,
        "n_speakers": n_speakers,
        "fewest_per_class": tables.FEWEST_PER_CLASS,
        "durations": tables.durations(main.table, durations_s, bundle.threshold),
        "validation": validation,
        "measures": _measures(validation, main.split),
        "audit": _audit(metrics),
        "limits": words.limits(metrics, validation, window_s, prior, unseen),
        "frequency_ticks": frequency_ticks(bundle.features),
        "prior": prior,
        "threshold": bundle.threshold,
        "window_s": window_s,
        "evidence_s": evidence_s,
        "has_corpus": sources.corpus is not None,
        "parameters": list(tables.flattened(params.model_dump(mode="json"))),
        "versions": _versions(store, sources.model),
        "fingerprint": store.config_fingerprint,
        "same_store": bundle.store_fingerprint == store.config_fingerprint,
        "revision": git_revision(sources.project),
    }


def _evaluation_charts(evaluation: Evaluation, threshold: float, prior: float) -> dict[str, charts.Chart]:
    metrics = {split: found.metrics for split, found in evaluation.splits.items()}

    def plots(name: str) -> dict[str, Any]:
        return {split: found.plots[name] for split, found in evaluation.splits.items()}

    made = (
        charts.score_histogram(plots("score_histogram"), evaluation.main.split, threshold, evaluation.abstain_band),
        charts.calibration(plots("calibration"), metrics, prior),
        charts.roc(plots("roc"), metrics),
        charts.det(plots("det"), metrics),
        charts.precision_recall(plots("precision_recall"), metrics),
    )
    return {chart.name: chart for chart in made}


def _measures(validation: Mapping[str, Any] | None, main: str) -> dict[str, list[tables.Measure]]:
    """The shortcut probe of each split that has one, the main split first."""
    parts = {split: (validation or {}).get(split, {}) for split in (main, *SPLITS)}
    return {split: tables.measures(part) for split, part in parts.items() if part.get("shortcut_eer")}


def _audit(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The shortcut audit of each split that has one."""
    found: dict[str, dict[str, Any]] = {}
    for split, figures in metrics.items():
        trimmed, correlation = figures.get("trimmed", {}), figures.get("correlation", {})
        if "eer" in trimmed or correlation:
            found[split] = {
                "as_it_is": tables.value_of(figures, "eer"),
                "trimmed": tables.value_of(trimmed, "eer") if "eer" in trimmed else None,
                "correlation": [
                    (name.replace(".", ", ").replace("_", " "), value) for name, value in tables.flattened(correlation)
                ],
            }
    return found


def _versions(store: FeatureStore, model: Path) -> dict[str, str]:
    """Library and format versions of the store and of the model."""
    bundle = json.loads((model / BUNDLE_FILE).read_text(encoding="utf-8"))
    found = {f"{name} (store)": str(version) for name, version in store.info["versions"].items()}
    found |= {f"{name} (model)": str(version) for name, version in bundle["versions"].items()}
    return dict(sorted(found.items()))


def _network_picture(path: Path) -> str | None:
    return data_uri("image/svg+xml", path.read_bytes()) if path.exists() else None


def _inline(element: str, text: str) -> Markup:
    """The page's own text for a `script` or `style` element, made sure not to end it."""
    if re.search(rf"</{element}|<!--", text, re.IGNORECASE):
        raise ValueError(f"text for a {element} element would end it")
    return Markup(text)
