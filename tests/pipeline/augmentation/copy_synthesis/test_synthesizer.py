"""Twins of every kind: same length, same level, in range, and decided by the seed, the utterance, the copy and the twin."""

import importlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augmentation.copy_synthesis.params import TWIN_KINDS, CopySynthesisParams
from pipeline.augmentation.copy_synthesis.synthesizer import Synthesizer
from pipeline.frontends.log_mel import LogMel
from tests.support.front_ends import LOG_MEL
from tests.support.speech import RATE, noise, speechlike

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
ALL = CopySynthesisParams(copies=3, kinds=TWIN_KINDS)


def synthesizer_of(kind: str, rate: int = RATE) -> Synthesizer:
    return Synthesizer(CopySynthesisParams.model_validate({"copies": 1, "kinds": (kind,)}), 2019, rate)


def level_db(waveform: np.ndarray) -> float:
    """Level about the mean: a constant offset is no sound."""
    return float(10.0 * np.log10(np.var(np.asarray(waveform, float))))


@pytest.mark.parametrize("kind", TWIN_KINDS)
@given(
    n_samples=st.integers(1600, 20000),
    pitch_hz=st.floats(70.0, 400.0),
    gain_db=st.floats(-30.0, 0.0),
    number=st.integers(0, 50),
)
@settings(max_examples=8, deadline=None)
def test_a_twin_has_the_length_and_the_level_of_its_original(
    kind: str, n_samples: int, pitch_hz: float, gain_db: float, number: int
) -> None:
    synthesizer = synthesizer_of(kind)
    clip = (10 ** (gain_db / 20) * speechlike(n_samples, number, pitch_hz)).astype(np.float32)
    clip /= np.float32(max(1.0, 2.0 * np.abs(clip).max()))
    result = synthesizer.apply(clip, synthesizer.draw("LA_T_1", 0, number))
    assert result.dtype == np.float32
    assert len(result) == len(clip)
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 1.0
    # Pulses can exceed full scale, where they are clipped.
    if np.abs(result).max() < 0.99:
        assert abs(level_db(result) - level_db(clip)) < 0.1
    assert not np.array_equal(result, clip)


@pytest.mark.parametrize("kind", TWIN_KINDS)
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_other_rates_noise_and_short_clips_are_resynthesised(kind: str, rate: int) -> None:
    synthesizer = synthesizer_of(kind, rate)
    for clip in (noise(rate // 10), speechlike(rate // 10), noise(rate // 10, peak=1e-3)):
        result = synthesizer.apply(clip, synthesizer.draw("LA_T_1", 0, 0))
        assert len(result) == len(clip)
        assert np.isfinite(result).all()


def golden_values() -> np.ndarray:
    """Log-Mel of a twin of every kind: float16 [kinds, frames, bands]."""
    front_end = LogMel(LOG_MEL.model_copy(update={"n_mels": 24}))
    # Made of integers, so that it is the same everywhere.
    buzz = (np.arange(RATE) * 327 % 32768 - 16384) / 65536.0
    hiss = np.random.default_rng(7).integers(-2048, 2048, RATE) / 65536.0
    clip = (buzz * (np.arange(RATE) // 800 % 4 != 3) + hiss).astype(np.float32)
    twins = [synthesizer_of(kind).draw("LA_T_1000137", 0, 0) for kind in TWIN_KINDS]
    return np.stack([front_end(Synthesizer(ALL, 2019, RATE).apply(clip, twin)) for twin in twins]).astype(np.float16)


def test_twins_of_this_version_are_those_of_the_golden_file() -> None:
    [file] = GOLDEN.glob("copy_synthesis_v*.npy")
    assert int(file.stem.removeprefix("copy_synthesis_v")) >= LogMel.version, "save the values of the new version"
    difference = np.abs(golden_values().astype(np.float32) - np.load(file).astype(np.float32))
    assert difference.max() <= 0.07, (
        f"copy-synthesis gives other values than {file.name} for "
        f"{[kind for kind, part in zip(TWIN_KINDS, difference, strict=True) if part.max() > 0.07]}. If that is meant, raise the "
        "version of every front end, which makes every older feature store stale, and save the values under its number"
    )


def test_draws_depend_on_seed_utterance_copy_and_number_alone() -> None:
    drawn = {
        (seed, utterance_id, copy, number): Synthesizer(ALL, seed, RATE).draw(utterance_id, copy, number)
        for seed in (1, 2)
        for utterance_id in ("LA_T_1", "LA_T_2")
        for copy in (0, 1)
        for number in (0, 1, 2)
    }
    assert len({json.dumps(twin.to_dict()) for twin in drawn.values()}) == len(drawn)
    for (seed, *rest), twin in reversed(drawn.items()):
        assert Synthesizer(ALL, seed, RATE).draw(*rest) == twin


def test_kinds_are_drawn_evenly_and_differ_within_a_copy() -> None:
    synthesizer = Synthesizer(ALL, 2019, RATE)
    counts: Counter[str] = Counter()
    for clip in range(600):
        kinds = [synthesizer.draw(f"LA_T_{clip}", 0, number).kind for number in range(3)]
        assert len(set(kinds)) == 3
        counts.update(kinds)
    assert counts.keys() == set(TWIN_KINDS)
    assert min(counts.values()) > 0.75 * 1800 / len(TWIN_KINDS)


def test_what_was_drawn_is_told_as_json() -> None:
    told = Synthesizer(ALL, 2019, RATE).draw("LA_T_1", 0, 0).to_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["copy_synthesis"].keys() > {"kind", "dither_seed"}


@pytest.mark.parametrize("kind", TWIN_KINDS)
def test_every_kind_names_its_source_and_is_a_module_of_its_name(kind: str) -> None:
    module = importlib.import_module(f"pipeline.augmentation.copy_synthesis.{kind}")
    assert "Source" in (module.__doc__ or "")
    assert Synthesizer(CopySynthesisParams(copies=1, kinds=(kind,)), 1, RATE).draw("a", 0, 0).kind == kind  # type: ignore[arg-type]
