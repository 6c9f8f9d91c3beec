"""Augmentation: what is promised happens, measurably, and depends on nothing but the seed, the utterance and the copy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augmentation import augmenter as augmenter_module
from pipeline.augmentation.augmenter import Augmenter, Recipe, augmentations
from pipeline.augmentation.base import Augmentation, Clip
from pipeline.augmentation.noise import NoiseValues
from pipeline.augmentation.params import AugmentParams, NoiseKind
from pipeline.augmentation.pitch_tempo import PitchTempoValues, stretched_length
from pipeline.frontends.log_mel import LogMel
from pipeline.params import load_params
from tests.support.front_ends import LOG_MEL
from tests.support.speech import RATE, Waveform, speechlike

REPOSITORY = Path(__file__).resolve().parents[3]
PARAMS = load_params(REPOSITORY / "params.yaml").model_copy(update={"features": LOG_MEL})
AUGMENT = PARAMS.augment.model_copy(
    update={
        name: getattr(PARAMS.augment, name).model_copy(update={"probability": probability})
        for name, probability in {
            "pitch_shift": 0.5,
            "time_stretch": 0.5,
            "room": 0.0,
            "noise": 0.7,
            "rawboost": 0.0,
            "band_limit": 0.0,
            "codec": 0.0,
        }.items()
    }
)
EVERY_KIND = PARAMS.augment.model_copy(
    update={
        name: section.model_copy(update={"probability": 1.0})
        for name, section in PARAMS.augment
        if name not in ("copies", "seed")
    }
)
GOLDEN_DRAW_OF_EVERY_KIND = (
    '{"band_limit":{"kind":"8_khz"},"codec":"a_law","noise":{"babble":["LA_T_39","LA_T_10","LA_T_21"],"kind":"babble",'
    '"seed":3657337526,"snr_db":23.2206},"pitch_shift_semitones":-1.1459,"rawboost":{"kinds":["convolutive","impulsive"],'
    '"seed":899861184},"room":{"direct_to_reverberant_db":5.1322,"rt60_s":0.5432,"seed":614909157},'
    '"time_stretch_rate":1.0008}'
)
GOLDEN_DRAW = (
    '{"noise":{"babble":["LA_T_39","LA_T_10","LA_T_21"],"kind":"babble","seed":3657337526,"snr_db":23.2206},'
    '"pitch_shift_semitones":-1.1459,"time_stretch_rate":1.0008}'
)
OTHERS = [f"LA_T_{number}" for number in range(40)]
VOICES = {name: speechlike(seed=seed) for seed, name in enumerate(OTHERS)}


def always(kind: NoiseKind | None = None, pitch: float = 0.0, stretch: float = 0.0, copies: int = 1) -> AugmentParams:
    """Parameters with the given probabilities of pitch shift and time stretch, and noise of one kind always or never."""
    noise = AUGMENT.noise.model_copy(update={"probability": float(kind is not None), "kinds": (kind or "white",)})
    return AUGMENT.model_copy(
        update={
            "copies": copies,
            "noise": noise,
            "pitch_shift": AUGMENT.pitch_shift.model_copy(update={"probability": pitch}),
            "time_stretch": AUGMENT.time_stretch.model_copy(update={"probability": stretch}),
        }
    )


def recipe_of(
    semitones: float | None = None, rate: float | None = None, kind: NoiseKind | None = None, snr_db: float = 10.0
) -> Recipe:
    values: dict[str, Any] = {}
    if semitones is not None or rate is not None:
        values["pitch_tempo"] = PitchTempoValues(semitones, rate)
    if kind is not None:
        voices = tuple(OTHERS[:3]) if kind == "babble" else ()
        values["noise"] = NoiseValues(kind, snr_db, seed=7, babble=voices, wanted=kind)
    return Recipe(values)


def entries(recipe: Recipe) -> tuple[float | None, float | None, dict[str, Any] | None]:
    """Semitones, rate and noise of a recipe, None where there is none."""
    told = recipe.to_dict()
    return told.get("pitch_shift_semitones"), told.get("time_stretch_rate"), told.get("noise")


def index_text(recipe: Recipe) -> str:
    return json.dumps(recipe.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param(always(pitch=1.0), id="pitch shift"),
        pytest.param(always(stretch=1.0), id="time stretch"),
        pytest.param(always("white"), id="white noise"),
        pytest.param(always("pink"), id="pink noise"),
        pytest.param(always("babble"), id="babble"),
        pytest.param(always("babble", pitch=1.0, stretch=1.0), id="all of these"),
        *(
            pytest.param(
                AUGMENT.model_copy(update={name: getattr(EVERY_KIND, name)} | {"noise": always().noise, "copies": 1}),
                id=name,
            )
            for name in ("room", "rawboost", "band_limit", "codec")
        ),
        pytest.param(EVERY_KIND, id="all at once"),
    ],
)
def test_every_promised_augmentation_changes_the_waveform_and_keeps_its_length_rule(params: AugmentParams) -> None:
    augmenter = Augmenter(params, RATE)
    clip = speechlike()
    for utterance_id in ("LA_T_1", "LA_T_2", "LA_T_3"):
        recipe = augmenter.draw(utterance_id, 1, VOICES)
        result = augmenter.apply(clip, recipe, VOICES)
        _, rate, _ = entries(recipe)
        assert len(result) == round(len(clip) / (rate or 1.0))
        assert result.dtype == np.float32
        common = min(len(result), len(clip))
        assert np.abs(result[:common] - clip[:common]).max() > 1e-3
        assert np.isfinite(result).all()
        assert np.abs(result).max() <= 1.0


def test_nothing_drawn_leaves_the_clip_alone() -> None:
    augmenter = Augmenter(always(), RATE)
    recipe = augmenter.draw("LA_T_1", 1, OTHERS)
    assert recipe == Recipe()
    assert recipe.to_dict() == {}
    assert np.array_equal(augmenter.apply(speechlike(), recipe, {}), speechlike())


def test_a_result_that_would_clip_is_scaled_down_as_a_whole() -> None:
    clip = speechlike()
    clip /= np.abs(clip).max()
    recipe = recipe_of(kind="white", snr_db=-5.0)
    result = Augmenter(AUGMENT, RATE).apply(clip, recipe, {})
    assert np.abs(result).max() == 1.0
    quiet = Augmenter(AUGMENT, RATE).apply(clip / 16.0, recipe, {})
    np.testing.assert_allclose(result, quiet / np.abs(quiet).max(), atol=1e-6)


def test_draws_are_pinned() -> None:
    recipe = Augmenter(AUGMENT, RATE).draw("LA_T_1138233", 1, OTHERS)
    assert index_text(recipe) == GOLDEN_DRAW, (
        "the same seed, utterance and copy draw something else than before. If that is meant, raise "
        f"the version of every front end ({LogMel.version}), which makes every older feature store stale"
    )


def test_draws_of_every_kind_are_pinned() -> None:
    recipe = Augmenter(EVERY_KIND, RATE).draw("LA_T_1138233", 1, OTHERS)
    assert index_text(recipe) == GOLDEN_DRAW_OF_EVERY_KIND
    assert list(recipe.values) == ["pitch_tempo", "room", "noise", "rawboost", "band_limit", "codec"]


def test_augmented_values_of_this_version_are_those_of_the_golden_file() -> None:
    [file] = (REPOSITORY / "tests" / "pipeline" / "golden").glob("augmented_v*.npy")
    assert int(file.stem.removeprefix("augmented_v")) >= LogMel.version, "save the values of the new version"
    golden = np.load(file)
    own = golden_values()
    assert own.shape == golden.shape
    assert np.abs(own.astype(np.float32) - golden.astype(np.float32)).max() <= 0.07, (
        f"augmentation gives other values than {file.name}. If that is meant, raise "
        "the version of every front end and save the new values as tests/pipeline/golden/augmented_v<version>.npy"
    )


def golden_values() -> npt.NDArray[np.float16]:
    noise = NoiseValues("pink", 15.0, 123456789, (), "pink")
    recipe = Recipe({"pitch_tempo": PitchTempoValues(-1.3, 1.07), "noise": noise})
    clip = speechlike(8000)
    return LogMel(PARAMS.features)(Augmenter(AUGMENT, RATE).apply(clip, recipe, {})).astype(np.float16)


def test_draws_differ_by_utterance_copy_and_seed_and_by_nothing_else() -> None:
    augmenter = Augmenter(AUGMENT, RATE)
    pairs = [(utterance_id, copy) for utterance_id in OTHERS for copy in (1, 2)]
    forwards = {pair: augmenter.draw(*pair, OTHERS) for pair in pairs}
    backwards = {pair: Augmenter(AUGMENT, RATE).draw(*pair, OTHERS) for pair in reversed(pairs)}
    assert forwards == backwards
    other_seed = Augmenter(AUGMENT.model_copy(update={"seed": AUGMENT.seed + 1}), RATE)
    assert sum(other_seed.draw(*pair, OTHERS) == forwards[pair] for pair in pairs) < len(pairs) / 4
    assert sum(forwards[name, 1] == forwards[name, 2] for name in OTHERS) < len(OTHERS) / 4


@given(probabilities=st.tuples(*[st.floats(0.0, 1.0)] * 3), number=st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_probability_of_one_kind_leaves_the_draws_of_the_others_alone(
    probabilities: tuple[float, float, float], number: int
) -> None:
    pitch, stretch, noise = probabilities
    params = AUGMENT.model_copy(
        update={
            "pitch_shift": AUGMENT.pitch_shift.model_copy(update={"probability": pitch}),
            "time_stretch": AUGMENT.time_stretch.model_copy(update={"probability": stretch}),
            "noise": AUGMENT.noise.model_copy(update={"probability": noise}),
        }
    )
    certain = AUGMENT.model_copy(
        update={
            name: getattr(AUGMENT, name).model_copy(update={"probability": 1.0})
            for name in ("pitch_shift", "time_stretch", "noise")
        }
    )
    some = entries(Augmenter(params, RATE).draw(f"LA_T_{number}", 1, OTHERS))
    every = entries(Augmenter(certain, RATE).draw(f"LA_T_{number}", 1, OTHERS))
    for one, full in zip(some, every, strict=True):
        assert one in (None, full)


@dataclass(frozen=True)
class GainValues:
    gain: float

    def to_dict(self) -> dict[str, Any]:
        return {"gain": self.gain}


class Gain(Augmentation[GainValues]):
    """A kind that the project does not have."""

    name: ClassVar[str] = "gain"

    def draw(self, generator: np.random.Generator, clip: Clip) -> GainValues | None:
        return GainValues(float(generator.random()))

    def apply(self, waveform: Waveform, values: GainValues, clips: Mapping[str, Waveform]) -> Waveform:
        return waveform * np.float32(values.gain)


def test_a_new_kind_leaves_the_draws_of_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [Augmenter(AUGMENT, RATE).draw(name, 1, OTHERS).to_dict() for name in OTHERS]
    monkeypatch.setattr(augmenter_module, "augmentations", lambda *given: (Gain(), *augmentations(*given)))
    augmenter = Augmenter(AUGMENT, RATE)
    after = [augmenter.draw(name, 1, OTHERS).to_dict() for name in OTHERS]
    gains = [told.pop("gain") for told in after]
    assert after == before
    assert len(set(gains)) == len(OTHERS)
    recipe = Recipe({"gain": GainValues(0.5)})
    assert np.array_equal(augmenter.apply(speechlike(), recipe, {}), 0.5 * speechlike())


def test_draws_follow_the_probabilities_and_fill_the_ranges() -> None:
    augmenter = Augmenter(AUGMENT, RATE)
    draws = [entries(augmenter.draw(f"LA_T_{number}", 1, OTHERS)) for number in range(3000)]
    semitones = [draw[0] for draw in draws if draw[0] is not None]
    rates = [draw[1] for draw in draws if draw[1] is not None]
    noises = [draw[2] for draw in draws if draw[2] is not None]
    for values, probability, (low, high) in [
        (semitones, AUGMENT.pitch_shift.probability, AUGMENT.pitch_shift.semitones),
        (rates, AUGMENT.time_stretch.probability, AUGMENT.time_stretch.rate),
        ([noise["snr_db"] for noise in noises], AUGMENT.noise.probability, AUGMENT.noise.snr_db),
    ]:
        assert len(values) / len(draws) == pytest.approx(probability, abs=0.04)
        assert low <= min(values) <= low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) <= max(values) <= high
        assert np.mean(values) == pytest.approx((low + high) / 2.0, abs=0.05 * (high - low))
    for kind in AUGMENT.noise.kinds:
        assert sum(noise["kind"] == kind for noise in noises) / len(noises) == pytest.approx(
            1 / len(AUGMENT.noise.kinds), abs=0.04
        )


def test_index_text_is_canonical_json_of_what_was_done() -> None:
    augmenter = Augmenter(always("babble", pitch=1.0, stretch=1.0), RATE)
    clips = {f"głos {number}": speechlike(seed=number) for number in range(5)}
    recipe = augmenter.draw("LA_T_zażółć", 1, clips)
    told = json.loads(index_text(recipe))
    assert told == recipe.to_dict()
    noise = told["noise"]
    again = Recipe(
        {
            "pitch_tempo": PitchTempoValues(told["pitch_shift_semitones"], told["time_stretch_rate"]),
            "noise": NoiseValues(noise["kind"], noise["snr_db"], noise["seed"], tuple(noise["babble"]), noise["kind"]),
        }
    )
    assert again == recipe
    assert np.array_equal(augmenter.apply(speechlike(), recipe, clips), augmenter.apply(speechlike(), again, clips))


@given(
    n_samples=st.integers(1, 6000),
    semitones=st.floats(-24.0, 24.0),
    rate=st.floats(0.25, 4.0),
    kind=st.sampled_from(["white", "pink", "babble"]),
    snr_db=st.floats(-20.0, 100.0),
)
@settings(max_examples=80, deadline=None)
def test_any_clip_and_any_drawn_value_give_a_sound_waveform(
    n_samples: int, semitones: float, rate: float, kind: NoiseKind, snr_db: float
) -> None:
    clips = {name: speechlike(1 + 500 * seed, seed) for seed, name in enumerate(OTHERS[:3])}
    recipe = recipe_of(semitones, rate, kind, snr_db)
    result = Augmenter(AUGMENT, RATE).apply(speechlike(n_samples), recipe, clips)
    assert len(result) == stretched_length(n_samples, rate)
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 1.0


def test_silence_does_not_become_noise_or_nan() -> None:
    silence = np.zeros(RATE, np.float32)
    augmenter = Augmenter(AUGMENT, RATE)
    assert not augmenter.apply(silence, recipe_of(1.0, 0.9), {}).any()
    assert not augmenter.apply(silence, recipe_of(kind="white"), {}).any()
    every = Augmenter(EVERY_KIND, RATE)
    recipe = every.draw("LA_T_1", 1, VOICES)
    # The finest step of the codecs is the only thing that is left of silence.
    assert np.abs(every.apply(silence, recipe, dict.fromkeys(OTHERS, silence))).max() < 1e-3


def test_parameters_are_described_in_one_line() -> None:
    assert AUGMENT.describe() == (
        "pitch -2 to 2 semitones (p 0.5), tempo 0.9 to 1.1 (p 0.5), room of RT60 0.1 to 0.8 s, 0 to 15 dB direct (p 0), "
        "white/pink/babble noise at 10 to 30 dB (p 0.7), RawBoost convolutive+impulsive (p 0), "
        "band limit low_pass/telephone/8_khz at 3400 to 7000 Hz (p 0), codec mu_law/a_law/gsm (p 0)"
    )


@given(n_samples=st.integers(1, 9000), number=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_all_kinds_in_a_row_give_a_sound_waveform_of_any_clip(n_samples: int, number: int) -> None:
    augmenter = Augmenter(EVERY_KIND, RATE)
    recipe = augmenter.draw(f"LA_T_{number}", 1, VOICES)
    result = augmenter.apply(speechlike(n_samples), recipe, VOICES)
    _, rate, _ = entries(recipe)
    assert len(result) == stretched_length(n_samples, rate or 1.0)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 1.0
