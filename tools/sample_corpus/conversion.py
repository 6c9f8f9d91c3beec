"""Voice conversion: a recording at 16 kHz gets the voice of a target speaker."""

from __future__ import annotations

from dataclasses import dataclass

import librosa
import numpy as np
import parselmouth
import pyworld
import scipy.signal
from parselmouth.praat import call as praat
from scipy.spatial import cKDTree
from treatment import SAMPLE_RATE, Audio
from vocoders import F0_RANGE_HZ, World


@dataclass(frozen=True)
class TargetVoice:
    """What conversion needs of a target speaker: frames of envelope and cepstrum, mean and deviation of log F0."""

    envelope: Audio
    cepstrum: Audio
    log_f0_mean: float
    log_f0_std: float

    @classmethod
    def learn(cls, recordings: list[Audio]) -> TargetVoice:
        analysed = [World.analyse(recording) for recording in recordings]
        envelope = np.concatenate([world.envelope[world.speech_frames()] for world in analysed])
        log_f0 = np.concatenate([world.log_f0() for world in analysed])
        cepstrum = pyworld.code_spectral_envelope(np.ascontiguousarray(envelope), SAMPLE_RATE, 25)
        return cls(envelope, cepstrum, float(log_f0.mean()), float(log_f0.std() + 1e-3))


def convert_nearest(waveform: Audio, target: TargetVoice, rng: np.random.Generator) -> Audio:
    """Replace each envelope by the mean of the four nearest ones of the target; move F0; synthesise with WORLD."""
    world = World.analyse(waveform)
    cepstrum = pyworld.code_spectral_envelope(world.envelope, SAMPLE_RATE, 25)
    speech = cepstrum[world.speech_frames()]
    weight = np.concatenate([[0.4], np.ones(24)])
    # Each speaker's cepstra are normalised by his own statistics, so that the search compares sounds, not voices.
    known = (target.cepstrum - target.cepstrum.mean(axis=0)) / (target.cepstrum.std(axis=0) + 1e-6)
    asked = (cepstrum - speech.mean(axis=0)) / (speech.std(axis=0) + 1e-6)
    _, nearest = cKDTree(known * weight).query(asked * weight, k=4)
    envelope = np.log(target.envelope[nearest]).mean(axis=1)
    envelope = np.exp(scipy.signal.savgol_filter(envelope, 5, 1, axis=0))
    envelope *= (world.envelope.mean(axis=1) / envelope.mean(axis=1))[:, None]
    voiced, log_f0 = world.f0 > 0, world.log_f0()
    spread = np.clip(target.log_f0_std / (log_f0.std() + 1e-3), 0.6, 1.6)
    f0 = np.zeros_like(world.f0)
    if voiced.any():
        f0[voiced] = np.exp((log_f0 - log_f0.mean()) * spread + target.log_f0_mean)
    f0 = np.clip(f0, 0, F0_RANGE_HZ[1])
    envelope = np.ascontiguousarray(envelope)
    return pyworld.synthesize(f0, envelope, world.aperiodicity, SAMPLE_RATE)[: len(waveform)]


def _away_from_one(factor: float, least: float, rng: np.random.Generator) -> float:
    """The factor, or one farther from 1 to a drawn side if it is so close to 1 that it would convert nothing."""
    if abs(factor - 1) >= least:
        return factor
    return 1 + 1.4 * least * (1 if rng.random() < 0.5 else -1)


def convert_filter(waveform: Audio, target: TargetVoice, rng: np.random.Generator) -> Audio:
    """Warp the cepstral envelope and tilt it towards the target's; keep the source's excitation and phase."""
    n_fft, hop_length, win_length, n_lifter = 1024, 160, 640, 30
    world = World.analyse(waveform)
    spectrum = librosa.stft(waveform, n_fft=n_fft, hop_length=hop_length, win_length=win_length)
    ratio = float(np.exp(0.35 * (target.log_f0_mean - world.log_f0().mean())))
    warp = _away_from_one(float(np.clip(ratio, 0.82, 1.22)), 0.06, rng)
    cepstrum = np.fft.irfft(np.log(np.abs(spectrum.T) + 1e-7), axis=1)
    cepstrum[:, n_lifter : 1 - n_lifter] = 0
    envelope = np.fft.rfft(cepstrum, axis=1).real
    bins = np.arange(n_fft // 2 + 1)
    warped = np.stack([np.interp(bins / warp, bins, frame) for frame in envelope])
    own = np.log(world.envelope[world.speech_frames()]).mean(axis=0)
    tilt = 0.5 * (np.log(target.envelope).mean(axis=0) - own)
    tilt = scipy.signal.savgol_filter(np.interp(bins, np.linspace(0, n_fft // 2, len(tilt)), tilt), 61, 2)
    tilt = np.clip(0.7 * (tilt - tilt.mean()), -1.5, 1.5)
    gain = np.exp(np.clip(warped - envelope, -2.5, 2.5) + tilt)
    return librosa.istft(
        spectrum * gain.T, hop_length=hop_length, win_length=win_length, n_fft=n_fft, length=len(waveform)
    )


def convert_psola(waveform: Audio, target: TargetVoice, rng: np.random.Generator) -> Audio:
    """Praat's overlap-add: the target's median pitch, formants shifted by resampling."""
    # Praat jitters the periods of unvoiced stretches, with a generator of its own.
    parselmouth.praat.run(f"random_initializeWithSeedUnsafelyButPredictably ({int(rng.integers(1 << 30))})")
    sound = parselmouth.Sound(waveform, SAMPLE_RATE)
    median = praat(praat(sound, "To Pitch", 0.0, *F0_RANGE_HZ), "Get quantile", 0, 0, 0.5, "Hertz")
    goal = float(np.exp(target.log_f0_mean))
    ratio = (goal / median) ** 0.3 if np.isfinite(median) else 1.0
    formants = _away_from_one(float(np.clip(ratio, 0.82, 1.22)), 0.05, rng)
    return np.asarray(praat(sound, "Change gender", *F0_RANGE_HZ, formants, goal, 1.0, 1.0).values[0])
