"""The front end `cqt`: librosa's filters, and librosa's transform where that is exact."""

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from pipeline.frontends.cqt import Cqt, CqtParams
from tests.support.front_ends import CQT, require_golden_values, synthetic

WIDE = CQT.model_copy(update={"f_min": 62.5, "f_max": 4000.0, "bins_per_octave": 24, "hop_length": 64})
NARROW = CQT.model_copy(update={"f_min": 300.0, "f_max": 3400.0, "bins_per_octave": 5, "hop_length": 200})


def by_definition(waveform: npt.NDArray[np.float32], params: CqtParams) -> npt.NDArray[np.float64]:
    """Each frame times the positive frequencies of librosa's filters, in float64."""
    frequencies = Cqt(params).bin_axis().values
    filters, lengths = librosa.filters.wavelet(freqs=frequencies, sr=params.sample_rate, dtype=np.complex128)
    n_fft = filters.shape[1]
    padded = np.pad(waveform.astype(np.float64), n_fft // 2)
    frames = librosa.util.frame(padded, frame_length=n_fft, hop_length=params.hop_length)
    weights = np.fft.fft(filters)[:, : 1 + n_fft // 2].conj() * np.sqrt(lengths)[:, None] / n_fft
    return 10.0 * np.log10(np.maximum(np.abs(weights @ np.fft.rfft(frames, axis=0)) ** 2, 1e-10)).T


@pytest.mark.parametrize("params", [CQT, WIDE, NARROW], ids=["12 bins", "24 bins", "5 bins"])
def test_agrees_with_the_definition(params: CqtParams) -> None:
    noise = np.random.default_rng(0).uniform(-1.0, 1.0, 16000).astype(np.float32)
    own, expected = Cqt(params)(noise), by_definition(noise, params)
    assert own.shape == expected.shape == (Cqt(params).n_frames(16000), params.n_bins)
    # Filters near half the sample rate lose what lies beyond, which the FFT length changes a little.
    amplitudes = 10.0 ** (np.array([own, expected]) / 20.0)
    assert np.abs(amplitudes[0] - amplitudes[1]).max() < 0.01 * amplitudes[1].mean()
    assert np.percentile(np.abs(own - expected), 99) < 0.03


def test_agrees_with_librosas_transform_where_a_bin_is_strong() -> None:
    frequencies = Cqt(CQT).bin_axis().values
    for number in (3, 20, 40, 60):
        tone = np.sin(2 * np.pi * frequencies[number] * np.arange(32000) / 16000).astype(np.float32)
        values = librosa.cqt(
            tone, sr=16000, hop_length=160, fmin=125.0, n_bins=CQT.n_bins, tuning=0.0, pad_mode="constant"
        )
        expected = 20.0 * np.log10(np.abs(values[number, 100]))
        assert Cqt(CQT)(tone)[100, number] == pytest.approx(expected, abs=0.2)


def test_centres_are_librosas_up_to_f_max() -> None:
    for params in (CQT, WIDE, NARROW):
        centres = Cqt(params).bin_axis().values
        expected = librosa.cqt_frequencies(params.n_bins, fmin=params.f_min, bins_per_octave=params.bins_per_octave)
        np.testing.assert_allclose(centres, expected, rtol=1e-12)
        assert centres[-1] <= params.f_max < centres[-1] * 2 ** (1 / params.bins_per_octave)
    assert CQT.model_copy(update={"f_min": 125.0, "f_max": 4000.0}).n_bins == 61


def test_white_noise_is_flat() -> None:
    noise = np.random.default_rng(1).standard_normal(160_000).astype(np.float32)
    powers = (10.0 ** (Cqt(CQT)(noise)[20:-20] / 10.0)).mean(axis=0)
    # Each bin's mean is of 50 or more independent values.
    assert np.abs(10.0 * np.log10(powers / np.median(powers))).max() < 1.5


def test_a_click_is_narrower_in_time_at_high_frequencies() -> None:
    click = np.zeros(16000, np.float32)
    click[8000] = 1.0
    values = Cqt(CQT)(click)
    assert (values.argmax(axis=0) == 50).all()
    audible = (values > values.max(axis=0) - 20.0).sum(axis=0)
    assert audible[0] > 8 * audible[-1] / 2
    assert (np.diff(audible) <= 1).all()


def test_a_tone_is_as_loud_as_the_root_of_its_filters_length() -> None:
    # |CQT| of a tone of amplitude 1 is half the root of the filter's length, as with librosa's scale=True.
    tone = np.sin(2 * np.pi * 1000 * np.arange(32000) / 16000).astype(np.float32)
    length = CQT.quality * 16
    assert Cqt(CQT)(tone)[100, 36] == pytest.approx(20 * np.log10(length**0.5 / 2), abs=0.05)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"f_max": 7900.0}, r"f_max 7900.0 must not exceed 76\d\d: the filters of 12 bins per octave"),
        ({"f_min": 7000.0}, r"f_min 7000.0 must be below f_max 7000.0"),
        ({"f_min": 1.0, "bins_per_octave": 12}, r"the filter of f_min 1.0 has 27\d{4} samples, more than 65536"),
        ({"n_fft": 512}, r"n_fft"),
    ],
)
def test_parameters_without_sense_are_refused(changed: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CqtParams.model_validate({**CQT.model_dump(), **changed})


@pytest.mark.parametrize("n_samples", [1, 100, 5000])
def test_a_clip_may_be_shorter_than_a_filter(n_samples: int) -> None:
    values = Cqt(CQT)(synthetic(n_samples))
    assert values.shape == (1 + n_samples // 160, CQT.n_bins)
    assert np.isfinite(values).all()


def test_values_of_this_version_are_those_of_the_golden_file() -> None:
    require_golden_values(Cqt(CQT), "cqt")
