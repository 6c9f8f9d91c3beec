"""The exported model for TensorFlow Lite, now called LiteRT, in three precisions of the weights."""

import copy
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from model.artifacts import TFLITE_FILES
from model.export.saved_model import write_saved_model
from model.export.serving import Detector
from pipeline.files import atomic_write, temporary_folder
from pipeline.frontends import FeatureParams

SIGNATURE: Final = "waveform"
_WEIGHTED: Final = (
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
)


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
            if precision == "int8":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converted = converter.convert()
            atomic_write(folder / name, with_half_weights(converted) if precision == "float16" else converted)


def with_half_weights(model: bytes) -> bytes:
    """A model of float32 with the weights of convolutions and dense layers in float16; operations compute in float32.

    The converter's own float16 would also take the constants of the front end, such as its window and its floor of 1e-10: their
    rounding changes the score of a clip by up to 0.2.
    """
    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    dequantize = len(content.operatorCodes)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 2  # the first that takes float16
    content.operatorCodes.append(code)
    for graph in content.subgraphs:
        weights = {
            operator.inputs[1]
            for operator in graph.operators
            if content.operatorCodes[operator.opcodeIndex].builtinCode in _WEIGHTED
        }
        for index in sorted(weights):
            tensor = graph.tensors[index]
            values = content.buffers[tensor.buffer].data
            if values is not None and tensor.type == schema.TensorType.FLOAT32:
                graph.operators.insert(0, _widening(content, graph, index, values, dequantize))
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def _widening(
    content: schema.ModelT, graph: schema.SubGraphT, index: int, values: np.ndarray, dequantize: int
) -> schema.OperatorT:
    """Stores a constant tensor as float16; gives the operation that makes the float32 tensor from it."""
    wide = graph.tensors[index]
    half = copy.copy(wide)
    half.type = schema.TensorType.FLOAT16
    half.name = wide.name + b"/float16"
    half.buffer = len(content.buffers)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.float32).astype(np.float16).view(np.uint8)
    content.buffers.append(buffer)
    # Buffer 0 is empty: the values come from the operation. Nothing else uses the buffer of a weight.
    content.buffers[wide.buffer].data = None
    wide.buffer = 0
    operator = schema.OperatorT()
    operator.opcodeIndex = dequantize
    operator.inputs, operator.outputs = [len(graph.tensors)], [index]
    graph.tensors.append(half)
    return operator
