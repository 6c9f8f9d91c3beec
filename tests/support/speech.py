"""Waveforms for tests that need no file: something like speech, and noise."""

import numpy as np
import numpy.typing as npt

RATE = 16000

Waveform = npt.NDArray[np.float32]


def speechlike(n_samples: int = 2 * RATE, seed: int = 0, pitch_hz: float = 120.0) -> Waveform:
    """A buzz with a wandering pitch and changing loudness over a little noise."""
    time_s = np.arange(n_samples) / RATE
    phase = 2.0 * np.pi * np.cumsum(pitch_hz * (1.0 + 0.1 * np.sin(2.0 * np.pi * 0.7 * time_s + seed))) / RATE
    buzz = sum(np.sin(k * phase) / k for k in range(1, 25))
    loudness = np.abs(np.sin(2.0 * np.pi * 2.3 * time_s + seed)) + 0.01
    hiss = 0.01 * np.random.default_rng(seed).standard_normal(n_samples)
    return (0.15 * loudness * buzz + hiss).clip(-1.0, 1.0).astype(np.float32)


def noise(n_samples: int = RATE, peak: float = 0.5, seed: int = 1) -> Waveform:
    """White noise with a given peak."""
    values = np.random.default_rng(seed).uniform(-1.0, 1.0, n_samples)
    return (peak * values / np.abs(values).max(initial=1e-9)).astype(np.float32)
