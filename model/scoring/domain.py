"""Whether a recording is like the training data: measures of its audio, and the network's features before the logit.

The limits are in the bundle (`model.domain_file.Domain`). `measures_of` and `distances` are the same in training and scoring.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from model.domain_file import Domain, Embeddings, Range
from model.scoring.results import Caution
from pipeline.frontends import FeatureParams, FrontEnd

FloatArray = npt.NDArray[np.float64]

_QUIET, _LOUD = 10.0, 95.0


def measures_of(
    features: npt.NDArray[np.floating[Any]],
    front_end: FrontEnd,
    params: FeatureParams,
    *,
    duration_s: float,
    silence_s: float,
    level_db: float,
    band_edge_hz: float,
) -> dict[str, float]:
    """The measures of one clip that are compared, by their names of `model.domain_file.MEASURES`.

    Args:
        features: [frames, bins] in dB.
        front_end: That they come from.
        params: Its parameters.
        duration_s: Of the clip, seconds.
        silence_s: Leading and trailing silence together, seconds.
        level_db: RMS in dB relative to full scale. Left out where the front end scales every clip to one level.
        band_edge_hz: Frequency below which 99.9 % of the energy lies.

    Returns:
        `noise_floor_db` is the level of the quietest tenth of the frames relative to that of the loudest twentieth, in dB, where
        the level of a frame is the mean of its bins; it is left out where bins are no powers.
    """
    measures = {
        "duration_s": duration_s,
        "silence_share": min(1.0, silence_s / duration_s),
        "band_edge_hz": band_edge_hz,
    }
    if params.level_dbfs is None:
        measures["level_db"] = level_db
    if front_end.bin_axis().unit == "Hz":
        quiet, loud = np.percentile(features.mean(axis=1, dtype=np.float32), (_QUIET, _LOUD))
        measures["noise_floor_db"] = float(quiet - loud)
    return measures


def distances(vectors: npt.ArrayLike, known: Embeddings) -> FloatArray:
    """How far features before the logit are from those of training.

    It is the Mahalanobis distance from the nearest class (Lee et al., "A Simple Unified Framework for Detecting
    Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018), divided by the square root of the number of features,
    with the covariance within the classes as principal components and one variance for the rest (Tipping and Bishop, 1999).

    Args:
        vectors: [n, features].
        known: Of the bundle.

    Returns:
        float64 [n]; about 1 for a typical clip of train.
    """
    values = np.asarray(vectors, np.float64)[:, np.newaxis] - np.asarray(known.means)
    directions = np.asarray(known.directions).reshape(-1, values.shape[-1])
    along = values @ directions.T
    rest = np.maximum(np.square(values).sum(axis=-1) - np.square(along).sum(axis=-1), 0.0)
    squared = (np.square(along) / np.asarray(known.variances)).sum(axis=-1) + rest / known.rest_variance
    nearest: FloatArray = np.sqrt(squared.min(axis=1) / values.shape[-1])
    return nearest


def compare(domain: Domain, measures: Mapping[str, float], embedding: npt.ArrayLike) -> Iterator[Caution]:
    """What makes a recording unlike the training data.

    Args:
        domain: Of the bundle.
        measures: From `measures_of`.
        embedding: Features before the logit, [features].
    """
    for name, known in domain.ranges.items():
        if name in measures and not known.low <= measures[name] <= known.high:
            yield _outside(name, measures[name], known)
    distance = float(distances(np.asarray(embedding)[np.newaxis], domain.embeddings)[0])
    if distance > domain.embeddings.limit:
        times = distance / domain.embeddings.limit
        text = f"the network's features are {times:.1f} times as far from those of training as the limit"
        yield Caution("unlike_training", text, unlike=True)


def short_clip(domain: Domain, duration_s: float, window_s: float) -> Caution | None:
    """What it costs that a clip is shorter than the network's window; None if it is not."""
    if duration_s >= window_s:
        return None
    text = f"{duration_s:.2f} s are repeated to fill the network's window of {window_s:.2f} s"
    if domain.short_clips:
        near = min(domain.short_clips, key=lambda clip: abs(clip.seconds - duration_s))
        text += f"; dev cut to {near.seconds:g} s has an EER of {near.eer:.0%}, whole {domain.whole_eer:.0%}"
    return Caution("short_clip", text, unlike=False)


def _outside(name: str, value: float, known: Range) -> Caution:
    low = value < known.low
    limit = known.low if low else known.high
    than = "less" if low else "more"
    match name:
        case "band_edge_hz" if low:
            title, text = "narrow_band", f"energy above {value / 1000:.1f} kHz is missing; training had none like it"
        case "band_edge_hz":
            title, text = (
                "wide_band",
                f"energy up to {value / 1000:.1f} kHz; training had it up to {limit / 1000:.1f} kHz",
            )
        case "duration_s":
            title, text = (
                ("short" if low else "long"),
                f"{value:.2f} s; clips of training are longer than {limit:.2f} s",
            )
        case "level_db":
            title, text = (
                ("quiet" if low else "loud"),
                f"a level of {value:.0f} dB, {than} than the {limit:.0f} dB of training",
            )
        case "silence_share":
            title = "no_silence" if low else "silent_ends"
            text = f"{value:.0%} of the clip is silence at its ends, {than} than the {limit:.0%} of training"
        case _:
            title, most = ("clean_pauses", "at most") if low else ("noisy", "at least")
            text = f"the quietest frames are {-value:.0f} dB below the loudest, in training {most} {-limit:.0f} dB"
    return Caution(title, f"{title.replace('_', ' ')}: {text}", unlike=True)
