"""Augmentation: what is promised happens, measurably, and depends on nothing but the seed, the utterance and the copy."""

import itertools
import json
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augmentation.augmenter import BABBLE_VOICES, Augmenter, Drawn, Noise
from pipeline.augmentation.noise import add_noise, pink_noise
from pipeline.augmentation.pitch_tempo import change_pitch_and_tempo, stretched_length
from pipeline.frontends.log_mel import LogMel
from pipeline.params import AugmentParams, NoiseKind, load_params

RATE = 16000
REPOSITORY = Path(__file__).resolve().parents[3]
PARAMS = load_params(REPOSITORY / "params.yaml")
AUGMENT = PARAMS.augment
GOLDEN_DRAW = (
    '{"noise":{"babble":["LA_T_39","LA_T_10","LA_T_21"],"kind":"babble","seed":3657337526,"snr_db":23.2206},'
    '"pitch_shift_semitones":-1.1459,"time_stretch_rate":1.0008}'
)
OTHERS = [f"LA_T_{number}" for number in range(40)]

Waveform = npt.NDArray[np.float32]


def speechlike(n_samples: int = 2 * RATE, seed: int = 0, pitch_hz: float = 120.0) -> Waveform:
    """A buzz with a wandering pitch and changing loudness over a little noise."""
    time_s = np.arange(n_samples) / RATE
    phase = 2.0 * np.pi * np.cumsum(pitch_hz * (1.0 + 0.1 * np.sin(2.0 * np.pi * 0.7 * time_s + seed))) / RATE
    buzz = sum(np.sin(k * phase) / k for k in range(1, 25))
    loudness = np.abs(np.sin(2.0 * np.pi * 2.3 * time_s + seed)) + 0.01
    hiss = 0.01 * np.random.default_rng(seed).standard_normal(n_samples)
    return (0.15 * loudness * buzz + hiss).clip(-1.0, 1.0).astype(np.float32)


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


def with_noise(kind: NoiseKind, snr_db: float, babble: tuple[str, ...] = ()) -> Drawn:
    return Drawn(noise=Noise(kind, snr_db, seed=7, babble=babble, wanted=kind))


def decibel_power(waveform: npt.NDArray[np.floating]) -> float:
    return float(10.0 * np.log10(np.mean(np.square(waveform, dtype=np.float64))))


