"""A toy of an exported model, made without TensorFlow: the score is a hundred times the mean square of the waveform, minus 2."""

import hashlib
import json
from pathlib import Path

import numpy as np

from model.artifacts import EXPORT_FILE, ONNX_FILE
from tests.support.front_ends import LOG_MEL

SLOPE = 100.0
INTERCEPT = -2.0


def write_toy_export(folder: Path, intercept: float = INTERCEPT) -> Path:
    """Writes bonafide.onnx and what is needed of export.json; another intercept gives another model."""
    from onnx import TensorProto, checker, helper

    constants = {"slope": SLOPE, "intercept": intercept, "zero": 0.0}
    nodes = [
        helper.make_node("Mul", ["waveform", "waveform"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["mean", "slope"], ["scaled"]),
        helper.make_node("Add", ["scaled", "intercept"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["probability"]),
        helper.make_node("Greater", ["score", "zero"], ["is_bona_fide"]),
        helper.make_node("Cast", ["is_bona_fide"], ["verdict"], to=TensorProto.INT32),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "samples"])],
        [
            helper.make_tensor_value_info(name, kind, ["batch"])
            for name, kind in (
                ("score", TensorProto.FLOAT),
                ("probability", TensorProto.FLOAT),
                ("verdict", TensorProto.INT32),
            )
        ],
        [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    checker.check_model(model)
    write_export(folder, model.SerializeToString())
    return folder


def write_export(folder: Path, onnx: bytes, front_end: object = LOG_MEL) -> None:
    """Writes an ONNX model with the part of export.json that scoring needs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ONNX_FILE).write_bytes(onnx)
    description = {
        "front_end": front_end.model_dump(mode="json"),  # type: ignore[attr-defined]
        "left_out": {},
        "sha256": {ONNX_FILE: hashlib.sha256(onnx).hexdigest()},
    }
    (folder / EXPORT_FILE).write_text(json.dumps(description))


def toy_score(waveform: np.ndarray, intercept: float = INTERCEPT) -> float:
    """What the toy says of a waveform, float32 [samples]."""
    return float(SLOPE * np.mean(np.square(waveform, dtype=np.float64)) + intercept)
