"""The shortcut audit: a detector that listens to silence is found out, one that listens to the voice is not."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

import tests.support.tone_store as tones
from model.errors import ModelError
from model.evaluation.audio import Audio
from model.evaluation.shortcut_audit import compare_trimmed, correlations, trimmed_logits
from model.metrics import ScoreTable, score_table
from pipeline.audio.measures import measure, trim_silence
from pipeline.corpus.schema import MANIFEST_SCHEMA
from tests.support.synthetic_store import manifest_row

RATE = 16_000
N_CLIPS = 40


class SilenceListener:
    """A detector whose score is the number of quiet frames, beyond the few that any clip's edge may have."""

    def logit(self, features: np.ndarray, batch_size: int) -> float:
        return float(max(0, (features.max(axis=1) < -80).sum() - 5))


class PitchListener:
    """A detector whose score is how much louder the low bins are than the high ones."""

    def logit(self, features: np.ndarray, batch_size: int) -> float:
        loud = features[features.max(axis=1) > -80].astype(np.float64)
        return float(loud[:, :6].mean() - loud[:, 6:].mean())


def write_clips(folder: Path) -> Audio:
    """Bona fide clips, a low tone, begin with silence; spoofed ones, a high tone, do not."""
    rows = []
    for number in range(N_CLIPS):
        label = number % 2
        draw = np.random.default_rng(number)
        seconds = np.arange(int(draw.integers(6000, 9000))) / RATE
        silence = np.zeros(int(draw.integers(3000, 6000)) if label else 0)
        waveform = np.concatenate([silence, 0.3 * np.sin(2 * np.pi * (400 if label else 2500) * seconds)])
        row = manifest_row("eval", number, label=label, attack_id=None if label else "A07")
        path = folder / row["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, waveform, RATE, "PCM_16", format="FLAC")
        rows.append(row | {"sha256": None})
    return Audio(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), folder)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def bundle() -> Any:
    features = tones.tone_params().features
    return SimpleNamespace(features=features.model_copy(update={"silence_db": -200.0}))


def table_of(audio: Audio, logits: dict[str, float]) -> ScoreTable:
    rows = audio.manifest.to_pylist()
    # A detector of counts has ties; the tiny slope keeps scores apart without changing their order between classes.
    scores = [logits[row["utterance_id"]] + 1e-9 * number for number, row in enumerate(rows)]
    return score_table(
        [row["utterance_id"] for row in rows],
        scores,
        [row["label"] for row in rows],
        [row["attack_id"] or "-" for row in rows],
        ["-"] * len(rows),
        "eval",
    )


def audit(listener: Any, bundle: Any, clips: Audio) -> dict[str, float]:
    ids = clips.manifest["utterance_id"].to_pylist()
    whole = {name: listener.logit(features_of(clips, bundle, name), 1) for name in ids}
    trimmed = trimmed_logits(bundle, listener, clips, ids, 1)
    return compare_trimmed(table_of(clips, whole), table_of(clips, trimmed.logits), 50, None, 0)


def features_of(clips: Audio, bundle: Any, name: str) -> np.ndarray:
    from pipeline.audio.decode import decode
    from pipeline.frontends import make_front_end

    row = next(row for row in clips.manifest.to_pylist() if row["utterance_id"] == name)
    return make_front_end(bundle.features)(decode(clips.root / row["path"], bundle.features).waveform)


def test_detector_that_listens_to_silence_is_found_out(clips: Audio, bundle: Any) -> None:
    figures = audit(SilenceListener(), bundle, clips)
    assert figures["eer_change"] > 0.3
    assert figures["eer_change_ci95_low"] > 0
    assert figures["eer_ci95_low"] <= figures["eer"] <= figures["eer_ci95_high"]


def test_detector_that_listens_to_the_voice_is_not_accused(clips: Audio, bundle: Any) -> None:
    figures = audit(PitchListener(), bundle, clips)
    assert figures["eer"] == 0
    assert figures["eer_change"] == 0


def test_clip_of_which_too_little_is_left_is_scored_as_it_is(tmp_path: Path, bundle: Any) -> None:
    row = manifest_row("eval", 0) | {"sha256": None}
    (tmp_path / row["path"]).parent.mkdir(parents=True, exist_ok=True)
    blip = np.zeros(RATE)
    blip[8000:8400] = 0.5 * np.random.default_rng(0).uniform(-1, 1, 400)
    soundfile.write(tmp_path / row["path"], blip, RATE, "PCM_16", format="FLAC")
    audio = Audio(pa.Table.from_pylist([row], schema=MANIFEST_SCHEMA), tmp_path)
    trimmed = trimmed_logits(
        SimpleNamespace(features=bundle.features.model_copy(update={"min_duration_s": 0.5})),
        SilenceListener(),
        audio,
        [row["utterance_id"]],
        1,
    )
    assert trimmed.n_unchanged == 1
    assert trimmed.logits[row["utterance_id"]] > 50


def test_clip_that_is_gone_or_changed_is_named(clips: Audio, bundle: Any, tmp_path: Path) -> None:
    name = clips.manifest["utterance_id"][0].as_py()
    with pytest.raises(ModelError, match=f"{name}.*missing"):
        trimmed_logits(bundle, SilenceListener(), replace(clips, root=tmp_path), [name], 1)
    other = pa.Table.from_pylist(
        [row | {"sha256": "0" * 64} for row in clips.manifest.to_pylist()], schema=MANIFEST_SCHEMA
    )
    with pytest.raises(ModelError, match=f"{name}.*changed"):
        trimmed_logits(bundle, SilenceListener(), Audio(other, clips.root), [name], 1)


def test_correlation_has_the_sign_of_the_tie_within_each_class(clips: Audio) -> None:
    rows = [
        row
        | {"duration_s": number + 1.0, "level_db": -number, "leading_silence_s": 0.0, "trailing_silence_s": number % 3}
        for number, row in enumerate(clips.manifest.to_pylist())
    ]
    # The score grows with duration in both classes, while the classes themselves lie the other way round.
    scores = {row["utterance_id"]: row["duration_s"] - 1000 * row["label"] for row in rows}
    found = correlations(table_of(clips, scores), rows)
    assert found["duration_s"] == pytest.approx({"bona_fide": 1.0, "spoof": 1.0})
    assert found["level_db"] == pytest.approx({"bona_fide": -1.0, "spoof": -1.0})
    assert "leading_silence_s" not in found
    assert abs(found["trailing_silence_s"]["spoof"]) < 0.5


def test_trimming_cuts_both_ends_and_nothing_else() -> None:
    voice = (0.3 * np.sin(np.arange(RATE) / 5)).astype(np.float32)
    padded = np.concatenate([np.zeros(4000, np.float32), voice, np.zeros(8000, np.float32)])
    cut = trim_silence(padded, RATE)
    assert len(voice) <= len(cut) < len(voice) + 2 * 0.025 * RATE
    found = measure(cut, RATE)
    assert found.leading_silence_s < 0.02
    assert found.trailing_silence_s < 0.02
    silence = np.zeros(RATE, np.float32)
    assert len(trim_silence(silence, RATE)) == RATE
