"""Runs the exported models as their users do, each in its own runtime."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.artifacts import ONNX_FILE, SAVED_MODEL_FOLDER, TFLITE_FILES
from model.export.tflite import SIGNATURE
from pipeline.audio import Waveform

Outputs = Mapping[str, npt.NDArray[Any]]
Runner = Callable[[Waveform], Outputs]


def _saved_model(path: Path) -> Runner:
    # The signature does not hold the model that it is of.
    model = tf.saved_model.load(str(path))

    def run(waveform: Waveform) -> Outputs:
        outputs = model.signatures["waveform"](waveform=tf.constant(waveform[np.newaxis]))
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def _tflite(path: Path) -> Runner:
    signature = tf.lite.Interpreter(str(path)).get_signature_runner(SIGNATURE)
    return lambda waveform: signature(waveform=waveform[np.newaxis])


def _onnx(path: Path) -> Runner:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(waveform: Waveform) -> Outputs:
        return dict(zip(names, session.run(names, {"waveform": waveform[np.newaxis]}), strict=True))

    return run


LOADERS: Final[Mapping[str, Callable[[Path], Runner]]] = {
    SAVED_MODEL_FOLDER: _saved_model,
    ONNX_FILE: _onnx,
    **dict.fromkeys(TFLITE_FILES.values(), _tflite),
}
"""By the name of the exported model: gives a function from one waveform, float32 [samples], to the outputs of a batch of one."""
