"""Scores of recordings by a fusion of networks with front ends and windows of their own."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import model.scoring.sources as sources
from model.bundle import load_bundle
from model.detector import Detector, FileScore, Source
from model.detector_model import DetectorModel, load_model
from model.metrics import abstain_band, read_scores
from tests.support.fused_project import FusedProject
from tests.support.tone_store import TONES_HZ, sounds_bona_fide, tone

RATE = 16_000
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Clips of eval as files."""
    paths = [tmp_path / f"LA_E_{number:07d}.flac" for number in range(6)]
    for path in paths:
        soundfile.write(path, tone(path.stem, sounds_bona_fide(path.stem)), RATE, subtype="PCM_16")
    return paths


def sound(seconds: float, frequency: float = TONES_HZ[1]) -> np.ndarray:
    times = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(1).standard_normal(len(times))
    return (0.1 * np.sin(2 * np.pi * frequency * times) + 0.05 * noise).astype(np.float32)


def unchecked(model: DetectorModel, **options: int) -> Detector:
    return Detector(model, checks=False, **options)


def expected_scores(fused: FusedProject) -> dict[str, float]:
    file = read_scores(fused.report / "eval.txt")
    return dict(zip(file.utterance_ids.tolist(), file.scores.tolist(), strict=True))


def test_the_score_of_a_clip_of_eval_is_that_of_the_fused_score_file(fused: FusedProject, clips: list[Path]) -> None:
    expected = expected_scores(fused)
    found = list(Detector.load(fused.bundle).score_files(clips))

    assert min(abs(weight) for weight in load_model(fused.bundle).fusion.weights) > 0.1, "both networks count"
    for path, record in zip(clips, found, strict=True):
        assert record.score == pytest.approx(expected[path.stem], abs=1e-4)


def test_the_command_gives_scores_threshold_and_band_of_the_fusion(
    fused: FusedProject, clips: list[Path], run_bonafide: Run
) -> None:
    code, text = run_bonafide("score", "--model", fused.bundle, "--json", "--no-checks", *clips)

    assert code == 0, text
    expected, development = expected_scores(fused), load_model(fused.bundle).development
    band = abstain_band(development.bonafide, development.spoof, 0.05)
    for found in json.JSONDecoder().raw_decode(text)[0]:
        assert found["score"] == pytest.approx(expected[Path(found["path"]).stem], abs=1e-4)
        assert found["threshold"] == load_model(fused.bundle).threshold
        assert found["terms"]["uncertain_low"] == band.low
        assert found["terms"]["trials"]["dev_spoof"] == 16


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_a_score_depends_neither_on_the_batch_nor_on_the_other_recordings(
    fused: FusedProject, clips: list[Path], batch_size: int
) -> None:
    model = load_model(fused.bundle)
    alone = [unchecked(model).score(path) for path in clips]

    together = list(unchecked(model, batch_size=batch_size).score_files(clips))

    assert [record.path for record in together] == [str(path) for path in clips]
    assert [record.score for record in together] == pytest.approx([record.score for record in alone], abs=1e-5)


def test_a_recording_that_cannot_be_scored_leaves_the_others_alone(
    fused: FusedProject, clips: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "broken.flac").write_bytes(b"fLaC no more")
    detector = Detector.load(fused.bundle)

    found = list(detector.score_files([clips[0], tmp_path / "broken.flac", clips[1]]))

    assert [record.problem is None for record in found] == [True, False, True]
    assert found[2].score == pytest.approx(detector.score(clips[1]).score, abs=1e-5)


def test_windows_are_those_of_the_main_network_with_the_fused_score(fused: FusedProject, clips: list[Path]) -> None:
    model = load_model(fused.bundle)
    main, member, both = (
        unchecked(part).score(clips[0])
        for part in (*(DetectorModel.of(bundle) for bundle in model.networks.values()), model)
    )

    assert [(window.start_s, window.end_s) for window in both.windows] == [
        (window.start_s, window.end_s) for window in main.windows
    ]
    seconds = [0.5, 0.3]
    middles = [
        [window.start_s + length / 2 for window in record.windows]
        for record, length in zip((main, member), seconds, strict=True)
    ]
    of_member = np.interp(middles[0], middles[1], [window.score for window in member.windows])
    columns = np.stack([[window.score for window in main.windows], of_member], axis=1)
    assert [window.score for window in both.windows] == pytest.approx(model.fusion.apply(columns).tolist(), abs=1e-4)


