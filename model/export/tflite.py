"""The exported model for TensorFlow Lite, now called LiteRT, in three precisions of the weights."""

from pathlib import Path
from typing import Final

import tensorflow as tf

from model.artifacts import TFLITE_FILES
from model.export.saved_model import write_saved_model
from model.export.serving import Detector
from pipeline.files import atomic_write, temporary_folder
from pipeline.frontends import FeatureParams

SIGNATURE: Final = "waveform"


def refusal(features: FeatureParams) -> str | None:
    """Why there is no TensorFlow Lite model of a front end; None if there is one."""
    n_fft = getattr(features, "n_fft", None)
    # The FFTs of the kind `cqt` have lengths of its own choice, all powers of two.
    if n_fft is None or n_fft & (n_fft - 1) == 0:
        return None
    return f"the FFT of TensorFlow Lite takes powers of two, and features.n_fft is {n_fft}"


def write_tflite(detector: Detector, folder: Path) -> None:
    """Writes a file per precision of the weights: float32, float16, and int8 ("dynamic range": activations stay float32).

    Args:
        detector: With the arithmetic "single".
        folder: Gets the files of `TFLITE_FILES`.
    """
    with temporary_folder() as unconverted:
        write_saved_model(detector, unconverted / "model")
        for precision, name in TFLITE_FILES.items():
            converter = tf.lite.TFLiteConverter.from_saved_model(str(unconverted / "model"), signature_keys=[SIGNATURE])
            if precision != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if precision == "float16":
                converter.target_spec.supported_types = [tf.float16]
            atomic_write(folder / name, converter.convert())
