"""Long recordings, silence in them, the score over time, and how results reach Python and the command line."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import model.scoring.sources as sources
from model.bundle import Bundle
from model.detector import Detector, Samples, Source
from model.scoring.results import WindowScore, stretches
from model.scoring.scorer import Cut
from pipeline.errors import AudioError
from pipeline.frontends import make_front_end
from tests.support.tone_store import TONES_HZ
from tests.support.trained_model import Trained

Run = Callable[..., tuple[int, str]]
RATE = 16_000


@pytest.fixture
def short_limit(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """The model, with recordings above a second scored in parts of about two seconds."""
    monkeypatch.setattr(sources, "PART_S", 2.0)
    return replace(bundle, features=bundle.features.model_copy(update={"max_duration_s": 1.0}))


def sound(seconds: float, frequency: float = TONES_HZ[1], seed: int = 1, rate: int = RATE) -> np.ndarray:
    """A tone in noise as in the store of tones, float32 [samples]."""
    count = round(seconds * rate)
    noise = np.random.default_rng(seed).standard_normal(count)
    return (0.1 * np.sin(2 * np.pi * frequency * np.arange(count) / rate) + 0.05 * noise).astype(np.float32)


def unchecked(bundle: Bundle) -> Detector:
    return Detector(bundle, checks=False)


def test_a_long_recording_has_the_frames_of_the_whole_whatever_its_parts(short_limit: Bundle) -> None:
    waveform = sound(9.3)
    detector = unchecked(short_limit)

    result = detector.score(waveform, RATE)

    features = make_front_end(short_limit.features)(waveform).astype(np.float16)
    scorer, hop_s = detector._scorer.scorers[0], short_limit.features.hop_length / RATE
    starts = [round(window.start_s / hop_s) for window in result.windows]
    places = np.array(starts)[:, np.newaxis] + np.arange(scorer.n_frames)
    (output,) = scorer.each_output([Cut(features, places)], 8)
    expected = short_limit.calibration.apply(output.logits)
    assert [window.score for window in result.windows] == pytest.approx(expected.tolist(), abs=0.02)
    assert result.score == pytest.approx(float(short_limit.calibration.apply(output.logit)), abs=0.02)


def test_windows_of_a_long_recording_overlap_by_half_and_cover_it(short_limit: Bundle) -> None:
    result = unchecked(short_limit).score(sound(9.3), RATE)

    starts = np.array([window.start_s for window in result.windows])
    assert result.windows[0].start_s == 0.0
    assert result.windows[-1].end_s == pytest.approx(9.3, abs=0.011)
    assert np.diff(starts[:-1]) == pytest.approx(0.25, abs=1e-6)
    assert 0 < starts[-1] - starts[-2] <= 0.25
    assert result.duration_s == pytest.approx(9.3)


@pytest.mark.parametrize(("rate", "subtype"), [(44_100, "PCM_16"), (8_000, "FLOAT"), (16_000, "PCM_24")])
def test_a_long_file_scores_as_its_samples(short_limit: Bundle, tmp_path: Path, rate: int, subtype: str) -> None:
    waveform = sound(6.0, rate=rate)
    path = tmp_path / "long.wav"
    soundfile.write(path, np.stack([waveform, waveform], axis=1), rate, subtype)
    detector = unchecked(short_limit)

    result, expected = detector.score(path), detector.score(waveform, rate)

    assert result.score == pytest.approx(expected.score, abs=0.02)
    assert len(result.windows) == len(expected.windows)
    assert result.score == detector.score(path.read_bytes()).score


def test_a_stretch_of_another_class_is_found_in_a_long_recording(short_limit: Bundle) -> None:
    waveform = np.concatenate([sound(6.0), sound(4.0, TONES_HZ[0], 2), sound(8.0, seed=3)])

    result = unchecked(short_limit).score(waveform, RATE)

    assert result.verdict == "bona fide"
    (stretch,) = result.suspicious
    assert stretch.start_s == pytest.approx(6.0, abs=1.1)
    assert stretch.end_s == pytest.approx(10.0, abs=1.1)


def test_silence_within_a_long_recording_has_no_windows_and_silence_alone_no_score(short_limit: Bundle) -> None:
    silence = np.zeros(8 * RATE, np.float32)
    detector = unchecked(short_limit)

    result = detector.score(np.concatenate([sound(5.0), silence, sound(5.0, seed=2)]), RATE)
    (nothing,) = detector.score_files([Source("silence", Samples(silence, RATE))])

    assert result.duration_s == pytest.approx(18.0)
    assert not [window for window in result.windows if window.start_s > 7.5 and window.end_s < 10.5]
    assert str(nothing.problem).startswith("silent")
    assert nothing.verdict is None


def test_a_long_file_that_is_cut_has_no_score(short_limit: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, sound(6.0), RATE, "PCM_16")
    path.write_bytes(path.read_bytes()[:-5000])

    with pytest.raises(AudioError) as caught:
        unchecked(short_limit).score(path)
    assert caught.value.reason == "truncated"


def test_long_and_short_recordings_are_yielded_in_order(short_limit: Bundle) -> None:
    lengths = [0.5, 5.0, 0.7, 0.05, 4.0, 0.6]
    items = [Source(str(seconds), Samples(sound(seconds), RATE)) for seconds in lengths]

    found = list(unchecked(short_limit).score_files(items))

    assert [record.path for record in found] == [str(seconds) for seconds in lengths]
    assert [record.duration_s for record in found if record.problem is None] == pytest.approx([0.5, 5, 0.7, 4, 0.6])
    assert str(found[3].problem).startswith("too_short")


def test_samples_of_any_type_are_those_of_the_file(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound(0.8), RATE, "PCM_16")
    integers = soundfile.read(path, dtype="int16")[0]
    detector = unchecked(bundle)

    expected = detector.score(path).score

    assert detector.score(integers, RATE).score == expected
    assert detector.score(integers / 32768.0, RATE).score == expected
    assert detector.score(np.stack([integers, integers], axis=1), RATE).score == expected
    with pytest.raises(TypeError, match="sample_rate"):
        detector.score(integers)
    with pytest.raises(AudioError, match="unsupported_format"):
        detector.score(np.zeros((2, 2, 2)), RATE)


def test_the_window_scores_of_a_clip_are_those_of_its_score(bundle: Bundle) -> None:
    result = unchecked(bundle).score(sound(1.7), RATE)

    scores = np.array([window.score for window in result.windows])
    assert len(scores) == 4
    assert result.score == pytest.approx(scores.mean(), abs=1e-5), "the calibration is an affine map"
    assert result.windows[-1].end_s == pytest.approx(1.7, abs=0.011)


def test_stretches_join_neighbours_and_ignore_a_single_low_window() -> None:
    scores = [3.0] * 10 + [-9.0] + [3.0] * 10 + [-3.0] * 8 + [3.0] * 10
    windows = [WindowScore(number / 2, number / 2 + 1, score) for number, score in enumerate(scores)]

    (found,) = stretches(windows, -1.0, 2.0)

    assert found.start_s >= 10.0
    assert found.score < -1.0
    assert stretches(windows[:10], -1.0, 2.0) == ()


def test_standard_input_is_scored_beside_files(
    trained: Trained, tmp_path: Path, run_bonafide: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound(0.8), RATE, "PCM_16")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))

    code, output = run_bonafide("score", "-", path, "--model", trained.model, "--no-checks", "--json")

    first, second = json.loads(output)
    assert code == 0
    assert (first["path"], second["path"]) == ("-", str(path))
    assert first["score"] == second["score"]


@pytest.fixture
def two_files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "one.wav", tmp_path / "two.wav"]
    for number, path in enumerate(paths):
        soundfile.write(path, sound(0.8, TONES_HZ[1 - number]), RATE, "PCM_16")
    return paths


def test_every_form_has_the_same_scores(
    trained: Trained, two_files: list[Path], tmp_path: Path, run_bonafide: Run
) -> None:
    table, lines = tmp_path / "more" / "scores.csv", tmp_path / "scores.jsonl"
    options = ["--model", trained.model, "--no-checks", "--csv", table, "--jsonl", lines]

    _, asvspoof = run_bonafide("score", *two_files, *options, "--format", "asvspoof")
    _, text = run_bonafide("score", *two_files, "--model", trained.model, "--no-checks")

    records = [json.loads(line) for line in lines.read_text().splitlines()]
    scores = [record["score"] for record in records]
    assert [float(line.split()[1]) for line in asvspoof.splitlines()] == scores
    assert [line.split()[0] for line in asvspoof.splitlines()] == ["one", "two"]
    rows = [line.split(",") for line in table.read_text().splitlines()]
    assert [row[rows[0].index("score")] for row in rows[1:]] == [repr(score) for score in scores]
    assert all(f"{score:+.2f}" in text for score in scores)
    terms = records[0]["terms"]
    assert terms["uncertain_low"] <= terms["threshold"] <= terms["uncertain_high"]
    assert terms["trials"] == {
        "dev_bonafide": 8,
        "dev_spoof": 16,
        "folds": 0,
        "held_out_bonafide": 0,
        "held_out_spoof": 0,
    }
    assert f"{terms['threshold']:+.2f}" in text
    assert "8 bona fide and 16 spoof trials of dev" in text


def test_exit_codes_tell_scripts_what_happened(trained: Trained, two_files: list[Path], run_bonafide: Run) -> None:
    options = ["--model", trained.model, "--no-checks"]

    assert run_bonafide("score", two_files[0], "--require-bona-fide", *options)[0] == 0
    assert run_bonafide("score", *two_files, "--require-bona-fide", *options)[0] == 3
    assert run_bonafide("score", *two_files, "gone.wav", "--require-bona-fide", *options)[0] == 1
    assert run_bonafide("score", two_files[0], "--format", "xml", *options)[0] == 2


def test_missing_files_are_told_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    script = (
        "import sys, bonafide\nsys.argv = ['bonafide', 'score', 'gone.wav']\n"
        "try:\n    bonafide.main()\nexcept SystemExit as end:\n    print(end.code, 'tensorflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["1", "False"]
    assert "gone.wav: no such file" in done.stderr


def test_a_picture_of_each_recording_is_written(
    trained: Trained, two_files: list[Path], tmp_path: Path, run_bonafide: Run
) -> None:
    folder = tmp_path / "pictures"
    long = tmp_path / "more" / "one.wav"
    long.parent.mkdir()
    soundfile.write(long, sound(14.0), RATE, "PCM_16")

    code, _ = run_bonafide("score", *two_files, long, tmp_path, "--model", trained.model, "--explain", folder)

    assert code == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["one-2.png", "one.png", "two.png"], "a name that is taken gets a number"
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in names)
