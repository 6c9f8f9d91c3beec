"""The exported model as ONNX."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

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
    _order(model.graph)
    model.graph.name = "bonafide"
    model.graph.doc_string = "Waveform to score, probability and verdict"
    for values in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(values.type.tensor_type.shape.dim, ("batch", "samples"), strict=False):
            dimension.dim_param = name
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    atomic_write(target, model.SerializeToString(deterministic=True))


def _order(graph: Any) -> None:
    """Orders and names the nodes and constants of a graph by its outputs: the converter's order and names differ between runs.

    Args:
        graph: An `onnx.GraphProto` without nested graphs, changed in place.
    """
    producers = {output: node for node in graph.node for output in node.output}
    constants = {constant.name: constant for constant in graph.initializer}
    kept = {"", *(value.name for value in (*graph.input, *graph.output))}
    names: dict[str, str] = {}
    ordered: list[Any] = []
    waiting = sorted((value.name for value in graph.output), reverse=True)
    while waiting:
        node = producers.get(waiting[-1])
        missing = [] if node is None else [name for name in node.input if name not in names and name in producers]
        if missing:
            waiting += reversed(missing)
        elif waiting.pop() not in names and node is not None:
            ordered.append(node)
            names |= {name: name if name in kept else f"value_{len(ordered)}_{i}" for i, name in enumerate(node.output)}
            used = [name for name in node.input if name in constants and name not in names]
            names |= {name: f"constant_{len(ordered)}_{number}" for number, name in enumerate(used)}
    for number, node in enumerate(ordered, 1):
        # A layer of the network keeps its name; in the front end the converter joins equal operations of any of their names.
        layer = node.name.partition("/bonafide")[2].partition("/")[2].partition("/")[0]
        node.name = f"{layer or node.op_type}_{number}"
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
    used_constants = sorted((names[name], constant) for name, constant in constants.items() if name in names)
    for name, constant in used_constants:
        constant.name = name
    _refill(graph.node, ordered)
    _refill(graph.initializer, [constant for _, constant in used_constants])
    # Shapes in between, by the old names.
    _refill(graph.value_info, [])


def _refill(field: Any, items: list[Any]) -> None:
    """Replaces the content of a repeated field by some of its own items."""
    copies = [copy.deepcopy(item) for item in items]
    del field[:]
    field.extend(copies)
