"""Scores an audio file with the exported ONNX model: needs numpy, onnxruntime and soundfile, nothing else.

python score_with_onnxruntime.py data/export/bonafide.onnx clip.flac
"""

import sys

import numpy as np
import onnxruntime
import soundfile

VERDICTS = {1: "bona fide", 0: "spoof", -1: "uncertain"}


def main(model: str, file: str) -> None:
    """Prints the verdict of a file."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected_rate = int(session.get_modelmeta().custom_metadata_map["sample_rate"])
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    if rate != expected_rate:
        sys.exit(f"{file}: {rate} Hz; resample it to {expected_rate} Hz first")
    waveform = samples.mean(axis=1)[np.newaxis]
    names = ["score", "probability", "verdict"]
    score, probability, verdict = (values[0] for values in session.run(names, {"waveform": waveform}))
    print(f"{file}: {VERDICTS[int(verdict)]}, score {score:+.4f}, probability of bona fide {probability:.1%}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
