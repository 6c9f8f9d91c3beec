"""Codecs: G.711 bit for bit, length and place for all, and the rate that MP3 promises."""

import io

import numpy as np
import pytest
import soundfile

from pipeline.augmentation.aac import has_aac
from pipeline.augmentation.base import Clip
from pipeline.augmentation.codec import Codec, a_law, encoded_mp3, mu_law, through_codec
from pipeline.augmentation.params import CodecKind, CodecParams
from tests.support.speech import RATE, speechlike

KINDS: tuple[CodecKind, ...] = ("mu_law", "a_law", "gsm", "mp3", "opus", "vorbis", *(("aac",) if has_aac() else ()))


def through_libsndfile(samples: np.ndarray, subtype: str) -> np.ndarray:
    layout = {"samplerate": 8000, "format": "RAW", "subtype": subtype}
    file = io.BytesIO()
    soundfile.write(file, samples, **layout)
    file.seek(0)
    return soundfile.read(file, dtype="int16", channels=1, **layout)[0].astype(np.int32)


def test_g711_is_that_of_libsndfile_for_every_sample() -> None:
    samples = np.arange(32768, dtype=np.int32)
    np.testing.assert_array_equal(4 * mu_law(samples >> 2), through_libsndfile(samples.astype(np.int16), "ULAW"))
    np.testing.assert_array_equal(8 * a_law(samples >> 3), through_libsndfile(samples.astype(np.int16), "ALAW"))


def test_g711_of_negative_samples_mirrors_that_of_their_complement() -> None:
    samples = np.arange(32768, dtype=np.int32)
    for code, shift in ((mu_law, 2), (a_law, 3)):
        np.testing.assert_array_equal(code(~samples >> shift), -code(samples >> shift))


@pytest.mark.parametrize("kind", ["mu_law", "a_law"])
def test_g711_is_fine_for_quiet_and_coarse_for_loud_samples(kind: CodecKind) -> None:
    clip = speechlike()
    error = np.abs(through_codec(clip, kind, RATE) - clip)
    assert np.all(error <= np.abs(clip) / 32.0 + 2.0**-11)
    assert error.max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sample_rate", [16000, 44100, 8000])
def test_codecs_keep_length_place_and_level(kind: CodecKind, sample_rate: int) -> None:
    clip = 0.5 * speechlike(40001)
    result = through_codec(clip, kind, sample_rate)
    assert len(result) == len(clip)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    n_fft = 1 << 17
    likeness = np.fft.irfft(np.fft.rfft(result, n_fft) * np.conj(np.fft.rfft(clip, n_fft)), n_fft)
    assert int(likeness.argmax()) in (0, 1, n_fft - 1)
    assert 10.0 * np.log10(np.mean(result**2) / np.mean(clip**2)) == pytest.approx(0.0, abs=1.0)
    assert np.abs(result - clip).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_samples", [1, 7, 161])
def test_codecs_keep_the_length_of_the_shortest_clips(kind: CodecKind, n_samples: int) -> None:
    assert len(through_codec(speechlike(n_samples), kind, RATE)) == n_samples


def test_clip_that_no_codec_holds_is_scaled_down_and_not_cut_off() -> None:
    clip = 3.0 * speechlike() / np.abs(speechlike()).max()
    result = through_codec(clip.astype(np.float32), "mu_law", RATE)
    assert np.corrcoef(result, clip)[0, 1] > 0.999


@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_mp3_has_a_constant_rate_of_128_kilobits(sample_rate: int) -> None:
    clip = speechlike(20 * sample_rate)
    result, n_bytes = encoded_mp3(clip, sample_rate)
    assert 8.0 * n_bytes / 20.0 == pytest.approx(128_000, rel=0.02)
    assert len(result) == len(clip)


def test_codec_is_drawn_and_told() -> None:
    params = CodecParams(probability=1.0, kinds=KINDS)
    drawn = [Codec(params, RATE).draw(np.random.default_rng(seed), Clip("a", ())) for seed in range(200)]
    assert {values.to_dict()["codec"] for values in drawn if values is not None} == set(KINDS)
    never = params.model_copy(update={"probability": 0.0})
    assert Codec(never, RATE).draw(np.random.default_rng(0), Clip("a", ())) is None