def test_the_parts_of_a_long_recording_are_those_of_its_networks(
    fused: FusedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PART_S", 2.0)
    model = load_model(fused.bundle)
    short = {
        name: replace(bundle, features=bundle.features.model_copy(update={"max_duration_s": 1.0}))
        for name, bundle in model.networks.items()
    }
    fusion = replace(model, networks=short)
    silence = np.zeros(6 * RATE, np.float32)
    waveform = np.concatenate([sound(6.3), silence, sound(3.0, TONES_HZ[0])])

    def scored(part: DetectorModel) -> FileScore:
        return unchecked(part).score(waveform, RATE)

    main, member, both = (
        scored(DetectorModel.of(short["main"])),
        scored(DetectorModel.of(short["linear"])),
        scored(fusion),
    )

    assert both.duration_s == pytest.approx(15.3)
    assert [window.start_s for window in both.windows] == [window.start_s for window in main.windows]
    # The member's own parts begin at other samples, which its level and windows hardly show.
    expected = model.fusion.apply([[main.score, member.score]])[0]
    assert both.score == pytest.approx(expected, rel=0.01)


def test_networks_with_equal_front_ends_and_windows_share_them(
    fused: FusedProject, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(fused.bundle)
    main = model.main
    twice = replace(model, networks={"main": main, "again": main})
    detector, calls = unchecked(twice), []
    front_end = detector._scorer.reader.inputs[0].front_end
    monkeypatch.setattr(type(front_end), "__call__", _counted(type(front_end).__call__, calls))

    found = detector.score(clips[0])

    assert len(calls) == 1
    alone = unchecked(DetectorModel.of(main)).score(clips[0]).score
    assert found.score == pytest.approx(float(model.fusion.apply([[alone, alone]])[0]), abs=1e-6)


def _counted(function: Callable[..., np.ndarray], calls: list[int]) -> Callable[..., np.ndarray]:
    def call(*arguments: object) -> np.ndarray:
        calls.append(1)
        return function(*arguments)

    return call


def test_what_is_unlike_training_is_judged_by_the_main_network(fused: FusedProject) -> None:
    loud = sound(0.8) * 8

    both, main = (Detector.load(folder).score(loud, RATE) for folder in (fused.bundle, fused.main))

    assert main.warnings
    assert both.warnings == main.warnings
    assert both.verdict == "uncertain"


def test_the_picture_shows_the_evidence_of_the_main_network(
    fused: FusedProject, clips: list[Path], tmp_path: Path, run_bonafide: Run
) -> None:
    code, text = run_bonafide("score", "--model", fused.bundle, "--explain", tmp_path / "why", clips[0])

    assert code == 0, text
    assert (tmp_path / "why" / f"{clips[0].stem}.png").stat().st_size > 10_000


def test_a_single_network_is_a_fusion_of_one(fused: FusedProject, clips: list[Path]) -> None:
    bundle = load_bundle(fused.main)

    assert unchecked(DetectorModel.of(bundle)).score(clips[0]) == Detector(bundle, checks=False).score(clips[0])
    assert load_model(fused.main).threshold == bundle.threshold


def test_demo_and_service_take_a_fusion(fused: FusedProject, clips: list[Path]) -> None:
    pytest.importorskip("fastapi", reason="needs the extra serve")
    from starlette.testclient import TestClient

    from model.service.app import make_app
    from model.service.batches import warm_up
    from model.service.demo import judged

    detector = Detector.load(fused.bundle)
    warm_up(detector)
    with TestClient(make_app(detector)) as client:
        answer = client.post("/score", files={"file": clips[0].read_bytes()})
    verdict, image = judged(detector, clips[0])

    (record,) = detector.score_files([Source("clip", clips[0])])
    assert answer.json()["score"] == pytest.approx(record.score, abs=1e-6)
    assert str(record.verdict) in verdict.lower()
    assert image.startswith('<div class="picture">')
