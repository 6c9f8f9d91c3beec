"""Collects everything that the page shows, and writes the page.

The same inputs at the same git revision give the same bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model.artifacts import BUNDLE_FILE, FUSIONS_FOLDER, MEMBERS_FOLDER, NETWORK_PICTURE
from model.bundle import Bundle
from model.errors import ModelError
from model.params import Params
from model.report import charts, tables
from model.report.clips import ClipAudio, hard_clips, hardest
from model.report.conclusion import conclude
from model.report.corpora import set_rows
from model.report.gradcam import last_block
from model.report.inputs import (
    EvaluationFiles,
    git_revision,
    read_curves,
    read_evaluation,
    read_robustness,
    read_validation,
)
from model.report.limits import limits
from model.report.pictures import data_uri, frequency_ticks
from model.report.render import render
from model.report.systems import system_rows
from model.report.words import error_rates
from pipeline.corpus.schema import SPLITS
from pipeline.files import atomic_write
from pipeline.store import FeatureStore

LARGEST_PAGE: Final = 15 * 2**20
CLIPS_PER_ERROR: Final = 5
_SPEAKERS_SHOWN: Final = 10


@dataclass(frozen=True)
class Sources:
    """Where the content of the page comes from.

    Attributes:
        evaluation: Folder of the evaluation.
        training: Folder of the training curves; may be absent.
        validation: Folder of the data validation; may be absent.
        model: Folder of the model bundle.
        audio: The audio files, or None if there are none.
        project: Folder of which the page states the git revision.
        members: Folder with the evaluation of each member; may be absent.
        fusions: Folder with the files of each fusion; may be absent.
    """

    evaluation: Path
    training: Path
    validation: Path
    model: Path
    audio: ClipAudio | None
    project: Path
    members: Path = Path(MEMBERS_FOLDER)
    fusions: Path = Path(FUSIONS_FOLDER)


@dataclass(frozen=True)
class PageResult:
    """Facts about the page that was written.

    Attributes:
        n_bytes: Size of the page.
        conclusion: Its first sentence.
        n_clips: Number of hard clips on it.
        n_audio: Number of these clips with audio.
    """

    n_bytes: int
    conclusion: str
    n_clips: int
    n_audio: int


def write_page(store: FeatureStore, bundle: Bundle, params: Params, sources: Sources, output: Path) -> PageResult:
    """Writes the page.

    Args:
        store: The feature store that was evaluated.
        bundle: The model that was evaluated.
        params: All parameters; the page uses the prior and lists the others.
        sources: Where everything else comes from.
        output: The HTML file.

    Raises:
        ModelError: The evaluation is missing, damaged, or of another store or model; or the files of a fusion are damaged.
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
        hard_clips(places, main.table, store, bundle, sources.audio, params.evaluate.prior)
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
    return PageResult(
        n_bytes=n_bytes,
        conclusion=content["conclusion"].sentence,
        n_clips=len(shown),
        n_audio=sum(clip.audio is not None for clip in shown),
    )


def _content(
    store: FeatureStore, bundle: Bundle, params: Params, sources: Sources, evaluation: EvaluationFiles
) -> dict[str, Any]:
    validation = read_validation(sources.validation)
    metrics = {split: found.metrics for split, found in evaluation.splits.items()}
    main, prior = evaluation.main, params.evaluate.prior
    originals = store.select(split=main.split, copy=0).index
    durations_s = dict(zip(originals["utterance_id"].to_pylist(), originals["duration_s"].to_pylist(), strict=True))
    unseen = tables.unseen_attacks(metrics.get("eval", {"per_attack": {}}))
    speakers, n_speakers = tables.worst_speakers(main.table, bundle.threshold, _SPEAKERS_SHOWN)
    window_s = bundle.network.input_shape[1] * bundle.features.hop_length / bundle.features.sample_rate
    rows = tables.headlines(metrics)
    shown = [*rows, *tables.group_headlines(metrics)]
    evidence_s = window_s / last_block(bundle.network).output.shape[1]
    return {
        "split": main.split,
        "metrics": main.metrics,
        "error_rates": error_rates(main.metrics),
        "conclusion": conclude(main.metrics, main.split),
        "tiles": [row for name in tables.TILES for row in shown if row.name == name and main.split in row.values],
        "headlines": rows,
        "splits": sorted(evaluation.splits, key=lambda split: split != main.split),
        "unlabelled": evaluation.unlabelled,
        "one_class": evaluation.one_class,
        "abstain_band": evaluation.described_band,
        "drawn": {split: found.get("drawn") for split, found in metrics.items()},
        "eer_intervals": tables.eer_intervals(main.metrics),
        "test_sets": set_rows(metrics.get("eval") or evaluation.one_class.get("eval"), evaluation.corpora),
        "systems": system_rows(metrics, params, sources.members, sources.fusions),
        "charts": _evaluation_charts(evaluation, bundle.threshold, prior),
        "training_charts": charts.training_curves(read_curves(sources.training), bundle.epoch),
        "network_picture": _network_picture(sources.training / NETWORK_PICTURE),
        "checks": tables.checks(metrics),
        "calibrated_on": bundle.calibrated_on,
        "attacks": {split: tables.attacks(found) for split, found in metrics.items()},
        "attack_groups": tables.attack_groups(main.metrics),
        "speakers": speakers,
        "n_speakers": n_speakers,
        "fewest_per_class": tables.FEWEST_PER_CLASS,
        "durations": tables.durations(main.table, durations_s, bundle.threshold),
        "robustness": tables.robustness(read_robustness(sources.evaluation)),
        "validation": validation,
        "measures": _measures(validation, main.split),
        "audit": _audit(metrics),
        "limits": limits(metrics, validation, window_s, prior, unseen, evaluation.corpora),
        "frequency_ticks": frequency_ticks(bundle.features),
        "prior": prior,
        "threshold": bundle.threshold,
        "window_s": window_s,
        "evidence_s": evidence_s,
        "has_audio": sources.audio is not None,
        "parameters": list(tables.flattened(params.model_dump(mode="json"))),
        "versions": _versions(store, sources.model),
        "fingerprint": store.config_fingerprint,
        "same_store": bundle.store_fingerprint == store.config_fingerprint,
        "revision": git_revision(sources.project),
    }


def _evaluation_charts(evaluation: EvaluationFiles, threshold: float, prior: float) -> dict[str, charts.Chart]:
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
    for split, values in metrics.items():
        trimmed, correlation = values.get("trimmed", {}), values.get("correlation", {})
        if "eer" in trimmed or correlation:
            found[split] = {
                "as_it_is": tables.value_of(values, "eer"),
                "trimmed": tables.value_of(trimmed, "eer") if "eer" in trimmed else None,
                "correlations": tables.correlations(correlation),
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
