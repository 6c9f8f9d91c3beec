"""WORLD analysis and the copy-synthesis vocoders: float64 audio at 16 kHz to float64 audio at 16 kHz."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import librosa
import numpy as np
import pyworld
import scipy.signal
from scipy.linalg import solve_toeplitz
from treatment import SAMPLE_RATE, Audio

F0_RANGE_HZ = (65.0, 500.0)


@dataclass(frozen=True)
class World:
    """WORLD parameters at 5 ms: F0 in Hz (0 = unvoiced), spectral envelope (power) and aperiodicity."""

    f0: Audio
    envelope: Audio
    aperiodicity: Audio

    @classmethod
    def analyse(cls, waveform: Audio) -> World:
        waveform = np.ascontiguousarray(waveform)
        f0, times = pyworld.dio(waveform, SAMPLE_RATE, f0_floor=F0_RANGE_HZ[0], f0_ceil=F0_RANGE_HZ[1])
        f0 = pyworld.stonemask(waveform, f0, times, SAMPLE_RATE)
        envelope = pyworld.cheaptrick(waveform, f0, times, SAMPLE_RATE)
        return cls(f0, envelope, pyworld.d4c(waveform, f0, times, SAMPLE_RATE))

    def speech_frames(self) -> Any:
        """Frames within 35 dB of the loudest: bool [frames]."""
        level = 10 * np.log10(self.envelope.mean(axis=1) + 1e-12)
        return level > np.percentile(level, 95) - 35

    def log_f0(self) -> Audio:
        """Log F0 of the voiced frames; 150 Hz where nothing is voiced."""
        voiced = self.f0[self.f0 > 0]
        return np.log(voiced) if len(voiced) else np.log(np.array([150.0]))


def copy_world(waveform: Audio, rng: np.random.Generator) -> Audio:
    """WORLD with a spectral envelope coded to 60 and an aperiodicity coded to one coefficient."""
    world = World.analyse(waveform)
    n_fft = 2 * (world.envelope.shape[1] - 1)
    coded = pyworld.code_spectral_envelope(world.envelope, SAMPLE_RATE, 60)
    envelope = pyworld.decode_spectral_envelope(coded, SAMPLE_RATE, n_fft)
    bands = pyworld.code_aperiodicity(world.aperiodicity, SAMPLE_RATE)
    aperiodicity = pyworld.decode_aperiodicity(bands, SAMPLE_RATE, n_fft)
    return pyworld.synthesize(world.f0, envelope, aperiodicity, SAMPLE_RATE)[: len(waveform)]


def copy_griffinlim(waveform: Audio, rng: np.random.Generator) -> Audio:
    """80 mel bands, inverted by the pseudo-inverse, with a phase from 60 iterations of Griffin-Lim."""
    n_fft, hop_length = 1024, 256
    mel = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=80)
    magnitude = np.abs(librosa.stft(waveform, n_fft=n_fft, hop_length=hop_length))
    inverted = np.maximum(np.linalg.pinv(mel) @ (mel @ magnitude), 1e-6)
    seed = int(rng.integers(1 << 30))
    return librosa.griffinlim(
        inverted, n_iter=60, hop_length=hop_length, n_fft=n_fft, length=len(waveform), random_state=seed
    )


def _excitation(waveform: Audio, rng: np.random.Generator) -> Audio:
    """Pulses at F0 where the recording is voiced, white noise elsewhere, both of unit power: float64 [samples]."""
    f0, times = pyworld.dio(waveform, SAMPLE_RATE, f0_floor=F0_RANGE_HZ[0], f0_ceil=F0_RANGE_HZ[1], frame_period=10.0)
    f0 = pyworld.stonemask(waveform, f0, times, SAMPLE_RATE)
    f0 = np.resize(np.repeat(f0, SAMPLE_RATE // 100), len(waveform))
    pulses = np.diff(np.floor(np.cumsum(f0) / SAMPLE_RATE), prepend=0) > 0
    noise = rng.standard_normal(len(waveform))
    voiced = pulses * np.sqrt(SAMPLE_RATE / np.maximum(f0, F0_RANGE_HZ[0])) + 0.08 * noise
    return np.where(f0 > 0, voiced, noise)


def copy_lpc(waveform: Audio, rng: np.random.Generator) -> Audio:
    """The classic LPC vocoder: order 20 every 10 ms, excited by pulses or noise."""
    window_length, hop_length, order, pre_emphasis = 480, 160, 20, 0.97
    half = window_length // 2
    excitation = np.pad(_excitation(waveform, rng), (half, window_length))
    source = np.pad(scipy.signal.lfilter([1, -pre_emphasis], [1], waveform), (half, window_length))
    window = np.hanning(window_length + 1)[:-1]
    output, weight = np.zeros(len(source)), np.zeros(len(source))
    for start in range(0, len(waveform), hop_length):
        frame = slice(start, start + window_length)
        segment = source[frame] * window
        correlation = np.correlate(segment, segment, "full")[window_length - 1 : window_length + order]
        correlation[0] = correlation[0] * 1.0005 + 1e-9
        predictor = np.concatenate([[1], solve_toeplitz(correlation[:order], -correlation[1:])])
        gain = np.sqrt(max(predictor @ correlation, 1e-12) / np.sum(window**2))
        output[frame] += scipy.signal.lfilter([gain], predictor, excitation[frame]) * window
        weight[frame] += window
    decoded = scipy.signal.lfilter([1], [1, -pre_emphasis], output / np.maximum(weight, 0.3))
    return decoded[half : half + len(waveform)]


def copy_harmonics(waveform: Audio, rng: np.random.Generator) -> Audio:
    """Harmonics plus noise: zero-phase harmonics of F0 below 4 kHz, noise above and where nothing is voiced."""
    n_fft, hop_length, edge_hz = 1024, 80, 4000.0
    world = World.analyse(waveform)
    frames = np.arange(len(waveform)) / hop_length
    grid = np.arange(len(world.f0))
    voiced = np.interp(frames, grid, (world.f0 > 0).astype(float))
    held = np.where(world.f0 > 0, world.f0, np.exp(world.log_f0().mean()))
    f0 = np.interp(frames, grid, held)
    phase = 2 * np.pi * np.cumsum(f0) / SAMPLE_RATE
    output = np.zeros(len(waveform))
    bin_hz = SAMPLE_RATE / 2 / (world.envelope.shape[1] - 1)
    for harmonic in range(1, int(edge_hz / F0_RANGE_HZ[0]) + 1):
        bins = np.round(np.minimum(harmonic * held, edge_hz) / bin_hz).astype(int)
        # A pulse train through the envelope has harmonics of this amplitude.
        amplitude = 2 * np.sqrt(world.envelope[grid, bins] * held / SAMPLE_RATE) * (harmonic * held < edge_hz)
        output += np.interp(frames, grid, amplitude) * voiced * np.cos(harmonic * phase)
    noise = librosa.stft(rng.standard_normal(len(waveform)), n_fft=n_fft, hop_length=hop_length)
    gain = np.sqrt(world.envelope[np.minimum(np.arange(noise.shape[1]), len(grid) - 1)].T)
    is_voiced = world.f0[np.minimum(np.arange(noise.shape[1]), len(grid) - 1)] > 0
    gain[: int(edge_hz / bin_hz)] *= np.where(is_voiced, 0.1, 1.0)
    return output + librosa.istft(noise * gain, hop_length=hop_length, n_fft=n_fft, length=len(waveform))


def copy_channels(waveform: Audio, rng: np.random.Generator) -> Audio:
    """The channel vocoder: pulses or noise, given the power of the recording in 24 mel bands every 10 ms."""
    n_fft, hop_length = 512, 160
    excitation = _excitation(waveform, rng)
    source, carrier = (librosa.stft(x, n_fft=n_fft, hop_length=hop_length) for x in (waveform, excitation))
    bands = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=24, norm=None)
    ratio = (bands @ np.abs(source) ** 2 + 1e-12) / (bands @ np.abs(carrier) ** 2 + 1e-12)
    gain = bands.T @ np.sqrt(ratio)
    return librosa.istft(carrier * gain, hop_length=hop_length, n_fft=n_fft, length=len(waveform))
