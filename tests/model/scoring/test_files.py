import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from model.bundle import Bundle
from model.dataset import scoring_batches
from model.detector import Detector, FileScore
from model.errors import ModelError
from model.metrics import MetricsError, abstain_band
from model.scoring.files import find_files
from model.scoring.scorer import ClipScorer, labelled_scores, split_trials
from pipeline.storage import open_storage
from pipeline.store import FeatureStore
from tests.support.tone_store import tone
from tests.support.trained_model import Trained

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two clips of the eval split as files, the first bona fide, and a third that is no audio."""
    folder = tmp_path / "recordings"
    (folder / "more").mkdir(parents=True)
    soundfile.write(folder / "LA_E_0000003.flac", tone("LA_E_0000003", True), 16000, subtype="PCM_16")
    soundfile.write(folder / "more" / "LA_E_0000004.wav", tone("LA_E_0000004", False), 16000, subtype="PCM_16")
    (folder / "notes.txt").write_text("no audio")
    return folder


def score_files(bundle: Bundle, paths: list[Path], prior: float, error_rate: float, batch_size: int) -> list[FileScore]:
    """Without the checks, which call every tone uncertain."""
    detector = Detector(bundle, prior, error_rate, checks=False, batch_size=batch_size)
    return list(detector.score_files(paths))


def by_file(output: str) -> dict[str, dict[str, Any]]:
    """The records of the JSON on standard output; a note on standard error may follow."""
    return {Path(file["path"]).name: file for file in json.JSONDecoder().raw_decode(output)[0]}


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_a_score_does_not_depend_on_the_batch(bundle: Bundle, tone_store: FeatureStore, batch_size: int) -> None:
    scorer = ClipScorer(bundle.network)

    together = scorer.logits(scoring_batches(tone_store, "eval", scorer.n_frames, batch_size))

    assert len(together) == 24
    for name, logit in together.items():
        assert logit == pytest.approx(scorer.logit(tone_store.get(name).features, 2), abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_clips_that_share_a_batch_keep_their_order_and_their_scores(
    bundle: Bundle, tone_store: FeatureStore, batch_size: int
) -> None:
    scorer = ClipScorer(bundle.network)
    clips = [example.features for example in tone_store.select(split="eval", copy=0)]
    clips.insert(3, np.concatenate(clips))  # many windows among clips of one or two

    together = list(scorer.each_logit(clips, batch_size))

    assert together == pytest.approx([scorer.logit(clip, 2) for clip in clips], abs=1e-5)
    assert list(scorer.each_logit([], batch_size)) == []


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_files_are_yielded_in_order_whatever_the_batch(bundle: Bundle, recordings: Path, batch_size: int) -> None:
    good, bad = recordings / "LA_E_0000003.flac", recordings / "notes.txt"
    paths = [bad, good, bad, bad, recordings / "more" / "LA_E_0000004.wav", good, bad]

    found = score_files(bundle, paths, 0.5, 0.05, batch_size)

    assert [file.path for file in found] == [str(path) for path in paths]
    assert [file.problem is not None for file in found] == [path == bad for path in paths]


def test_a_score_does_not_depend_on_the_other_clips(bundle: Bundle, tone_store: FeatureStore) -> None:
    scorer = ClipScorer(bundle.network)
    windows = tf.concat([windows for _, windows in scoring_batches(tone_store, "eval", scorer.n_frames, 64)], axis=0)
    loud = tf.fill(windows[:5].shape, 30.0)

    def logits(*parts: tf.Tensor) -> list[float]:
        batch = tf.concat(parts, axis=0)
        names = tf.constant([str(number) for number in range(len(batch))])
        return list(scorer.logits([(names, batch)]).values())

    assert np.allclose(logits(windows[:5], windows[5:])[:5], logits(windows[:5], loud)[:5], atol=1e-5)


def test_scores_are_joined_by_utterance_id_whatever_the_order(tone_store: FeatureStore) -> None:
    trials = split_trials(tone_store, "dev")
    scores = {row["utterance_id"]: float(number) for number, row in enumerate(trials)}
    shuffled = dict(sorted(scores.items(), key=lambda item: hash(item[0])))

    table = labelled_scores(reversed(trials), shuffled, "dev")

    expected = {row["utterance_id"]: row["label"] for row in trials}
    for name, score, label in zip(table.utterance_ids, table.scores, table.labels, strict=True):
        assert score == scores[name]
        assert label == expected[name]


def test_a_clip_without_a_score_is_named(tone_store: FeatureStore) -> None:
    trials = split_trials(tone_store, "dev")
    scores = {row["utterance_id"]: float(number) for number, row in enumerate(trials[1:])}

    with pytest.raises(MetricsError, match=trials[0]["utterance_id"]):
        labelled_scores(trials, scores, "dev")


def test_files_get_the_scores_that_the_evaluation_gives_their_clips(
    trained: Trained, bundle: Bundle, recordings: Path
) -> None:
    scorer = ClipScorer(bundle.network)
    logits = scorer.logits(scoring_batches(trained.store, "eval", scorer.n_frames, 8))

    for file in score_files(bundle, find_files([str(recordings)]).paths, 0.5, 0.05, 8):
        expected = float(bundle.calibration.apply(logits[Path(file.path).stem]))
        assert file.score == pytest.approx(expected, abs=1e-5)


def test_probability_is_that_of_the_stated_prior(bundle: Bundle, recordings: Path) -> None:
    path = recordings / "LA_E_0000003.flac"

    for prior in (0.5, 0.01):
        (file,) = score_files(bundle, [path], prior, 0.05, 8)
        assert file.score is not None
        odds = np.exp(file.score) * prior / (1 - prior)
        assert file.probability == pytest.approx(odds / (1 + odds))


def test_the_verdict_follows_the_abstain_band_of_dev(bundle: Bundle, recordings: Path) -> None:
    paths = find_files([str(recordings)]).paths

    for rate in (0.0, 0.05, 0.4):
        band = abstain_band(bundle.development.bonafide, bundle.development.spoof, rate)
        for file in score_files(bundle, paths, 0.5, rate, 8):
            expected = {1: "bona fide", 0: "spoof", -1: "uncertain"}[int(band.verdicts(file.score))]
            assert file.verdict == expected


def test_it_tells_the_tones_apart(trained: Trained, recordings: Path, run_bonafide: Run) -> None:
    code, output = run_bonafide(
        "score", recordings, "--model", trained.model, "--no-checks", "--abstain-error-rate", "0.4", "--json"
    )

    files = by_file(output)
    assert code == 0
    assert list(files) == ["LA_E_0000003.flac", "LA_E_0000004.wav"], "notes.txt is left out"
    assert "left out in the folders: 1 file without the ending of an audio file" in output
    assert files["LA_E_0000003.flac"]["verdict"] == "bona fide"
    assert files["LA_E_0000004.wav"]["verdict"] == "spoof"
    assert files["LA_E_0000003.flac"]["score"] > files["LA_E_0000003.flac"]["threshold"]


def test_a_bad_file_is_reported_and_the_others_are_scored(
    trained: Trained, recordings: Path, run_bonafide: Run
) -> None:
    good, bad, gone = recordings / "LA_E_0000003.flac", recordings / "notes.txt", recordings / "gone.wav"

    code, output = run_bonafide("score", bad, good, gone, "--model", trained.model, "--json")

    files = by_file(output)
    assert code == 1
    assert files["notes.txt"]["score"] is None
    assert files["notes.txt"]["problem"].startswith("unsupported_format")
    assert files["gone.wav"]["problem"].startswith("missing")
    assert files[good.name]["score"] is not None
    assert files[good.name]["problem"] is None


def test_the_table_for_people_names_files_and_verdicts(trained: Trained, recordings: Path, run_bonafide: Run) -> None:
    _, output = run_bonafide(
        "score", recordings / "more", "--model", trained.model, "--no-checks", "--abstain-error-rate", "0.4"
    )

    assert "spoof" in output
    assert "%" in output


def test_a_folder_holds_any_format_and_dot_files_are_counted(recordings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    (folder / ".cache").mkdir(parents=True)
    for name in ("a.ogg", "b.M4A", "c.aiff", "._a.ogg", ".cache/d.flac", "notes.txt"):
        (folder / name).write_bytes(b"any")

    found = find_files([str(folder)])

    assert [path.name for path in found.paths] == ["a.ogg", "b.M4A", "c.aiff"]
    assert (found.hidden, found.others) == (2, 1)
    assert "2 dot files, 1 file without" in str(found.left_out())
    assert find_files([str(recordings / "more")]).left_out() is None


def test_folders_patterns_and_files_can_be_mixed(recordings: Path) -> None:
    found = find_files(
        [str(recordings / "more"), str(recordings / "*.flac"), str(recordings / "**" / "*.wav"), "x.wav"]
    )

    assert [path.name for path in found.paths] == ["LA_E_0000004.wav", "LA_E_0000003.flac", "x.wav"]


@pytest.mark.parametrize("argument", ["", "*.ogg"])
def test_a_folder_or_pattern_without_audio_is_an_error(tmp_path: Path, argument: str) -> None:
    with pytest.raises(ModelError, match="holds no"):
        find_files([str(tmp_path / argument)])


def test_addresses_in_a_bucket_name_files_folders_and_patterns(object_url: str) -> None:
    storage = open_storage(object_url)
    for name in ("b.flac", "a/c.wav", "a/.d.wav", "notes.txt"):
        storage.write(name, b"x")
    found = find_files([object_url, f"{object_url}/*.flac", f"{object_url}/a/c.wav", f"{object_url}/gone.wav"])
    assert [str(path) for path in found.paths] == [f"{object_url}/{name}" for name in ("a/c.wav", "b.flac", "gone.wav")]
    assert [str(path) for path in found.missing()] == [f"{object_url}/gone.wav"]
    assert (found.hidden, found.others) == (1, 1)
    with pytest.raises(ModelError, match="only the last part of an address may be a pattern"):
        find_files([f"{object_url}/*/c.wav"])
    with pytest.raises(ModelError, match="the pattern holds no audio file"):
        find_files([f"{object_url}/*.mp3"])
