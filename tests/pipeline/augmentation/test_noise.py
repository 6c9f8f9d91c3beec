"""Added noise: the ratio, the spectrum and the voices are those that were drawn."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.augmentation.base import Clip
from pipeline.augmentation.noise import BABBLE_VOICES, Noise, NoiseKind, NoiseParams, NoiseValues, add_noise, pink_noise
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
    return float(10.0 * np.log10(np.mean(np.square(waveform, dtype=np.float64))))


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
    np.testing.assert_allclose(np.diff(octave_levels(generator.standard_normal(20 * RATE))), 0.0, atol=0.5)
    np.testing.assert_allclose(np.diff(octave_levels(pink_noise(20 * RATE, RATE, generator))), -3.01, atol=0.5)


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
