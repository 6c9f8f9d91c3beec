"""The treatment that bona fide and spoofed clips share: margins, band, level, dither.

Cutting, filtering and scaling must not reveal the class of a clip, so both classes pass through `finish` and draw their margins
and level from the same distributions. All audio is float64 [samples] at 16 kHz, in [-1, 1], until `finish`
makes it int16.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16000
WIN_LENGTH = 400
HOP_LENGTH = 160
N_FFT = 1024

# Raised-cosine edges of the band that every clip keeps, in Hz. The narrowest source (G.722) ends at 7 kHz; below 100 Hz
# rumble and remains of LPC and PSOLA would tell the classes apart (probe: 32 % EER with an edge at 60 Hz).
LOW_EDGE_HZ = (100.0, 160.0)
HIGH_EDGE_HZ = (6500.0, 6800.0)
MARGIN_S = (0.09, 0.24)
SHORTEST_S = 1
LEVEL_DB = (-33.0, -21.0)
PEAK_LIMIT = 0.9
FADE_LENGTH = 160

Audio = npt.NDArray[np.float64]


def frame_level_db(waveform: Audio) -> Audio:
    """Mean power of 25 ms frames every 10 ms, in dB re full scale: float64 [frames]."""
    padded = np.pad(waveform, (0, max(0, WIN_LENGTH - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WIN_LENGTH)[::HOP_LENGTH]
    return np.asarray(10 * np.log10(np.mean(frames**2, axis=1) + 1e-12))


def speech_mask(waveform: Audio) -> npt.NDArray[np.bool_]:
    """Frames that hold speech, by level alone; bursts shorter than 40 ms do not count: bool [frames]."""
    level = frame_level_db(waveform)
    top, floor = np.percentile(level, 97), np.percentile(level, 5)
    mask = level > max(top - 38.0, min(floor + 8.0, top - 15.0))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - start < 4:
            mask[start:stop] = False
    return mask


def speech_bounds(waveform: Audio) -> tuple[int, int]:
    """First and one-past-last sample of speech; the whole clip where none is found."""
    active = np.flatnonzero(speech_mask(waveform))
    if not len(active):
        return 0, len(waveform)
    return int(active[0]) * HOP_LENGTH, min(len(waveform), int(active[-1]) * HOP_LENGTH + WIN_LENGTH)


def active_rms(waveform: Audio) -> float:
    """Root mean square of the speech frames."""
    level, mask = frame_level_db(waveform), speech_mask(waveform)
    return float(np.sqrt(np.mean(10 ** (level[mask if mask.any() else slice(None)] / 10))))


def mean_psd(waveform: Audio, part: str) -> Audio:
    """Mean power spectrum of the `loud` or the `quiet` frames: float64 [N_FFT // 2 + 1]."""
    padded = np.pad(waveform, (0, max(0, N_FFT - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[:: N_FFT // 2]
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    chosen = level > np.percentile(level, 97) - 25 if part == "loud" else level < np.percentile(level, 10) + 1
    window = np.hanning(N_FFT)
    spectrum = np.abs(np.fft.rfft(frames[chosen if chosen.any() else slice(None)] * window, axis=1)) ** 2
    return np.asarray(spectrum.mean(axis=0) / np.sum(window**2))


def smooth_log_psd(psd: Audio, n_bands: int = 36) -> Audio:
    """Natural log of a power spectrum, smoothed over mel-spaced triangles, on the FFT grid."""
    mel = 1127 * np.log1p(np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE) / 700)
    centres = np.linspace(mel[2], mel[-1], n_bands)
    weights = np.maximum(0, 1 - np.abs(mel[None, :] - centres[:, None]) / (centres[1] - centres[0]))
    weights /= weights.sum(axis=1, keepdims=True) + 1e-12
    return np.interp(mel, centres, np.log(weights @ psd + 1e-14))


def equalise(waveform: Audio, log_power_gain: Audio) -> Audio:
    """Filter with a linear-phase FIR whose log power gain is given on the FFT grid."""
    impulse = np.fft.fftshift(np.fft.irfft(np.exp(0.5 * log_power_gain), N_FFT)) * np.hanning(N_FFT)
    return np.convolve(waveform, impulse, mode="same")


def shaped_noise(n_samples: int, psd: Audio, rng: np.random.Generator) -> Audio:
    """Gaussian noise with the given mean power spectrum."""
    size = max(n_samples, N_FFT) + N_FFT
    grid = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)
    gain = np.sqrt(np.interp(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), grid, psd))
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * gain, size)[:n_samples]


def limit_band(waveform: Audio) -> Audio:
    """Filter a clip to the band that all clips share."""
    pad = 2048
    frequency = np.fft.rfftfreq(len(waveform) + 2 * pad, 1 / SAMPLE_RATE)
    low = np.clip((frequency - LOW_EDGE_HZ[0]) / (LOW_EDGE_HZ[1] - LOW_EDGE_HZ[0]), 0, 1)
    high = np.clip((HIGH_EDGE_HZ[1] - frequency) / (HIGH_EDGE_HZ[1] - HIGH_EDGE_HZ[0]), 0, 1)
    gain = 0.25 * (1 - np.cos(np.pi * low)) * (1 - np.cos(np.pi * high))
    return np.fft.irfft(np.fft.rfft(np.pad(waveform, pad)) * gain, len(waveform) + 2 * pad)[pad:-pad]


def match_channel(speech: Audio, speech_psd: Audio, noise_psd: Audio, rng: np.random.Generator) -> Audio:
    """Give clean synthetic speech a speaker's mean spectrum, loudness and noise floor (±20 dB of filtering at most)."""
    gain = smooth_log_psd(speech_psd) - smooth_log_psd(mean_psd(speech, "loud"))
    matched = equalise(speech, np.clip(gain - gain.mean(), -4.6, 4.6))
    matched = matched * np.sqrt(speech_psd.mean() / (mean_psd(matched, "loud").mean() + 1e-14))
    matched = np.pad(matched, int(0.35 * SAMPLE_RATE))
    return matched + shaped_noise(len(matched), noise_psd, rng)


def join(pieces: list[Audio], rng: np.random.Generator) -> Audio:
    """Speak short recordings one after the other, each with a little of its own silence around it."""
    joined = np.zeros(0)
    for piece in pieces:
        start, stop = speech_bounds(piece)
        before, after = (int(SAMPLE_RATE * rng.uniform(0.04, 0.1)) for _ in range(2))
        part = piece[max(0, start - before) : stop + after].copy()
        overlap = min(FADE_LENGTH, len(joined), len(part))
        if overlap:
            ramp = np.linspace(0, 1, overlap)
            joined[-overlap:] = joined[-overlap:] * (1 - ramp) + part[:overlap] * ramp
        joined = np.concatenate([joined, part[overlap:]])
    return joined


def finish(waveform: Audio, noise_psd: Audio, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Cut to the speech with drawn margins, limit the band, set a drawn level and dither to 16 bits.

    Args:
        waveform: float64 [samples] at 16 kHz.
        noise_psd: power spectrum of the noise that fills a margin where the recording has none.
        rng: draws margins (`MARGIN_S`, longer where the clip would last less than `SHORTEST_S`), level (`LEVEL_DB`,
            active RMS), noise and dither.

    Returns:
        int16 [samples].
    """
    start, stop = speech_bounds(waveform)
    lead, tail = (int(SAMPLE_RATE * rng.uniform(*MARGIN_S)) for _ in range(2))
    level_db = rng.uniform(*LEVEL_DB)
    short = max(0, SHORTEST_S * SAMPLE_RATE - (stop - start) - lead - tail)
    lead, tail = lead + short // 2, tail + short - short // 2
    missing_lead, missing_tail = max(0, lead - start), max(0, stop + tail - len(waveform))
    clip = np.pad(waveform[max(0, start - lead) : stop + tail], (missing_lead, missing_tail))
    own = np.ones(len(clip))
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(FADE_LENGTH) / FADE_LENGTH)
    if missing_lead:
        own[:missing_lead] = 0
        own[missing_lead : missing_lead + FADE_LENGTH] = ramp
    if missing_tail:
        own[-missing_tail:] = 0
        own[-missing_tail - FADE_LENGTH : -missing_tail] = ramp[::-1]
    if missing_lead or missing_tail:
        clip = clip * own + shaped_noise(len(clip), noise_psd, rng) * np.sqrt(1 - own**2)
    clip = limit_band(clip)
    clip *= 10 ** (level_db / 20) / (active_rms(clip) + 1e-9)
    clip *= min(1.0, PEAK_LIMIT / (np.abs(clip).max() + 1e-9))
    edge = FADE_LENGTH // 2
    clip[:edge] *= ramp[::2]
    clip[-edge:] *= ramp[::-2]
    dither = rng.uniform(-0.5, 0.5, len(clip)) + rng.uniform(-0.5, 0.5, len(clip))
    return np.asarray(np.clip(np.round(clip * 32767 + dither), -32768, 32767), dtype=np.int16)
