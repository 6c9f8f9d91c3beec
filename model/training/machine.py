"""What a training ran on. TensorFlow's results differ between machines, so `bonafide compare` warns where this differs."""

import platform
from pathlib import Path

import tensorflow as tf

from pipeline.files import write_json
from pipeline.machine import processor


def write_machine(target: Path) -> None:
    """Writes processor, architecture, GPUs and versions as JSON."""
    gpus = (tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU"))
    write_json(
        target,
        {
            "processor": processor(),
            "architecture": platform.machine(),
            "system": platform.system(),
            "gpus": [details.get("device_name", "unknown") for details in gpus],
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
        },
    )
