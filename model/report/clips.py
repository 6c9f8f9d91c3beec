"""The hardest clips: which they are, their audio as a data URI, and their spectrogram with the evidence laid over it.

A clip is shown from its start and for `EXCERPT_S` at most, in sound and picture alike, so that the page stays small whatever
the corpus holds. Audio that is gone or has changed leaves a note in its place, never an error.
"""

import base64
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle
from model.metrics import ScoreTable, probability
from model.report.gradcam import grad_cam
from pipeline.audio.decode import decode_bytes
from pipeline.errors import AudioError
from pipeline.frontends import FeatureParams, make_front_end
from pipeline.store import FeatureStore

EXCERPT_S: Final = 12.0
LARGEST_FILE: Final = 400_000
"""A FLAC file of more bytes than this is shortened to its excerpt; ten clips then stay below 6 MB in base64."""

_DYNAMIC_RANGE_DB: Final = 70.0
_OVERLAY_STRENGTH: Final = 0.72
_BONA_FIDE_RGB: Final = (0, 114, 178)
_SPOOF_RGB: Final = (213, 94, 0)

ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class HardClip:
    """One clip on which the detector was wrong.

    Attributes:
        utterance_id: Its id.
        attack_id: Spoofing system, or None for bona fide.
        speaker_id: Speaker, or None where unknown.
        score: Log-likelihood ratio for bona fide.
        probability: Of bona fide, at the stated prior.
        duration_s: Of the whole clip.
        shown_s: Of what is heard and seen.
        audio: `data:` URI, or None.
        audio_note: Why there is no audio, or "".
        spectrogram: `data:` URI of a grey picture, time from left to right, low bands at the bottom.
        evidence: `data:` URI of a picture of the same size, transparent where nothing spoke for the verdict.
    """

    utterance_id: str
    attack_id: str | None
    speaker_id: str | None
    score: float
    probability: float
    duration_s: float
    shown_s: float
    audio: str | None
    audio_note: str
    spectrogram: str
    evidence: str


@dataclass(frozen=True)
class Corpus:
    """Where the audio is.

    Attributes:
        root: Folder that the paths start from.
        paths: By utterance id, relative to the root.
    """

    root: Path
    paths: dict[str, str]


def hardest(table: ScoreTable, threshold: float, count: int) -> tuple[list[int], list[int]]:
    """The worst errors.

    Args:
        table: The scores.
        threshold: Score from which a clip is called bona fide.
        count: At most this many of each.

    Returns:
        Places in the table: spoof accepted, the highest score first, and bona fide rejected, the lowest first; equal scores
        by utterance id.
    """
    accepted = np.flatnonzero((table.labels == 0) & (table.scores >= threshold)).tolist()
    rejected = np.flatnonzero((table.labels == 1) & (table.scores < threshold)).tolist()
    names, scores = table.utterance_ids, table.scores
    accepted.sort(key=lambda i: (-scores[i], names[i]))
    rejected.sort(key=lambda i: (scores[i], names[i]))
    return accepted[:count], rejected[:count]


def hard_clips(
    places: Iterable[int],
    table: ScoreTable,
    store: FeatureStore,
    bundle: Bundle,
    corpus: Corpus | None,
    prior: float,
) -> list[HardClip]:
    """Everything the page shows of some clips.

    Args:
        places: In the table.
        table: The scores.
        store: With the clips' spectrograms.
        bundle: The model that scored them.
        corpus: Where the audio is, or None where there is none.
        prior: Probability of bona fide beforehand.
    """
    result = []
    for place in places:
        name, score = str(table.utterance_ids[place]), float(table.scores[place])
        row = store.row(name)
        features = store.get(name).features
        accepted = score >= bundle.threshold
        evidence = grad_cam(bundle.network, features, for_bona_fide=accepted)
        n_shown = _excerpt_frames(len(features), bundle.features)
        audio, note = clip_audio(name, row["sha256"], corpus, bundle.features)
        result.append(
            HardClip(
                utterance_id=name,
                attack_id=row["attack_id"],
                speaker_id=row["speaker_id"],
                score=score,
                probability=float(probability(score, prior)),
                duration_s=row["duration_s"],
                shown_s=min(row["duration_s"], EXCERPT_S),
                audio=audio,
                audio_note=note,
                spectrogram=png_uri(spectrogram_picture(features[:n_shown])),
                evidence=png_uri(evidence_picture(evidence[:n_shown], for_bona_fide=accepted)),
            )
        )
    return result


