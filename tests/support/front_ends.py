"""Parameters of each kind of front end, and signals to try them on."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from pipeline.frontends import FeatureParams, FrontEnd, make_front_end
from pipeline.frontends.cqt import CqtParams
from pipeline.frontends.lfcc import LfccParams
from pipeline.frontends.log_linear import LogLinearParams
from pipeline.frontends.log_mel import LogMelParams

REPOSITORY = Path(__file__).resolve().parents[2]
_COMMON: dict[str, Any] = {
    "sample_rate": 16000,
    "hop_length": 160,
    "floor_db": -100.0,
    "min_duration_s": 0.1,
    "silence_db": -80.0,
    "max_reject_fraction": 0.01,
}
_STFT: dict[str, Any] = {**_COMMON, "n_fft": 512, "win_length": 400}
LOG_MEL = LogMelParams(**_STFT, n_mels=80, f_min=20.0, f_max=8000.0)
LOG_LINEAR = LogLinearParams(kind="log_linear", **_STFT, f_min=125.0, f_max=7000.0)
LFCC = LfccParams(kind="lfcc", **_STFT, f_min=0.0, f_max=8000.0, n_filters=20, n_coefficients=16, deltas=2)
CQT = CqtParams(kind="cqt", **_COMMON, f_min=125.0, f_max=7000.0, bins_per_octave=12)
SHORT_WINDOW = LOG_LINEAR.model_copy(update={"n_fft": 128, "win_length": 80, "hop_length": 40})
EVERY_KIND = {params.kind: params for params in (LOG_MEL, LOG_LINEAR, LFCC, CQT)}
AT_LEVEL = {f"{kind} at -26 dB": params.model_copy(update={"level_dbfs": -26.0}) for kind, params in EVERY_KIND.items()}


def digests() -> str:
    """A line per kind, as recorded and at a level, with the SHA-256 of its values; to compare processes."""
    waveform = synthetic(30_000)
    return "".join(
        f"{name} {hashlib.sha256(make_front_end(params)(waveform).astype(np.float16).tobytes()).hexdigest()}\n"
        for name, params in {**EVERY_KIND, **AT_LEVEL}.items()
    )


def synthetic(n_samples: int = 3200) -> npt.NDArray[np.float32]:
    """Reproducible to the bit anywhere: integer noise under a ramp, with a loud and a silent part."""
    index = np.arange(n_samples, dtype=np.int64)
    integers = index * index % 4093 * 7919 % 65521 - 32760
    envelope = index % 1600 - np.where(index > 2400, index % 1600, 0)
    return (integers * envelope / float(1 << 26)).astype(np.float32)


def librosa_framing(params: FeatureParams) -> dict[str, Any]:
    """Arguments of `librosa.stft` that frame and window as these parameters do."""
    lengths = {"n_fft": params.n_fft, "hop_length": params.hop_length, "win_length": params.win_length}
    return {**lengths, "window": "hann", "center": True, "pad_mode": "constant"}


@st.composite
def spectrum_params(draw: st.DrawFn, base: FeatureParams, **others: st.SearchStrategy[Any]) -> FeatureParams:
    """Any sample rate, framing, band and floor; `others` draws the keys that a kind has beside them."""
    rate = draw(st.sampled_from([4000, 8000, 11025, 16000, 44100, 48000]))
    n_fft = 2 * draw(st.integers(16, 600))
    win_length = draw(st.integers(16, n_fft))
    f_max = draw(st.floats(50.0, rate / 2))
    return base.model_copy(
        update={
            "sample_rate": rate,
            "n_fft": n_fft,
            "win_length": win_length,
            "hop_length": draw(st.integers(max(1, win_length // 8), win_length)),
            "f_min": draw(st.floats(0.0, f_max * 0.9)),
            "f_max": f_max,
            "floor_db": draw(st.sampled_from([-200.0, -100.0, -60.0, 0.0])),
            **{name: draw(strategy) for name, strategy in others.items()},
        }
    )


@st.composite
def waveforms(draw: st.DrawFn) -> npt.NDArray[np.float32]:
    n_samples = draw(st.integers(1, 6000))
    index = np.arange(n_samples)
    kind = draw(st.sampled_from(["noise", "tone", "click", "silence", "chirp"]))
    level = 10.0 ** draw(st.floats(-4.0, 0.0))
    values = {
        "noise": np.random.default_rng(n_samples).uniform(-1.0, 1.0, n_samples),
        "tone": np.sin(index * draw(st.floats(0.01, 3.0))),
        "click": (index == n_samples // 2).astype(float),
        "silence": np.zeros(n_samples),
        "chirp": np.sin(index**2 * 1e-4),
    }[kind]
    return (level * values).astype(np.float32)


def require_golden_values(front_end: FrontEnd, name: str) -> None:
    """Compares a front end's values with the golden file of its version."""
    file = f"tests/pipeline/golden/{name}_v{front_end.version}.npy"
    golden = np.load(REPOSITORY / file)
    own = front_end(synthetic()).astype(np.float16)
    assert own.shape == golden.shape
    same_bytes = hashlib.sha256(own.tobytes()).digest() == hashlib.sha256(golden.tobytes()).digest()
    # On another architecture than x86-64 a few values may round to the neighbouring float16.
    steps = np.abs(own.astype(np.float32) - golden.astype(np.float32)) / np.abs(np.spacing(golden)).astype(np.float32)
    assert same_bytes or (steps.max() <= 1.0 and (steps > 0.0).mean() < 0.01), (
        f"{name} gives other values than version {front_end.version} did (up to {steps.max():g} float16 steps, "
        f"{(steps > 0.0).mean():.1%} of the values). If that is meant, raise the version of the front end, which makes every "
        f"older feature store stale, and save the new values as {file.replace(f'v{front_end.version}', 'v<version>')}"
    )


if __name__ == "__main__":
    print(digests(), end="")
