"""Pitch shift and time stretch: a tone moves by what was drawn, and librosa agrees."""

from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import soxr

from pipeline.augmentation.base import Clip
from pipeline.augmentation.params import PitchShiftParams, TimeStretchParams
from pipeline.augmentation.pitch_tempo import PitchTempo, PitchTempoValues, change_pitch_and_tempo, stretched_length
from pipeline.frontends.log_mel import LogMel
from pipeline.params import load_params
from tests.support.front_ends import LOG_MEL
from tests.support.speech import RATE, Waveform, speechlike

PARAMS = load_params(Path(__file__).resolve().parents[3] / "params.yaml")
CLIP = Clip("LA_T_1", ())


def pitch_tempo(pitch: float, stretch: float) -> PitchTempo:
    """The kind with these probabilities."""
    return PitchTempo(
        PitchShiftParams(probability=pitch, semitones=(-2.0, 2.0)),
        TimeStretchParams(probability=stretch, rate=(0.9, 1.1)),
        RATE,
    )


def pitch_hz(waveform: Waveform) -> float:
    """Frequency of the strongest line."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 1 << 18))
    return float(spectrum.argmax() * RATE / (1 << 18))


def tone() -> Waveform:
    return np.sin(2.0 * np.pi * 500.0 * np.arange(2 * RATE) / RATE).astype(np.float32)


def mean_log_mel_difference(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    log_mel = LogMel(LOG_MEL)
    return float(np.abs(log_mel(first.astype(np.float32)) - log_mel(second.astype(np.float32))).mean())


@pytest.mark.parametrize("semitones", [-7.0, -2.0, 0.5, 2.0, 12.0])
def test_pitch_shift_moves_a_tone_by_its_semitones_and_keeps_the_length(semitones: float) -> None:
    shifted = change_pitch_and_tempo(tone(), semitones, 1.0, RATE)
    assert len(shifted) == len(tone())
    assert pitch_hz(shifted) == pytest.approx(500.0 * 2.0 ** (semitones / 12.0), rel=1e-3)


@pytest.mark.parametrize("rate", [0.5, 0.9, 1.1, 2.0])
def test_time_stretch_keeps_the_pitch(rate: float) -> None:
    stretched = change_pitch_and_tempo(tone(), 0.0, rate, RATE)
    assert len(stretched) == round(len(tone()) / rate)
    assert pitch_hz(stretched) == pytest.approx(500.0, rel=1e-3)


def test_pitch_and_tempo_together_do_both() -> None:
    result = change_pitch_and_tempo(tone(), 2.0, 1.1, RATE)
    assert len(result) == round(len(tone()) / 1.1)
    assert pitch_hz(result) == pytest.approx(500.0 * 2.0 ** (2.0 / 12.0), rel=1e-3)


@pytest.mark.parametrize("rate", [0.8, 0.95, 1.07, 1.3])
def test_time_stretch_agrees_with_librosa(rate: float) -> None:
    clip = speechlike()
    own = change_pitch_and_tempo(clip, 0.0, rate, RATE)
    # In float32 librosa's running phase, thousands of radians, loses digits; in float64 the algorithm itself is compared.
    assert mean_log_mel_difference(own, librosa.effects.time_stretch(clip.astype(np.float64), rate=rate)) < 0.002
    assert mean_log_mel_difference(own, librosa.effects.time_stretch(clip, rate=rate)) < 0.05


@pytest.mark.parametrize("rate", [0.25, 0.5, 2.0, 4.0])
def test_extreme_rates_agree_with_librosa_in_float64(rate: float) -> None:
    clip = speechlike()
    own = change_pitch_and_tempo(clip, 0.0, rate, RATE)
    reference = librosa.effects.time_stretch(clip.astype(np.float64), rate=rate)
    assert mean_log_mel_difference(own, reference) < 0.002


@pytest.mark.parametrize("semitones", [-2.0, -0.3, 1.5])
def test_pitch_shift_agrees_with_librosa(semitones: float) -> None:
    clip = speechlike()
    own = change_pitch_and_tempo(clip, semitones, 1.0, RATE)
    reference = librosa.effects.pitch_shift(clip.astype(np.float64), sr=RATE, n_steps=semitones, res_type="soxr_vhq")
    assert len(own) == len(reference)
    assert mean_log_mel_difference(own, reference) < 0.002
    assert (
        mean_log_mel_difference(own, librosa.effects.pitch_shift(clip, sr=RATE, n_steps=semitones, res_type="soxr_vhq"))
        < 0.05
    )


def test_pitch_resampler_is_soxr_at_its_very_high_quality() -> None:
    clip = speechlike()
    ratio = 2.0 ** (-1.5 / 12.0)
    stretched = change_pitch_and_tempo(clip, 0.0, ratio, RATE)
    resampled = soxr.resample(stretched, RATE / ratio, RATE, quality="VHQ")[: len(clip)]
    np.testing.assert_array_equal(change_pitch_and_tempo(clip, 1.5, 1.0, RATE)[: len(resampled)], resampled)


def test_only_what_is_drawn_is_changed_and_told() -> None:
    generator = np.random.default_rng(0)
    assert pitch_tempo(0.0, 0.0).draw(generator, CLIP) is None
    shift, stretch = pitch_tempo(1.0, 0.0).draw(generator, CLIP), pitch_tempo(0.0, 1.0).draw(generator, CLIP)
    assert shift is not None
    assert stretch is not None
    assert list(shift.to_dict()) == ["pitch_shift_semitones"]
    assert list(stretch.to_dict()) == ["time_stretch_rate"]
    assert len(pitch_tempo(1.0, 0.0).apply(tone(), shift, {})) == len(tone())
    stretched = pitch_tempo(0.0, 1.0).apply(tone(), stretch, {})
    assert len(stretched) == stretched_length(len(tone()), stretch.to_dict()["time_stretch_rate"])
    assert pitch_hz(stretched) == pytest.approx(500.0, rel=1e-3)


def test_probability_of_the_pitch_shift_leaves_the_drawn_tempo_alone_and_vice_versa() -> None:
    for seed in range(50):
        both = pitch_tempo(1.0, 1.0).draw(np.random.default_rng(seed), CLIP)
        assert both is not None
        shift = pitch_tempo(1.0, 0.0).draw(np.random.default_rng(seed), CLIP)
        stretch = pitch_tempo(0.0, 1.0).draw(np.random.default_rng(seed), CLIP)
        assert shift == PitchTempoValues(pitch_shift_semitones=both.pitch_shift_semitones)
        assert stretch == PitchTempoValues(time_stretch_rate=both.time_stretch_rate)
