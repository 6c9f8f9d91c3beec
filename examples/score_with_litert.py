"""Scores an audio file with an exported TensorFlow Lite model: needs numpy, ai-edge-litert and soundfile, nothing else.

    python score_with_litert.py data/export/bonafide_float32.tflite clip.flac

The file export.json beside the model tells the sample rate.
"""

import json
import sys
from pathlib import Path

import numpy as np
import soundfile
from ai_edge_litert.interpreter import Interpreter

VERDICTS = {1: "bona fide", 0: "spoof", -1: "uncertain"}


def main(model: str, file: str) -> None:
    """Prints the verdict of a file."""
    description = json.loads((Path(model).parent / "export.json").read_text(encoding="utf-8"))
    expected_rate = description["input"]["sample_rate"]
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    if rate != expected_rate:
        sys.exit(f"{file}: {rate} Hz; resample it to {expected_rate} Hz first")
    waveform = samples.mean(axis=1)[np.newaxis]
    outputs = Interpreter(model).get_signature_runner("waveform")(waveform=waveform)
    score, probability, verdict = (outputs[name][0] for name in ("score", "probability", "verdict"))
    print(f"{file}: {VERDICTS[int(verdict)]}, score {score:+.4f}, probability of bona fide {probability:.1%}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
