"""The exported model as ONNX."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from model.export.serving import Detector
from pipeline.files import atomic_write
from pipeline.frontends import FeatureParams, make_front_end
from pipeline.frontends.cqt import Cqt

OPSET: Final = 17
"""Version of the operators; onnxruntime knows it from 1.14 on."""
LARGEST_KERNELS: Final = 64 * 2**20
"""Bytes of the matrices that stand for the Fourier transforms."""


def refusal(features: FeatureParams) -> str | None:
    """Why there is no ONNX model of a front end; None if there is one."""
    front_end = make_front_end(features)
    if isinstance(front_end, Cqt):
        n_values = sum(2 * n_fft * len(bands.first_bins) for n_fft, _, bands in front_end.groups)
        key = "f_min"
    else:
        n_values = features.n_fft * (features.n_fft + 2)
        key = "n_fft"
    n_bytes = n_values * np.dtype(np.float64).itemsize
    if n_bytes <= LARGEST_KERNELS:
        return None
    return (
        f"its runtimes have no FFT of float64, and with features.{key} {getattr(features, key):g} the matrix in its place has "
        f"{n_bytes / 2**20:,.0f} MiB, more than {LARGEST_KERNELS / 2**20:.0f}"
    )


def write_onnx(detector: Detector, target: Path, metadata: Mapping[str, str]) -> None:
    """Writes the way from waveform to the outputs.

    Args:
        detector: With the arithmetic "matrix".
        target: The file.
        metadata: For programs that read the file, such as the sample rate.
    """
    import onnx
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(
        detector.waveform,
        input_signature=detector.waveform.input_signature,
        opset=OPSET,
        # Its own handler takes logarithms in float32.
        custom_op_handlers={"Log": (lambda graph, node, name, arguments: node, ["Log"])},
    )
    model.graph.name = "bonafide"
    for values in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(values.type.tensor_type.shape.dim, ("batch", "samples"), strict=False):
            dimension.dim_param = name
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    atomic_write(target, model.SerializeToString(deterministic=True))
