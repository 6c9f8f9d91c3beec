"""The hardest clips: which they are, with their audio, their spectrogram and the evidence in it.

Sound and picture of a clip begin at its start and last `EXCERPT_S` at most, which limits the size of the page for any corpus.
Audio that is missing or has changed is replaced by a note; it is not an error.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from model.bundle import Bundle
from model.metrics import ScoreTable, probability
from model.report.gradcam import grad_cam
from model.report.pictures import data_uri, evidence_picture, png_uri, spectrogram_picture
from pipeline.audio.decode import decode_bytes
from pipeline.audio.limits import most_bytes
from pipeline.corpus.audio_files import open_audio_files
from pipeline.corpus.places import CorpusPath
from pipeline.errors import AudioError
from pipeline.frontends import FeatureParams
from pipeline.store import FeatureStore

EXCERPT_S: Final = 12.0
LARGEST_FILE: Final = 400_000
"""Bytes up to which a FLAC file is used whole; ten clips are then below 6 MB in base64."""


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
        shown_s: Duration of sound and pictures, at most `EXCERPT_S`.
        audio: `data:` URI, or None.
        audio_note: Why there is no audio, or "".
        spectrogram: `data:` URI of a grey picture, time from left to right, low bands at the bottom.
        evidence: `data:` URI of a picture of the same size, transparent where nothing was evidence for the verdict.
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
class ClipAudio:
    """The audio files of a corpus.

    Attributes:
        root: Folder that the paths start from.
        paths: By utterance id, relative to the root.
    """

    root: CorpusPath
    paths: Mapping[str, str]


class ManifestPaths(Mapping[str, str]):
    """The paths of a manifest by utterance id, searched for where they are used: the page shows a few clips of any corpus.

    Args:
        manifest: Table with the columns of `MANIFEST_SCHEMA`.
    """

    def __init__(self, manifest: pa.Table) -> None:
        self._columns = manifest.select(["utterance_id", "path"])

    def __getitem__(self, utterance_id: str) -> str:
        row = pc.index(self._columns["utterance_id"], utterance_id).as_py()
        if row < 0:
            raise KeyError(utterance_id)
        return str(self._columns["path"][row].as_py())

    def __iter__(self) -> Iterator[str]:
        return (name.as_py() for name in self._columns["utterance_id"])

    def __len__(self) -> int:
        return int(self._columns.num_rows)


def hardest(table: ScoreTable, threshold: float, count: int) -> tuple[list[int], list[int]]:
    """The errors with the most extreme scores.

    Args:
        table: The scores.
        threshold: Score from which a clip is called bona fide.
        count: At most this many of each kind.

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
    audio: ClipAudio | None,
    prior: float,
) -> list[HardClip]:
    """Everything that the page shows of some clips.

    Args:
        places: Places of the clips in the table.
        table: The scores.
        store: The feature store with the spectrograms.
        bundle: The model that scored the clips.
        audio: The audio files, or None if there are none.
        prior: Probability of bona fide before the clip is heard.
    """
    result = []
    for place in places:
        name, score = str(table.utterance_ids[place]), float(table.scores[place])
        row = store.row(name)
        features = store.get(name).features
        accepted = score >= bundle.threshold
        evidence = grad_cam(bundle.network, features, for_bona_fide=accepted)
        n_shown = _excerpt_frames(len(features), bundle.features)
        sound, note = clip_audio(name, row["sha256"], audio, bundle.features)
        result.append(
            HardClip(
                utterance_id=name,
                attack_id=row["attack_id"],
                speaker_id=row["speaker_id"],
                score=score,
                probability=float(probability(score, prior)),
                duration_s=row["duration_s"],
                shown_s=min(row["duration_s"], EXCERPT_S),
                audio=sound,
                audio_note=note,
                spectrogram=png_uri(spectrogram_picture(features[:n_shown])),
                evidence=png_uri(evidence_picture(evidence[:n_shown], for_bona_fide=accepted)),
            )
        )
    return result


def clip_audio(
    utterance_id: str, sha256: str, audio: ClipAudio | None, params: FeatureParams
) -> tuple[str | None, str]:
    """The audio of a clip as a `data:` URI, or None and the reason.

    A small FLAC file is used as it is. Any other file is decoded, and its excerpt becomes 16-bit mono FLAC at the sample rate
    of the front end.

    Args:
        utterance_id: The clip.
        sha256: Checksum of the file that was scored, hexadecimal.
        audio: The audio files, or None if there are none.
        params: Front end.
    """
    if audio is None or utterance_id not in audio.paths:
        return None, "no audio: the corpus was not available when this page was made"
    try:
        files = open_audio_files(audio.root)
        data = files.read(audio.paths[utterance_id], most_bytes(params.max_duration_s))
    except AudioError:
        return None, "no audio: its file was not available when this page was made"
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


def _excerpt_frames(n_frames: int, params: FeatureParams) -> int:
    return min(n_frames, 1 + round(EXCERPT_S * params.sample_rate / params.hop_length))


def _flac(waveform: npt.NDArray[np.float32], sample_rate: int) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, waveform, sample_rate, "PCM_16", format="FLAC")
    return file.getvalue()
