"""Log-Mel of three framings compared with librosa, torchaudio, kaldi-native-fbank and lhotse, and how far it is from librosa.

librosa and torchaudio compute the same values. Kaldi's filter bank (kaldi-native-fbank, lhotse) has another mel scale, no
zeros beyond the ends and float32 throughout; it is the speed to compare with, not the values.

    python -m benchmarks.bench_front_end
    python -m benchmarks.bench_front_end --audio data/sample/LA
"""

import argparse

import numpy as np

from benchmarks.clips import Clips, log_mel, run_on_clips
from benchmarks.harness import Row, absolute, in_turn, skipped
from benchmarks.peers import LOG_MELS, PeerMissingError, librosa_log_mel
from pipeline.frontends import make_front_end

FRAMINGS = ((512, 400, 160, 80), (1024, 1024, 256, 128), (128, 80, 40, 40))
"""FFT, window and hop in samples, and Mel bands."""

TARGETS = {"librosa": 5.0}
LARGEST_DIFFERENCE_DB = 0.002


def rows(clips: Clips, arguments: argparse.Namespace) -> list[Row]:
    """A row per framing and peer, and one per framing with the largest difference from librosa."""
    found = []
    for framing in FRAMINGS:
        params = log_mel(*framing)
        front_end = make_front_end(params)
        name = f"log-Mel {'/'.join(map(str, framing))}"
        for peer, make in LOG_MELS.items():
            target = TARGETS.get(peer)
            try:
                extract = make(params)
                extract(clips.waveforms[0])
            except (PeerMissingError, ValueError, AssertionError) as error:
                found.append(skipped(name, peer, str(error), target))
                continue
            pairs = in_turn(front_end, extract, clips.waveforms, arguments.passes)
            found.append(pairs.row(name, peer, target, len(clips.waveforms), "clip"))
        reference = librosa_log_mel(params)
        differences = [float(np.abs(front_end(clip) - reference(clip)).max()) for clip in clips.waveforms]
        found.append(absolute(f"{name}, difference from librosa", [max(differences)], "dB", LARGEST_DIFFERENCE_DB))
    return found


def main(argv: list[str] | None = None) -> None:
    run_on_clips(__doc__, rows, argv)


if __name__ == "__main__":
    main()
