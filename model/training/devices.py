"""Devices and precision: what a batch is split among, and the dtype policy that the network computes in."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import keras
import tensorflow as tf

from pipeline.errors import ParamsError

_HALF_PRECISION: Final = "mixed_float16"
_FULL_PRECISION: Final = "float32"
# Volta, the first GPUs on which float16 is faster.
_HALF_PRECISION_CAPABILITY: Final = (7, 0)


def replica_devices(wanted: int | str) -> tuple[str, ...]:
    """The devices that a batch is split among: GPUs where there are any, else the CPU.

    Args:
        wanted: How many, or "auto" for all GPUs.

    Raises:
        ParamsError: There are fewer.
    """
    gpus = tuple(device.name for device in tf.config.list_logical_devices("GPU"))
    # Only a machine set up for it (tf.config.set_logical_device_configuration) shows more than one CPU.
    available = gpus or tuple(device.name for device in tf.config.list_logical_devices("CPU"))
    if wanted == "auto":
        return gpus or available[:1]
    if int(wanted) > len(available):
        kind = "GPU" if gpus else "CPU device"
        raise ParamsError(
            f"train.devices: {wanted}: TensorFlow sees {len(available)} {kind}{'s' * (len(available) != 1)}"
        )
    return available[: int(wanted)]


@functools.cache
def strategy_for(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """Mirrors variables over several devices; for one device, TensorFlow's default strategy.

    One strategy per process: a second one over the same devices reuses the keys of the first one's collective operations,
    and TensorFlow refuses keys that come back with other shapes.
    """
    return tf.distribute.MirroredStrategy(devices) if len(devices) > 1 else tf.distribute.get_strategy()


def precision_policy(wanted: bool | str) -> str:
    """Keras' dtype policy for `train.mixed_precision`: "auto" takes float16 where every GPU gains by it."""
    if wanted != "auto":
        return _HALF_PRECISION if wanted else _FULL_PRECISION
    gpus = tf.config.list_physical_devices("GPU")
    capabilities = [tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus]
    fast = bool(capabilities) and min(capabilities) >= _HALF_PRECISION_CAPABILITY
    return _HALF_PRECISION if fast else _FULL_PRECISION


@contextmanager
def computing_in(policy: str) -> Iterator[None]:
    """Layers made within compute in this dtype policy, unless they name their own; Keras' global policy is restored."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
