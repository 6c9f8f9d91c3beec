"""What all kinds of front end promise alike."""

import hashlib
import os
import subprocess
import sys

import librosa
import numpy as np
import pytest

from pipeline.frontends import FeatureParams, make_front_end
from pipeline.frontends.spectra import padded_window
from tests.support.front_ends import CQT, EVERY_KIND, LFCC, LOG_LINEAR, LOG_MEL, REPOSITORY, synthetic

every_kind = pytest.mark.parametrize("params", EVERY_KIND.values(), ids=EVERY_KIND)
frequency_kinds = pytest.mark.parametrize("params", [LOG_MEL, LOG_LINEAR, CQT], ids=lambda params: params.kind)


def test_window_is_the_periodic_hann_window_in_the_middle_of_the_frame() -> None:
    window = padded_window(LOG_MEL)
    assert window.shape == (512,)
    assert not window[:56].any()
    assert not window[456:].any()
    np.testing.assert_allclose(window[56:456], librosa.filters.get_window("hann", 400), atol=1e-15)


@pytest.mark.parametrize(
    ("params", "reach"),
    # Half a window of 400 samples; four frames more for the deltas of deltas; half of the longest FFT.
    [(LOG_MEL, 200), (LOG_LINEAR, 200), (LFCC, 200 + 4 * 160), (CQT, 2048)],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_frame_depends_on_its_own_samples_alone(params: FeatureParams, reach: int) -> None:
    waveform = synthetic(16000)
    front_end = make_front_end(params)
    whole = front_end(waveform)
    louder_elsewhere = waveform.copy()
    louder_elsewhere[8000:] = 0.9
    # Frame t sees the samples from 160 t - reach to 160 t + reach.
    untouched = (8000 - reach) // 160
    assert np.array_equal(whole[:untouched], front_end(louder_elsewhere)[:untouched])
    assert not np.array_equal(whole[50], front_end(louder_elsewhere)[50])
    later = front_end(waveform[1600:])
    first = 1 + reach // 160
    assert np.array_equal(whole[10 + first :], later[first:])


@every_kind
def test_bytes_do_not_depend_on_the_number_of_threads(params: FeatureParams) -> None:
    program = (
        f"import hashlib, sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from pipeline.frontends import make_front_end\n"
        "from tests.support.front_ends import EVERY_KIND, synthetic\n"
        f"front_end = make_front_end(EVERY_KIND[{params.kind!r}])\n"
        "print(hashlib.sha256(front_end(synthetic(100_000)).tobytes()).hexdigest())\n"
    )
    sums = set()
    for threads in ("1", "2"):
        variables = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), threads)
        run = subprocess.run(
            [sys.executable, "-c", program], env=os.environ | variables, capture_output=True, text=True, check=True
        )
        sums.add(run.stdout.strip())
    assert sums == {hashlib.sha256(make_front_end(params)(synthetic(100_000)).tobytes()).hexdigest()}


@frequency_kinds
def test_silence_lies_exactly_on_the_floor(params: FeatureParams) -> None:
    for floor_db in (-100.0, -80.0, -33.3):
        values = make_front_end(params.model_copy(update={"floor_db": floor_db}))(np.zeros(5000, np.float32))
        assert (values == np.float32(floor_db)).all()


@every_kind
def test_ten_times_louder_is_twenty_decibels_more(params: FeatureParams) -> None:
    quiet = 0.05 * np.random.default_rng(3).uniform(-1.0, 1.0, 8000).astype(np.float32)
    front_end = make_front_end(params)
    expected = front_end(quiet) + 20.0 * front_end.level_response()
    np.testing.assert_allclose(front_end(10.0 * quiet), expected, atol=1e-3)


@frequency_kinds
def test_a_tone_is_loudest_in_the_bin_of_its_frequency(params: FeatureParams) -> None:
    front_end = make_front_end(params)
    assert front_end.bin_axis().title == "frequency, Hz"
    frequencies = front_end.bin_axis().values
    assert frequencies.shape == (front_end.n_bins,)
    assert (np.diff(frequencies) > 0).all()
    for number in range(20, front_end.n_bins - 1, 7):
        tone = np.sin(2 * np.pi * frequencies[number] * np.arange(8000) / params.sample_rate).astype(np.float32)
        assert abs(int(front_end(tone)[25].argmax()) - number) <= 1


@every_kind
@pytest.mark.parametrize("n_samples", [1, 159, 160, 161, 16000])
def test_the_number_of_frames_is_told_without_computing_them(params: FeatureParams, n_samples: int) -> None:
    front_end = make_front_end(params)
    assert len(front_end(np.zeros(n_samples, np.float32))) == front_end.n_frames(n_samples)
