"""The robustness table: verdicts that a condition cannot change stay, those that it must change are counted."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

import tests.support.tone_store as tones
from model.bundle import Bundle
from model.errors import ModelError
from model.evaluation.audio import Audio
from model.evaluation.conditions import CONDITIONS, Condition, seed_of
from model.evaluation.evaluate import evaluate
from model.evaluation.robustness import NotMeasured, Robustness, choose_clips, measure_robustness
from model.metrics import AbstainBand, Calibration
from pipeline.corpus.schema import MANIFEST_SCHEMA
from tests.support.parameters import ProjectParams
from tests.support.speech import speechlike
from tests.support.synthetic_store import manifest_row

RATE = 16_000
N_CLIPS = 24
BAND = AbstainBand(-12.0, -6.0, 0.05, 0.0, 0.0)
BY_NAME = {condition.name: condition for condition in CONDITIONS}


class LevelListener:
    """A detector whose score is the level of the loudest bin in dB."""

    def each_logit(self, clips: Iterable[np.ndarray], batch_size: int) -> Iterator[float]:
        return (float(features.astype(np.float64).max()) for features in clips)


class LengthListener:
    """A detector whose score is the number of frames."""

    def each_logit(self, clips: Iterable[np.ndarray], batch_size: int) -> Iterator[float]:
        return (float(len(features)) for features in clips)


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    """Bona fide clips are tones at -20 to -13 dB of full scale, spoofed ones at -40 to -33 dB."""
    folder, rows = tmp_path_factory.mktemp("clips"), []
    for number in range(N_CLIPS):
        label = number % 2
        row = manifest_row("eval", number, label=label, attack_id=None if label else f"A0{number % 3}")
        amplitude = 10.0 ** ((-20.0 if label else -40.0) / 20.0 + number / 60.0)
        path = folder / row["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        seconds = np.arange(8000 + 100 * number) / RATE
        soundfile.write(path, amplitude * np.sin(2 * np.pi * 1000.0 * seconds), RATE, "PCM_16", format="FLAC")
        rows.append(row | {"sha256": None})
    return Audio(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), folder)


@pytest.fixture
def detector() -> Any:
    features = tones.tone_params().features.model_copy(update={"silence_db": -200.0})
    return SimpleNamespace(features=features, calibration=Calibration(1.0, 0.0, 0.5), threshold=-9.0)


def measured(detector: Any, listener: Any, audio: Audio, *conditions: Condition, **options: Any) -> Robustness:
    trials = choose_clips(audio.manifest.to_pylist(), N_CLIPS)
    return measure_robustness(
        detector, listener, audio, "eval", trials, BAND, 1, conditions=conditions or CONDITIONS, **options
    )


def test_gain_moves_the_scores_of_a_detector_that_listens_to_the_level(audio: Audio, detector: Any) -> None:
    quieter = Condition("quieter", "40 dB quieter", lambda waveform, rate, seed: waveform * np.float32(0.01))
    recorded, same, lower = measured(
        detector, LevelListener(), audio, BY_NAME["gain_up"], quieter, n_resamples=50
    ).conditions
    assert (recorded.name, recorded.eer, recorded.changed) == ("unchanged", 0.0, 0.0)
    # Equal changes of level leave the order of the clips, and so the EER.
    assert same.eer == lower.eer == 0.0
    assert lower.changed == 0.5
    assert (lower.miss, lower.false_alarm) == (1.0, 0.0)
    assert (lower.uncertain, lower.certain_wrong) == (0.0, 0.5)
    assert recorded.eer_ci95 == (0.0, 0.0)


def test_what_does_not_touch_a_clip_changes_no_verdict(audio: Audio, detector: Any) -> None:
    for row in measured(detector, LevelListener(), audio, BY_NAME["44_khz"], BY_NAME["mp3"]).conditions:
        assert row.changed == 0.0
        assert row.eer == 0.0


def test_every_condition_is_in_the_table_and_lengths_are_as_stated(audio: Audio, detector: Any) -> None:
    counts: list[int] = []
    result = measured(detector, LengthListener(), audio, scored=counts.append)
    assert [row.name for row in result.conditions] == ["unchanged", *BY_NAME]
    assert result.not_measured == []
    assert sum(counts) == N_CLIPS
    [first] = (row for row in result.conditions if row.name == "first")
    assert first.eer == 0.5
    assert (result.n_bonafide, result.n_spoof) == (12, 12)
    waveform = speechlike(3 * RATE)
    for name, condition in BY_NAME.items():
        length = {"shift": 3 * RATE - 37, "middle": RATE, "first": 4800}.get(name, 3 * RATE)
        changed = condition.change(waveform, RATE, 1)
        assert len(changed) == length, name
        assert changed.dtype == np.float32, name
        np.testing.assert_array_equal(changed, condition.change(waveform, RATE, 1))
        assert len(condition.change(waveform[:20], RATE, 1)) == 20, name


def test_condition_without_its_package_is_told_and_the_others_are_measured(audio: Audio, detector: Any) -> None:
    lacking = replace(BY_NAME["aac"], missing=lambda: "av")
    result = measured(detector, LevelListener(), audio, lacking, BY_NAME["gain_up"])
    assert [row.name for row in result.conditions] == ["unchanged", "gain_up"]
    assert result.not_measured == [NotMeasured("aac", "AAC, 64 kbit/s", "av")]
    assert result.headlines()["changed_worst"] == result.conditions[1].changed
    said = result.as_dict()["not_measured"]
    assert said == [{"name": "aac", "title": "AAC, 64 kbit/s", "missing": "av"}]


@pytest.mark.parametrize(
    ("name", "decibels"), [("gain_up", 10.0), ("gain_down", -10.0), ("noise_20", 0.04), ("noise_10", 0.41)]
)
def test_level_under_a_condition_is_what_its_title_says(name: str, decibels: float) -> None:
    waveform = speechlike()
    power = np.mean(BY_NAME[name].change(waveform, RATE, 1) ** 2) / np.mean(waveform**2)
    assert 10.0 * np.log10(power) == pytest.approx(decibels, abs=0.1)


def test_parts_of_a_clip_are_the_parts_that_are_named() -> None:
    waveform = speechlike(2 * RATE)
    np.testing.assert_array_equal(BY_NAME["middle"].change(waveform, RATE, 1), waveform[8000:24000])
    np.testing.assert_array_equal(BY_NAME["first"].change(waveform, RATE, 1), waveform[:4800])
    np.testing.assert_array_equal(BY_NAME["shift"].change(waveform, RATE, 1), waveform[37:])


def trial(number: int, label: int | None, attack: str | None = None) -> dict[str, Any]:
    return {"utterance_id": f"LA_E_{number}", "label": label, "attack_id": attack}


def test_chosen_clips_are_half_bona_fide_and_even_over_attacks_and_follow_from_the_ids() -> None:
    trials = [trial(n, 1) for n in range(50)] + [trial(50 + n, 0, f"A{n % 20 // 17}") for n in range(200)]
    chosen = choose_clips(trials, 40)
    assert chosen == choose_clips(trials[::-1], 40)
    assert [row["utterance_id"] for row in chosen] == sorted(row["utterance_id"] for row in chosen)
    attacks = [row["attack_id"] for row in chosen if row["label"] == 0]
    assert (attacks.count("A0"), attacks.count("A1"), len(chosen)) == (10, 10, 40)
    assert len({seed_of(row["utterance_id"]) for row in trials}) == 250


@pytest.mark.parametrize(("count", "expected"), [(10, (5, 5)), (40, (10, 30)), (100, (10, 60))])
def test_where_one_class_is_short_the_other_fills_up(count: int, expected: tuple[int, int]) -> None:
    trials = [trial(n, 1) for n in range(10)] + [trial(10 + n, 0, "A01") for n in range(60)] + [trial(99, None)]
    labels = [row["label"] for row in choose_clips(trials, count)]
    assert (labels.count(1), labels.count(0)) == expected


def write_eval_clips(folder: Path) -> Audio:
    rows = tones.tone_manifest().to_pylist()
    for row in rows:
        name, path = row["utterance_id"], folder / row["path"]
        row["sha256"] = None
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tones.tone(name, tones.sounds_bona_fide(name)), RATE, "PCM_16", format="FLAC")
    return Audio(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), folder)


@pytest.fixture
def evaluated(tmp_path: Path, trained: Any, bundle: Bundle) -> Callable[..., Any]:
    def run(audio: Audio | None, clips: int, folder: str = "report") -> Any:
        params = trained.params.evaluate.model_copy(update={"robustness_clips": clips})
        return evaluate(trained.store, bundle, params, tmp_path / folder, audio)

    return run


def test_evaluation_writes_table_plot_and_headlines(evaluated: Callable[..., Any], tmp_path: Path) -> None:
    audio = write_eval_clips(tmp_path)
    result = evaluated(audio, 16)
    report = tmp_path / "report"
    content = json.loads((report / "robustness.json").read_text())
    assert content == json.loads(json.dumps(result.robustness.as_dict()))
    assert (content["split"], content["n_bonafide"], content["n_spoof"]) == ("eval", 8, 8)
    fields = {"name", "title", "eer", "eer_ci95", "changed", "miss", "false_alarm", "uncertain", "certain_wrong"}
    for row in content["conditions"]:
        assert set(row) == fields
        rates = [row[name] for name in fields - {"name", "title", "eer_ci95"}]
        assert all(0.0 <= rate <= 1.0 for rate in rates)
    plot = json.loads((report / "plots" / "eval" / "robustness.json").read_text())
    assert [set(row) for row in plot] == [{"condition", "eer"}] * (1 + len(CONDITIONS))
    tracked = json.loads((report / "metrics.json").read_text())["eval"]
    headlines = {name.removeprefix("robustness_"): v for name, v in tracked.items() if name.startswith("robustness_")}
    assert set(headlines) == {"eer_unchanged", "eer_mean", "eer_worst", "changed_mean", "changed_worst"}
    assert headlines["eer_mean"] <= headlines["eer_worst"]
    again = evaluated(audio, 16, "again")
    assert again.robustness == result.robustness
    assert (tmp_path / "again" / "robustness.json").read_bytes() == (report / "robustness.json").read_bytes()


def test_without_audio_or_with_no_clips_there_is_no_table_and_an_older_one_goes(
    evaluated: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "report").mkdir()
    for audio, clips in ((None, 16), (write_eval_clips(tmp_path), 0)):
        (tmp_path / "report" / "robustness.json").write_text("{}")
        result = evaluated(audio, clips)
        assert result.robustness is None
        assert result.notes == []
        assert not (tmp_path / "report" / "robustness.json").exists()
        assert "robustness" not in result.metrics["eval"]


def test_clip_that_is_gone_is_named(audio: Audio, detector: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="LA_E_0000000"):
        measured(detector, LevelListener(), Audio(audio.manifest, tmp_path), BY_NAME["shift"])


def test_number_of_clips_is_zero_or_enough_for_a_rate(tone_params: ProjectParams) -> None:
    content = tone_params.evaluate.model_dump(mode="json")
    for clips in (0, 10, 5000):
        assert type(tone_params.evaluate).model_validate(content | {"robustness_clips": clips}, strict=False)
    with pytest.raises(ValueError, match="robustness_clips"):
        type(tone_params.evaluate).model_validate(content | {"robustness_clips": 3}, strict=False)
