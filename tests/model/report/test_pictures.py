import base64

import numpy as np

from model.report.pictures import evidence_picture, frequency_ticks, png_uri, spectrogram_picture
from tests.support.front_ends import LOG_MEL, SHORT_WINDOW


def test_time_runs_to_the_right_and_frequency_upwards() -> None:
    values = np.full((50, 16), -100.0, np.float16)
    values[40:45, 1] = 0.0

    spectrogram = spectrogram_picture(values)
    evidence = evidence_picture((values == 0).astype(np.float32), for_bona_fide=True)

    assert spectrogram.shape == evidence.shape == (16, 50, 4)
    assert np.argwhere(spectrogram[..., 0] < 50).tolist() == [[14, frame] for frame in range(40, 45)]
    assert np.argwhere(evidence[..., 3] > 0).tolist() == [[14, frame] for frame in range(40, 45)]


def test_the_colour_of_evidence_tells_the_class_it_speaks_for() -> None:
    evidence = np.ones((2, 2), np.float32)

    blue, orange = (evidence_picture(evidence, for_bona_fide=flag)[0, 0] for flag in (True, False))

    assert blue[2] > blue[0]
    assert orange[0] > orange[2]


def test_a_picture_is_a_png_of_the_same_bytes_each_time() -> None:
    picture = spectrogram_picture(np.random.default_rng(1).normal(-50, 20, (30, 16)))

    uri = png_uri(picture)

    assert base64.b64decode(uri.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert png_uri(picture) == uri


def test_the_frequency_axis_follows_the_bins_of_the_front_end() -> None:
    assert frequency_ticks(SHORT_WINDOW) == [(0, "125 Hz"), (50, "3.6 kHz"), (100, "7.0 kHz")]
    # Half the mel bands lie below 1.7 kHz.
    assert frequency_ticks(LOG_MEL) == [(0, "57 Hz"), (50, "1.7 kHz"), (100, "7.7 kHz")]