def clip_audio(utterance_id: str, sha256: str, corpus: Corpus | None, params: FeatureParams) -> tuple[str | None, str]:
    """The audio of a clip as a `data:` URI, or None and the reason.

    A small FLAC file is taken as it is; any other format, and the excerpt of a longer clip, becomes 16-bit mono FLAC at the
    front end's sample rate.

    Args:
        utterance_id: The clip.
        sha256: Of the file that was scored, hexadecimal.
        corpus: Where the audio is, or None where there is none.
        params: Front end.
    """
    if corpus is None or utterance_id not in corpus.paths:
        return None, "no audio: the corpus was not at hand when this page was made"
    try:
        data = (corpus.root / corpus.paths[utterance_id]).read_bytes()
    except OSError:
        return None, "no audio: its file was not at hand when this page was made"
    if hashlib.sha256(data).hexdigest() != sha256:
        return None, "no audio: its file has changed since it was scored"
    if not (data.startswith(b"fLaC") and len(data) <= LARGEST_FILE):
        try:
            data = _flac(
                decode_bytes(data, params).waveform[: round(EXCERPT_S * params.sample_rate)], params.sample_rate
            )
        except AudioError as error:
            return None, f"no audio: {error.reason}"
    return data_uri("audio/flac", data), ""


def spectrogram_picture(features: npt.NDArray[np.floating[Any]]) -> ByteArray:
    """A spectrogram in grey, loud is dark, as phoneticians print it.

    Args:
        features: [frames, n_bins] in dB.

    Returns:
        uint8 [n_bins, frames, 4], RGBA, the lowest band in the last row.
    """
    values = features.astype(np.float64)
    top = float(np.quantile(values, 0.999))
    loudness = ((values - top) / _DYNAMIC_RANGE_DB + 1).clip(0, 1)
    grey = np.round(255 * (1 - loudness)).astype(np.uint8).T[::-1]
    return np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1)


def evidence_picture(evidence: npt.NDArray[np.floating[Any]], *, for_bona_fide: bool) -> ByteArray:
    """A map of evidence in the colour of the class it speaks for.

    Args:
        evidence: [frames, n_bins] in [0, 1].
        for_bona_fide: The class.

    Returns:
        uint8 [n_bins, frames, 4], RGBA, transparent where there is no evidence.
    """
    picture = np.empty((*evidence.T.shape, 4), dtype=np.uint8)
    picture[..., :3] = _BONA_FIDE_RGB if for_bona_fide else _SPOOF_RGB
    # Steps of four: the last digit of a float must not change the file.
    picture[..., 3] = (np.round(evidence.T[::-1] * _OVERLAY_STRENGTH * 255 / 4) * 4).astype(np.uint8)
    return picture


def frequency_ticks(params: FeatureParams) -> list[tuple[int, str]]:
    """Labels of a spectrogram's frequency axis, from its lowest bin to its highest.

    Args:
        params: The front end.

    Returns:
        Pairs of (height in per cent of the picture, frequency with its unit).
    """
    frequencies = make_front_end(params).frequencies()
    ticks = []
    for height in (0, 50, 100):
        frequency = frequencies[round(height / 100 * (len(frequencies) - 1))]
        ticks.append((height, f"{frequency:.0f} Hz" if frequency < 1000 else f"{frequency / 1000:.1f} kHz"))
    return ticks


def png_uri(picture: ByteArray) -> str:
    """A picture, uint8 [height, width, 4] RGBA, as a `data:` URI."""
    from matplotlib.image import imsave

    file = io.BytesIO()
    # Without the library's version in it, a picture changes when what it shows does.
    imsave(file, picture, format="png", metadata={"Software": ""})
    return data_uri("image/png", file.getvalue())


def _excerpt_frames(n_frames: int, params: FeatureParams) -> int:
    return min(n_frames, 1 + round(EXCERPT_S * params.sample_rate / params.hop_length))


def _flac(waveform: npt.NDArray[np.float32], sample_rate: int) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, waveform, sample_rate, "PCM_16", format="FLAC")
    return file.getvalue()


def data_uri(kind: str, data: bytes) -> str:
    """Bytes of a media type as a `data:` URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
