"""Added noise: the ratio, the spectrum and the voices are those that were drawn."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augmentation.base import Clip
from pipeline.augmentation.kernels import normal_values
from pipeline.augmentation.noise import BABBLE_VOICES, Noise, NoiseValues, add_noise, pink_noise, white_noise
from pipeline.augmentation.params import NoiseKind, NoiseParams
from tests.support.speech import RATE, Waveform, speechlike

OTHERS = [f"LA_T_{number}" for number in range(40)]


def noise(kind: NoiseKind = "white", probability: float = 1.0) -> Noise:
    return Noise(NoiseParams(probability=probability, snr_db=(10.0, 30.0), kinds=(kind,)), RATE)


def values(kind: NoiseKind, snr_db: float, babble: tuple[str, ...] = ()) -> NoiseValues:
    return NoiseValues(kind, snr_db, seed=7, babble=babble, wanted=kind)


def drawn_babble(seed: int, own_id: str, others: list[str]) -> NoiseValues:
    drawn = noise("babble").draw(np.random.default_rng(seed), Clip(own_id, others))
    assert drawn is not None
    return drawn


def decibel_power(waveform: npt.NDArray[np.floating]) -> float:
    """Power about the mean: a constant offset is no signal."""
    return float(10.0 * np.log10(np.var(waveform, dtype=np.float64)))


@pytest.mark.parametrize("kind", ["white", "pink", "babble"])
@pytest.mark.parametrize("snr_db", [0.0, 10.0, 27.5])
def test_noise_has_the_drawn_signal_to_noise_ratio(kind: NoiseKind, snr_db: float) -> None:
    clip = 0.2 * speechlike()
    voices = tuple(OTHERS[:BABBLE_VOICES]) if kind == "babble" else ()
    clips = {name: speechlike(20000 + seed, seed, 100.0 + 30.0 * seed) for seed, name in enumerate(voices)}
    result = noise().apply(clip, values(kind, snr_db, voices), clips)
    assert len(result) == len(clip)
    assert decibel_power(clip) - decibel_power(result - clip) == pytest.approx(snr_db, abs=0.1)


def test_white_noise_is_flat_and_pink_noise_falls_by_three_decibels_per_octave() -> None:
    def octave_levels(noise: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        powers = np.abs(np.fft.rfft(noise)) ** 2
        edges = (np.array([62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0]) * len(noise) / RATE).astype(int)
        return 10.0 * np.log10([powers[low:high].mean() for low, high in itertools.pairwise(edges)])

    generator = np.random.default_rng(1)
    np.testing.assert_allclose(np.diff(octave_levels(white_noise(20 * RATE, generator))), 0.0, atol=0.5)
    np.testing.assert_allclose(np.diff(octave_levels(pink_noise(20 * RATE, RATE, generator))), -3.01, atol=0.5)


@given(
    kind=st.sampled_from(["white", "pink", "babble"]),
    snr_db=st.floats(-10.0, 40.0),
    n_samples=st.integers(1000, 40000),
    gain=st.floats(1e-3, 1.0),
)
@settings(max_examples=40, deadline=None)
def test_ratio_is_exact_for_any_clip(kind: NoiseKind, snr_db: float, n_samples: int, gain: float) -> None:
    clip = (gain * speechlike(n_samples)).astype(np.float32)
    voices = tuple(OTHERS[:BABBLE_VOICES]) if kind == "babble" else ()
    clips = {name: speechlike(5000 + seed, seed) for seed, name in enumerate(voices)}
    result = noise().apply(clip, values(kind, snr_db, voices), clips)
    added = result.astype(np.float64) - clip
    assert decibel_power(clip) - decibel_power(added) == pytest.approx(snr_db, abs=0.01)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_white_noise_is_standard_normal_and_independent_for_any_seed(seed: int) -> None:
    n_samples = 200_000
    drawn = white_noise(n_samples, np.random.default_rng(seed)).astype(np.float64)
    # Moments of n normal values are normal, with the variances 1 / n, 2 / n, 6 / n and 24 / n.
    moments = [drawn.mean(), drawn.var() - 1.0, scipy.stats.skew(drawn), scipy.stats.kurtosis(drawn)]
    assert np.all(np.abs(moments) < 6.0 * np.sqrt(np.array([1.0, 2.0, 6.0, 24.0]) / n_samples))
    assert scipy.stats.kstest(drawn, "norm").pvalue > 1e-7
    correlations = [np.dot(drawn[lag:], drawn[:-lag]) / n_samples for lag in (1, 2, 3, 255, 256, 511, 512, 513)]
    assert np.abs(correlations).max() < 6.0 / np.sqrt(n_samples)


def test_tails_of_white_noise_are_those_of_the_normal_distribution() -> None:
    drawn = np.abs(white_noise(4_000_000, np.random.default_rng(3)))
    for sigmas in (2.0, 3.0, 4.0, 4.5):
        expected = len(drawn) * 2.0 * scipy.stats.norm.sf(sigmas)
        assert np.count_nonzero(drawn > sigmas) == pytest.approx(expected, abs=5.0 * np.sqrt(expected))


def test_white_noise_follows_the_formula_of_box_and_muller() -> None:
    edges = np.array([0, 2**64 - 1, 2**63, 2**32 - 1, 2**32, 2**31, 3 * 2**62, (2**32 - 1) << 32], np.uint64)
    words = np.concatenate([edges, np.random.default_rng(0).integers(0, 2**64, 5000, np.uint64)])
    drawn = np.empty(2 * len(words), np.float32)
    normal_values(words, drawn)
    uniform = ((words >> np.uint64(32)).astype(np.float64) + 0.5) / 2.0**32
    angle = 2.0 * np.pi * (((words & np.uint64(2**32 - 1)).astype(np.float64) + 0.5) / 2.0**32 - 0.5)
    radius = np.sqrt(-2.0 * np.log(uniform))
    np.testing.assert_allclose(drawn[0::2], radius * np.cos(angle), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(drawn[1::2], radius * np.sin(angle), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n_samples", [1, 2, 3, 511, 512, 513, 1025])
def test_shorter_white_noise_is_the_beginning_of_a_longer_one(n_samples: int) -> None:
    longer = white_noise(2000, np.random.default_rng(5))
    np.testing.assert_array_equal(white_noise(n_samples, np.random.default_rng(5)), longer[:n_samples])


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100])
def test_pink_noise_lies_within_half_a_decibel_of_one_over_f_up_to_the_nyquist_frequency(sample_rate: int) -> None:
    drawn = pink_noise(120 * sample_rate, sample_rate, np.random.default_rng(2))
    frequencies, powers = scipy.signal.welch(drawn, sample_rate, nperseg=sample_rate)
    edges = np.geomspace(20.0, sample_rate / 2.0, 3 * int(np.log2(sample_rate / 40.0)) + 1)
    bands = [(frequencies >= low) & (frequencies < high) for low, high in itertools.pairwise(edges)]
    levels = 10.0 * np.log10([powers[band].sum() / (1.0 / frequencies[band]).sum() for band in bands])
    assert np.ptp(levels) / 2.0 < 0.5
    # Flat at the lowest frequencies: the samples of a long noise do not wander off.
    assert powers[1:4].max() < 4.0 * powers[20]


def test_pink_noise_is_stationary_from_its_first_sample_on() -> None:
    noises = [pink_noise(400, RATE, np.random.default_rng(seed)) for seed in range(3000)]
    power = np.square(noises).mean(axis=0)
    assert power[:20].mean() == pytest.approx(power[-20:].mean(), rel=0.1)


def test_babble_is_made_of_the_voices_that_were_drawn() -> None:
    clip = 0.2 * speechlike()
    names = tuple(OTHERS[:BABBLE_VOICES])
    voices = {name: speechlike(9000 + seed, seed, 100.0 + 40.0 * seed) for seed, name in enumerate(names)}
    babble = values("babble", 10.0, names)

    def applied(clips: dict[str, Waveform]) -> Waveform:
        return noise().apply(clip, babble, clips)

    first = applied(voices)
    assert np.array_equal(first, applied({"another": clip} | voices))
    assert not np.allclose(first, applied(voices | {names[2]: speechlike(9000, 9, 250.0)}))
    # Every voice has the same power, however loud its clip is.
    np.testing.assert_allclose(first, applied(voices | {names[0]: 0.01 * voices[names[0]]}), atol=1e-6)


def test_babble_needs_the_drawn_waveforms() -> None:
    with pytest.raises(ValueError, match="waveforms of b, c"):
        noise().apply(speechlike(), values("babble", 10.0, ("a", "b", "c")), {"a": speechlike()})


def test_babble_takes_three_different_others_in_any_order_of_the_list() -> None:
    for seed, own_id in enumerate(OTHERS):
        drawn = drawn_babble(seed, own_id, OTHERS)
        assert len(set(drawn.babble)) == BABBLE_VOICES
        assert own_id not in drawn.babble
        assert drawn == drawn_babble(seed, own_id, OTHERS[::-1])
        assert drawn == drawn_babble(seed, own_id, [other for other in OTHERS if other != own_id])


def test_too_few_others_for_a_babble_give_pink_noise_and_the_index_says_so() -> None:
    drawn = drawn_babble(1, "LA_T_0", ["LA_T_0", "LA_T_1", "LA_T_2"])
    told = drawn.to_dict()["noise"]
    assert (told["kind"], told["instead_of"]) == ("pink", "babble")
    assert drawn.babble == ()
    wanted = drawn_babble(1, "LA_T_0", OTHERS).to_dict()["noise"]
    assert wanted["kind"] == "babble"
    assert "instead_of" not in wanted
    assert wanted["snr_db"] == told["snr_db"]


def test_without_a_chance_nothing_is_drawn() -> None:
    assert noise(probability=0.0).draw(np.random.default_rng(0), Clip("LA_T_1", OTHERS)) is None


def test_silent_voices_and_silent_noise_leave_the_clip_as_it_is() -> None:
    silence = np.zeros(RATE, np.float32)
    clips = dict.fromkeys(("a", "b", "c"), silence)
    assert np.array_equal(noise().apply(speechlike(), values("babble", 10.0, ("a", "b", "c")), clips), speechlike())
    assert np.array_equal(add_noise(speechlike(), np.zeros(2 * RATE), 10.0), speechlike())
