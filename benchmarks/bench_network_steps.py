"""The time of a training step of each network on the device that Keras' backend uses, without input.

    python benchmarks/bench_network_steps.py --json steps.json
    KERAS_BACKEND=jax python benchmarks/bench_network_steps.py --batches 64 256 1024 --precisions float32 mixed_float16

The networks are those of params.yaml's crop and bins, and consist of standard Keras layers, so that any backend computes them:
`bench_training.py --gpu` measures the training as it is, which needs TensorFlow; this script needs Keras and one backend. It
compiles each network with Adam and the loss on the logit, and times steps on random batches that lie in host memory, transfer to
the device included. The first steps, which compile, are left out.
"""

import argparse
import importlib
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from model.networks import NETWORKS, build_network
from model.params import load_params
from pipeline.params import load_params as load_pipeline_params
from pipeline.store import Statistics

REPOSITORY = Path(__file__).resolve().parent.parent
WARM_UP = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=sorted(NETWORKS), choices=sorted(NETWORKS))
    parser.add_argument("--batches", nargs="+", type=int, default=[64])
    parser.add_argument("--precisions", nargs="+", default=["float32"], help="Keras dtype policies")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [
        measured_step(name, batch, precision, arguments.steps)
        for name in arguments.networks
        for precision in arguments.precisions
        for batch in arguments.batches
    ]
    if arguments.json:
        arguments.json.write_text(json.dumps({"device": device(), "rows": rows}, indent=1) + "\n")


def measured_step(name: str, batch: int, precision: str, steps: int) -> dict[str, Any]:
    """Times steps of one network; prints and returns the row."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    keras.mixed_precision.set_global_policy(precision)
    params = load_params(REPOSITORY / "params.yaml").train.model_copy(update={"network": name})
    features = load_pipeline_params(REPOSITORY / "params.yaml").features
    n_frames = round(params.crop_s * features.sample_rate / features.hop_length)
    n_bins = features.n_bins
    statistics = Statistics(np.full(n_bins, -50.0), np.full(n_bins, 15.0), 1000)
    network = build_network(n_frames, statistics, params)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    network.compile(optimizer=keras.optimizers.Adam(params.learning_rate, clipnorm=params.clip_norm), loss=loss)
    draw = np.random.default_rng(0)
    spectrograms = draw.normal(-50.0, 15.0, (batch, n_frames, n_bins)).astype(np.float32)
    labels = (np.arange(batch) % 2).astype(np.float32)[:, None]
    times = []
    for _ in range(WARM_UP + steps):
        began = time.perf_counter()
        value = float(network.train_on_batch(spectrograms, labels))
        times.append(time.perf_counter() - began)
    assert np.isfinite(value), f"{name} in {precision}: the loss is {value}"
    low, middle, high = np.percentile(times[WARM_UP:], [25, 50, 75])
    row = {
        "network": name,
        "precision": precision,
        "batch": batch,
        "step_ms": [round(1e3 * float(part), 3) for part in (low, middle, high)],
        "examples_per_s": round(batch / float(middle)),
        "weights": int(network.count_params()),
        "loss": value,
    }
    print(
        f"{name:7} {precision:15} batch {batch:5}: {row['step_ms'][1]:9.3f} ms "
        f"({row['step_ms'][0]:.3f} to {row['step_ms'][2]:.3f}), {row['examples_per_s']:7,} examples/s",
        flush=True,
    )
    return row


def device() -> str:
    """Backend and device, in words."""
    name = keras.backend.backend()
    backend = importlib.import_module(name)
    if name == "jax":
        kind = backend.devices()[0].device_kind
    elif name == "torch":
        kind = backend.cuda.get_device_name() if backend.cuda.is_available() else "CPU"
    else:
        gpus = backend.config.list_physical_devices("GPU")
        kind = backend.config.experimental.get_device_details(gpus[0]).get("device_name") if gpus else "CPU"
    return f"{name} {backend.__version__}, {kind}"


if __name__ == "__main__":
    main()