def pitch_hz(waveform: Waveform) -> float:
    """Frequency of the strongest line."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 1 << 18))
    return float(spectrum.argmax() * RATE / (1 << 18))


@pytest.mark.parametrize(
    "params",
    [
        pytest.param(always(pitch=1.0), id="pitch shift"),
        pytest.param(always(stretch=1.0), id="time stretch"),
        pytest.param(always("white"), id="white noise"),
        pytest.param(always("pink"), id="pink noise"),
        pytest.param(always("babble"), id="babble"),
        pytest.param(always("babble", pitch=1.0, stretch=1.0), id="all at once"),
    ],
)
def test_every_promised_augmentation_changes_the_waveform_and_keeps_its_length_rule(params: AugmentParams) -> None:
    augmenter = Augmenter(params, RATE)
    clip = speechlike()
    for utterance_id in ("LA_T_1", "LA_T_2", "LA_T_3"):
        drawn = augmenter.draw(utterance_id, 1, OTHERS)
        result = augmenter.apply(clip, drawn, [speechlike(seed=seed) for seed in range(len(drawn.babble))])
        rate = drawn.time_stretch_rate or 1.0
        assert len(result) == round(len(clip) / rate)
        assert result.dtype == np.float32
        common = min(len(result), len(clip))
        assert np.abs(result[:common] - clip[:common]).max() > 1e-3
        assert np.isfinite(result).all()
        assert np.abs(result).max() <= 1.0


def test_nothing_drawn_leaves_the_clip_alone() -> None:
    augmenter = Augmenter(always(), RATE)
    drawn = augmenter.draw("LA_T_1", 1, OTHERS)
    assert drawn == Drawn()
    assert drawn.to_json() == "{}"
    assert np.array_equal(augmenter.apply(speechlike(), drawn), speechlike())


@pytest.mark.parametrize("semitones", [-7.0, -2.0, 0.5, 2.0, 12.0])
def test_pitch_shift_moves_a_tone_by_its_semitones_and_keeps_the_length(semitones: float) -> None:
    tone = np.sin(2.0 * np.pi * 500.0 * np.arange(2 * RATE) / RATE).astype(np.float32)
    shifted = change_pitch_and_tempo(tone, semitones, 1.0, RATE)
    assert len(shifted) == len(tone)
    assert pitch_hz(shifted) == pytest.approx(500.0 * 2.0 ** (semitones / 12.0), rel=1e-3)


@pytest.mark.parametrize("rate", [0.5, 0.9, 1.1, 2.0])
def test_time_stretch_keeps_the_pitch(rate: float) -> None:
    tone = np.sin(2.0 * np.pi * 500.0 * np.arange(2 * RATE) / RATE).astype(np.float32)
    stretched = change_pitch_and_tempo(tone, 0.0, rate, RATE)
    assert len(stretched) == round(len(tone) / rate)
    assert pitch_hz(stretched) == pytest.approx(500.0, rel=1e-3)


def test_pitch_and_tempo_together_do_both() -> None:
    tone = np.sin(2.0 * np.pi * 500.0 * np.arange(2 * RATE) / RATE).astype(np.float32)
    result = change_pitch_and_tempo(tone, 2.0, 1.1, RATE)
    assert len(result) == round(len(tone) / 1.1)
    assert pitch_hz(result) == pytest.approx(500.0 * 2.0 ** (2.0 / 12.0), rel=1e-3)


def mean_log_mel_difference(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    log_mel = LogMel(PARAMS.features)
    return float(np.abs(log_mel(first.astype(np.float32)) - log_mel(second.astype(np.float32))).mean())


@pytest.mark.parametrize("rate", [0.8, 0.95, 1.07, 1.3])
def test_time_stretch_agrees_with_librosa(rate: float) -> None:
    clip = speechlike()
    own = change_pitch_and_tempo(clip, 0.0, rate, RATE)
    # In float32 librosa's running phase, thousands of radians, loses digits; in float64 the algorithm itself is compared.
    assert mean_log_mel_difference(own, librosa.effects.time_stretch(clip.astype(np.float64), rate=rate)) < 0.002
    assert mean_log_mel_difference(own, librosa.effects.time_stretch(clip, rate=rate)) < 0.05


@pytest.mark.parametrize("semitones", [-2.0, -0.3, 1.5])
def test_pitch_shift_agrees_with_librosa(semitones: float) -> None:
    clip = speechlike()
    own = change_pitch_and_tempo(clip, semitones, 1.0, RATE)
    reference = librosa.effects.pitch_shift(clip.astype(np.float64), sr=RATE, n_steps=semitones)
    assert len(own) == len(reference)
    assert mean_log_mel_difference(own, reference) < 0.002
    assert mean_log_mel_difference(own, librosa.effects.pitch_shift(clip, sr=RATE, n_steps=semitones)) < 0.05


@pytest.mark.parametrize("kind", ["white", "pink", "babble"])
@pytest.mark.parametrize("snr_db", [0.0, 10.0, 27.5])
def test_noise_has_the_drawn_signal_to_noise_ratio(kind: NoiseKind, snr_db: float) -> None:
    clip = 0.2 * speechlike()
    voices = tuple(OTHERS[:BABBLE_VOICES]) if kind == "babble" else ()
    babble = [speechlike(20000 + seed, seed, 100.0 + 30.0 * seed) for seed in range(len(voices))]
    result = Augmenter(AUGMENT, RATE).apply(clip, with_noise(kind, snr_db, voices), babble)
    assert np.abs(result).max() < 1.0
    assert decibel_power(clip) - decibel_power(result - clip) == pytest.approx(snr_db, abs=0.1)


def test_a_result_that_would_clip_is_scaled_down_as_a_whole() -> None:
    clip = speechlike()
    clip /= np.abs(clip).max()
    drawn = with_noise("white", -5.0)
    result = Augmenter(AUGMENT, RATE).apply(clip, drawn)
    assert np.abs(result).max() == 1.0
    quiet = Augmenter(AUGMENT, RATE).apply(clip / 16.0, drawn)
    np.testing.assert_allclose(result, quiet / np.abs(quiet).max(), atol=1e-6)


def test_white_noise_is_flat_and_pink_noise_falls_by_three_decibels_per_octave() -> None:
    def octave_levels(noise: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        powers = np.abs(np.fft.rfft(noise)) ** 2
        edges = (np.array([62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0]) * len(noise) / RATE).astype(int)
        return 10.0 * np.log10([powers[low:high].mean() for low, high in itertools.pairwise(edges)])

    generator = np.random.default_rng(1)
    np.testing.assert_allclose(np.diff(octave_levels(generator.standard_normal(20 * RATE))), 0.0, atol=0.5)
    np.testing.assert_allclose(np.diff(octave_levels(pink_noise(20 * RATE, RATE, generator))), -3.01, atol=0.5)


def test_babble_is_made_of_the_voices_that_were_drawn() -> None:
    clip = 0.2 * speechlike()
    voices = [speechlike(9000 + seed, seed, 100.0 + 40.0 * seed) for seed in range(BABBLE_VOICES)]
    augmenter = Augmenter(AUGMENT, RATE)
    drawn = with_noise("babble", 10.0, tuple(OTHERS[:BABBLE_VOICES]))
    first = augmenter.apply(clip, drawn, voices)
    assert not np.allclose(first, augmenter.apply(clip, drawn, [*voices[:2], speechlike(9000, 9, 250.0)]))
    # Each voice has the same say, however loud its clip is.
    np.testing.assert_allclose(first, augmenter.apply(clip, drawn, [0.01 * voices[0], *voices[1:]]), atol=1e-6)


def test_babble_needs_the_drawn_waveforms() -> None:
    with pytest.raises(ValueError, match="3 waveforms"):
        Augmenter(AUGMENT, RATE).apply(speechlike(), with_noise("babble", 10.0, ("a", "b", "c")), [speechlike()])


def test_babble_takes_three_different_others_in_any_order_of_the_list() -> None:
    augmenter = Augmenter(always("babble"), RATE)
    for own_id in OTHERS:
        drawn = augmenter.draw(own_id, 1, OTHERS)
        assert len(set(drawn.babble)) == BABBLE_VOICES
        assert own_id not in drawn.babble
        assert drawn == augmenter.draw(own_id, 1, OTHERS[::-1])
        assert drawn == augmenter.draw(own_id, 1, [other for other in OTHERS if other != own_id])


def test_too_few_others_for_a_babble_give_pink_noise_and_the_index_says_so() -> None:
    augmenter = Augmenter(always("babble"), RATE)
    drawn = augmenter.draw("LA_T_0", 1, ["LA_T_0", "LA_T_1", "LA_T_2"])
    noise = drawn.to_dict()["noise"]
    assert (noise["kind"], noise["instead_of"]) == ("pink", "babble")
    assert drawn.babble == ()
    wanted = augmenter.draw("LA_T_0", 1, OTHERS).to_dict()["noise"]
    assert wanted["kind"] == "babble"
    assert wanted["snr_db"] == noise["snr_db"]


def test_draws_are_pinned() -> None:
    drawn = Augmenter(AUGMENT, RATE).draw("LA_T_1138233", 1, OTHERS)
    assert drawn.to_json() == GOLDEN_DRAW, (
        "the same seed, utterance and copy draw something else than before. If that is meant, raise "
        f"the version of every front end ({LogMel.version}), which makes every older feature store stale"
    )


def test_augmented_values_of_this_version_are_those_of_the_golden_file() -> None:
    golden = np.load(REPOSITORY / "tests" / "pipeline" / "golden" / f"augmented_v{LogMel.version}.npy")
    own = golden_values()
    assert own.shape == golden.shape
    assert np.abs(own.astype(np.float32) - golden.astype(np.float32)).max() <= 0.07, (
        f"augmentation gives other values than version {LogMel.version} did. If that is meant, raise "
        "the version of every front end and save the new values as tests/pipeline/golden/augmented_v<version>.npy"
    )


def golden_values() -> npt.NDArray[np.float16]:
    drawn = Drawn(-1.3, 1.07, Noise("pink", 15.0, 123456789, (), "pink"))
    clip = speechlike(8000)
    return LogMel(PARAMS.features)(Augmenter(AUGMENT, RATE).apply(clip, drawn)).astype(np.float16)


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
    some = Augmenter(params, RATE).draw(f"LA_T_{number}", 1, OTHERS)
    every = Augmenter(certain, RATE).draw(f"LA_T_{number}", 1, OTHERS)
    assert some.pitch_shift_semitones in (None, every.pitch_shift_semitones)
    assert some.time_stretch_rate in (None, every.time_stretch_rate)
    assert some.noise in (None, every.noise)


def test_draws_follow_the_probabilities_and_fill_the_ranges() -> None:
    augmenter = Augmenter(AUGMENT, RATE)
    draws = [augmenter.draw(f"LA_T_{number}", 1, OTHERS) for number in range(3000)]
    semitones = [d.pitch_shift_semitones for d in draws if d.pitch_shift_semitones is not None]
    rates = [d.time_stretch_rate for d in draws if d.time_stretch_rate is not None]
    noises = [d.noise for d in draws if d.noise is not None]
    for values, probability, (low, high) in [
        (semitones, AUGMENT.pitch_shift.probability, AUGMENT.pitch_shift.semitones),
        (rates, AUGMENT.time_stretch.probability, AUGMENT.time_stretch.rate),
        ([n.snr_db for n in noises], AUGMENT.noise.probability, AUGMENT.noise.snr_db),
    ]:
        assert len(values) / len(draws) == pytest.approx(probability, abs=0.04)
        assert low <= min(values) <= low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) <= max(values) <= high
        assert np.mean(values) == pytest.approx((low + high) / 2.0, abs=0.05 * (high - low))
    for kind in AUGMENT.noise.kinds:
        assert sum(n.kind == kind for n in noises) / len(noises) == pytest.approx(
            1 / len(AUGMENT.noise.kinds), abs=0.04
        )


def test_index_text_is_canonical_json_of_what_was_done() -> None:
    augmenter = Augmenter(always("babble", pitch=1.0, stretch=1.0), RATE)
    drawn = augmenter.draw("LA_T_zażółć", 1, [f"głos {n}" for n in range(5)])
    content = json.loads(drawn.to_json())
    assert content == drawn.to_dict()
    assert drawn.to_json() == json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert content["pitch_shift_semitones"] == drawn.pitch_shift_semitones
    assert content["time_stretch_rate"] == drawn.time_stretch_rate
    assert content["noise"]["babble"] == list(drawn.babble)
    again = Drawn(content["pitch_shift_semitones"], content["time_stretch_rate"], drawn.noise)
    voices = [speechlike(seed=seed) for seed in range(3)]
    assert np.array_equal(augmenter.apply(speechlike(), drawn, voices), augmenter.apply(speechlike(), again, voices))


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
    voices = ("a", "b", "c") if kind == "babble" else ()
    drawn = Drawn(semitones, rate, Noise(kind, snr_db, 5, voices, kind))
    babble = [speechlike(1 + 500 * seed, seed) for seed in range(len(voices))]
    result = Augmenter(AUGMENT, RATE).apply(speechlike(n_samples), drawn, babble)
    assert len(result) == stretched_length(n_samples, rate)
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 1.0


def test_silence_does_not_become_noise_or_nan() -> None:
    silence = np.zeros(RATE, np.float32)
    augmenter = Augmenter(AUGMENT, RATE)
    assert not augmenter.apply(silence, Drawn(1.0, 0.9)).any()
    assert not augmenter.apply(silence, with_noise("white", 10.0)).any()
    # Voices without sound cannot make a babble; the clip stays as it is.
    result = augmenter.apply(speechlike(), with_noise("babble", 10.0, ("a", "b", "c")), [silence] * 3)
    assert np.array_equal(result, speechlike())
    assert np.array_equal(add_noise(speechlike(), np.zeros(2 * RATE), 10.0), speechlike())


def test_pitch_resampler_is_soxr_at_librosas_quality() -> None:
    clip = speechlike()
    ratio = 2.0 ** (-1.5 / 12.0)
    stretched = change_pitch_and_tempo(clip, 0.0, ratio, RATE)
    resampled = soxr.resample(stretched, RATE / ratio, RATE, quality="HQ")[: len(clip)]
    np.testing.assert_array_equal(change_pitch_and_tempo(clip, 1.5, 1.0, RATE)[: len(resampled)], resampled)
