"""What a trained network knows of recordings: fitted on train, with limits from dev that call few of its clips unlike train.

All rows of train count, augmented copies and twins included, since the network learns from them all. A sample of them, spread
over the store, is enough.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from model.domain_file import Domain, Embeddings, Range, ShortClips
from model.metrics import det_curve
from model.metrics.rates import eer_of_curve
from model.scoring.domain import distances, measures_of
from model.scoring.scorer import ClipOutput, ClipScorer, Cut
from model.scoring.sources import LONGEST_S
from model.scoring.windows import window_places
from pipeline.frontends import make_front_end
from pipeline.store import FeatureStore

MOST_CLIPS: Final = 2000
"""Examples of each split at most."""
FLAGGED: Final = 0.03
"""Share of the dev clips that may be called unlike train, by all checks together."""
_OUTSIDE: Final = 0.005
"""Share of train, and of dev, that may lie beyond each end of a range."""
_MARGINS: Final = {
    "duration_s": 0.05,
    "level_db": 1.0,
    "band_edge_hz": 100.0,
    "silence_share": 0.02,
    "noise_floor_db": 1.0,
}
"""By which ranges are wider, since a small corpus says little about its extremes."""
_MOST_DIRECTIONS: Final = 32
_SMALLEST_VARIANCE: Final = 1e-3
"""Relative to the mean variance of a feature."""
_LEAST_LIMIT: Final = 1e-12
_SHORT_S: Final = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)

FloatArray = npt.NDArray[np.float64]


class _Clips(NamedTuple):
    labels: npt.NDArray[np.int64]
    measures: list[dict[str, float]]
    embeddings: FloatArray
    logits: FloatArray
    middles: list[npt.NDArray[np.float16]]


def fit_domain(store: FeatureStore, scorer: ClipScorer, batch_size: int) -> Domain:
    """Fits the domain of a network.

    Args:
        store: The feature store that it was trained on.
        scorer: Of the network.
        batch_size: Windows at once.
    """
    train = _read(_spread(store.select(split="train")), scorer, batch_size, keep_middles=False)
    dev = _read(_spread(store.select(split="dev", copy=0)), scorer, batch_size, keep_middles=True)
    ranges = {name: _range(name, train.measures, dev.measures) for name in train.measures[0]}
    outside = np.array([_is_outside(measures, ranges) for measures in dev.measures])
    known = _principal_components(train.embeddings, train.labels)
    found = distances(dev.embeddings, known)
    # As many clips as the ranges leave over of the share; the limit is the distance of the last that is not flagged.
    spare = int(FLAGGED * len(outside)) - int(outside.sum())
    inside = np.sort(found[~outside])
    limit = float(inside[-1 - max(0, spare)]) if len(inside) else float(found.max())
    # A collapsed network gives all clips the same features; a limit is above 0.
    known = known.model_copy(update={"limit": max(limit, _LEAST_LIMIT)})
    return Domain(
        n_train=len(train.labels),
        n_dev=len(dev.labels),
        flagged=float(np.mean(outside | (found > limit))),
        ranges=ranges,
        embeddings=known,
        whole_eer=_eer(dev.labels, dev.logits),
        short_clips=list(_short_clips(store, scorer, dev, batch_size)),
    )


def _spread(store: FeatureStore) -> FeatureStore:
    """At most `MOST_CLIPS` examples with a label, evenly spread over the store."""
    labelled = store.with_index(store.index.filter(store.index["label"].is_valid()))
    count = len(labelled)
    rows = np.arange(count) if count <= MOST_CLIPS else np.arange(MOST_CLIPS) * count // MOST_CLIPS
    return store.with_index(labelled.index.take(rows))


def _read(store: FeatureStore, scorer: ClipScorer, batch_size: int, *, keep_middles: bool) -> _Clips:
    rows, front_end, params = store.index.to_pylist(), make_front_end(store.features), store.features
    measures: list[dict[str, float]] = []
    kept: list[npt.NDArray[np.float16]] = []

    def cuts() -> Iterator[Cut]:
        for example, row in zip(store, rows, strict=True):
            measures.append(_measures(example.features, row, front_end, params))
            if keep_middles:
                kept.append(_middle(example.features, scorer.n_frames).copy())
            yield scorer.cut(example.features)

    outputs: list[ClipOutput] = list(scorer.each_output(cuts(), batch_size))
    embeddings = np.stack([output.embedding for output in outputs]).astype(np.float64)
    logits = np.array([output.logit for output in outputs])
    return _Clips(np.array([row["label"] for row in rows]), measures, embeddings, logits, kept)


def _measures(features: npt.NDArray[np.float16], row: dict[str, Any], front_end: Any, params: Any) -> dict[str, float]:
    return measures_of(
        features,
        front_end,
        params,
        duration_s=row["duration_s"],
        silence_s=row["leading_silence_s"] + row["trailing_silence_s"],
        level_db=row["level_db"],
        band_edge_hz=row["band_edge_hz"],
    )


def _range(name: str, train: Sequence[dict[str, float]], dev: Sequence[dict[str, float]]) -> Range:
    values = [[clip[name] for clip in split] for split in (train, dev)]
    low = min(float(np.quantile(split, _OUTSIDE)) for split in values) - _MARGINS[name]
    if name == "duration_s":
        # Long recordings are scored window by window.
        return Range(low=max(0.0, low), high=LONGEST_S)
    return Range(low=low, high=max(float(np.quantile(split, 1.0 - _OUTSIDE)) for split in values) + _MARGINS[name])


def _is_outside(measures: dict[str, float], ranges: dict[str, Range]) -> bool:
    return any(not known.low <= measures[name] <= known.high for name, known in ranges.items())


def _principal_components(vectors: FloatArray, labels: npt.NDArray[np.int64]) -> Embeddings:
    """The covariance of the vectors within their classes; the limit is still to be found."""
    means = [vectors[labels == label].mean(axis=0) for label in np.unique(labels).tolist()]
    centred = vectors.copy()
    for label, mean in zip(np.unique(labels).tolist(), means, strict=True):
        centred[labels == label] -= mean
    variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    variances, directions = variances[::-1], directions.T[::-1]
    floor = max(_SMALLEST_VARIANCE * float(variances.mean()), 1e-12)
    count = min(_MOST_DIRECTIONS, int((variances > floor).sum()))
    rest = variances[count:]
    return Embeddings(
        means=[mean.tolist() for mean in means],
        directions=directions[:count].tolist(),
        variances=variances[:count].tolist(),
        rest_variance=max(float(rest.mean()) if len(rest) else 0.0, floor),
        limit=1.0,
    )


def _short_clips(store: FeatureStore, scorer: ClipScorer, dev: _Clips, batch_size: int) -> Iterator[ShortClips]:
    """The EER of dev when the middle of each clip alone is scored, for durations below the window."""
    hop_s = store.features.hop_length / store.features.sample_rate
    for seconds in _SHORT_S:
        n_frames = max(1, round(seconds / hop_s))
        if n_frames < scorer.n_frames:
            middles = [_middle(clip, n_frames) for clip in dev.middles]
            yield ShortClips(
                seconds=seconds, eer=_eer(dev.labels, np.array(list(_logits(scorer, middles, batch_size))))
            )


def _middle(features: npt.NDArray[np.float16], n_frames: int) -> npt.NDArray[np.float16]:
    return features[max(0, (len(features) - n_frames) // 2) :][:n_frames]


def _logits(scorer: ClipScorer, clips: Sequence[npt.NDArray[np.float16]], batch_size: int) -> Iterator[float]:
    cuts = (Cut(clip, window_places(len(clip), scorer.n_frames)) for clip in clips)
    return (output.logit for output in scorer.each_output(cuts, batch_size))


def _eer(labels: npt.NDArray[np.int64], logits: FloatArray) -> float:
    if np.ptp(logits) == 0.0:
        return 0.5  # a collapsed network
    return float(eer_of_curve(det_curve(logits[labels == 1], logits[labels == 0])).value)
