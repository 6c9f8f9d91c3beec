"""Grad-CAM: the parts of a spectrogram that were evidence for a verdict.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017. The
map is the sum of the feature maps of the last convolutional block, each weighted by the mean gradient of the output with
respect to it; negative sums become zero. It shows the place of the evidence, not its reason, with the resolution of that block.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.errors import ModelError
from model.scoring.windows import clip_windows

FloatArray = npt.NDArray[np.float32]


def grad_cam(network: keras.Model, features: npt.NDArray[np.floating[Any]], *, for_bona_fide: bool) -> FloatArray:
    """The evidence map of one clip.

    The clip is cut into windows as for its score; where windows overlap, their maps are averaged.

    Args:
        network: From float32 [batch, n_frames, n_bins] to the logit for bona fide, float32 [batch, 1].
        features: [frames, n_bins] in dB, at least one frame.
        for_bona_fide: True for the evidence for bona fide, False for the evidence for spoof.

    Returns:
        float32 [frames, n_bins] in [0, 1], relative to the strongest evidence of the clip; all zeros if there is none.

    Raises:
        ModelError: The network has no layer over time and frequency.
    """
    _, n_frames, n_bins = network.input_shape
    values = tf.constant(features, tf.float32)
    length = values.shape[0]
    windows = clip_windows(values, n_frames)
    places = clip_windows(tf.range(length)[:, tf.newaxis], n_frames)[..., 0].numpy()
    maps = _window_maps(network, windows, 1.0 if for_bona_fide else -1.0)
    total, count = np.zeros((length, n_bins)), np.zeros((length, 1))
    np.add.at(total, places.ravel(), _stretched(maps, n_frames, n_bins).reshape(-1, n_bins))
    np.add.at(count, places.ravel(), 1)
    mean = total / count
    peak = mean.max()
    return np.asarray(mean / peak if peak > 0 else mean, dtype=np.float32)


def last_block(network: keras.Model) -> keras.Layer:
    """The last layer whose output has a time and a frequency axis: what the network pools to a vector.

    Raises:
        ModelError: There is none.
    """
    for layer in reversed(network.layers):
        if len(layer.output.shape) == len(("batch", "time", "frequency", "channel")):
            return layer
    raise ModelError(f"the network {network.name!r} has no convolutional block, which Grad-CAM needs")


def _window_maps(network: keras.Model, windows: tf.Tensor, sign: float) -> FloatArray:
    """Grad-CAM of each window on the grid of the last block: float32 [windows, rows, columns], 0 or more."""
    both = keras.Model(network.inputs, [last_block(network).output, network.output])
    with tf.GradientTape() as tape:
        maps, logits = both(windows, training=False)
        target = sign * tf.reduce_sum(logits)
    weights = tf.reduce_mean(tape.gradient(target, maps), axis=(1, 2), keepdims=True)
    result: FloatArray = tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1)).numpy()
    return result


def _stretched(maps: FloatArray, n_frames: int, n_bins: int) -> FloatArray:
    """The maps interpolated to the grid of the input: float32 [windows, n_frames, n_bins]."""
    # Each pooling halves the grid and rounds up, so a cell covers a power of two of frames, and the last cell may be longer
    # than the rest of the window.
    rows, columns = maps.shape[1:]
    size = (rows * _power_of_two(n_frames / rows), columns * _power_of_two(n_bins / columns))
    stretched: FloatArray = tf.image.resize(maps[..., np.newaxis], size)[..., 0].numpy()
    return stretched[:, :n_frames, :n_bins]


def _power_of_two(ratio: float) -> int:
    return int(2 ** np.ceil(np.log2(ratio)))
