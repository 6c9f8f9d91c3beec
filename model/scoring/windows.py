"""Windows of a clip: the parts of fixed length that the network scores."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf


def clip_windows(features: tf.Tensor, n_frames: int) -> tf.Tensor:
    """The fewest windows, evenly spread, that hold every frame of a clip; a short clip is repeated to fill one.

    Args:
        features: [length, bins], at least one frame.
        n_frames: Frames of a window.

    Returns:
        [windows, n_frames, bins]
    """
    return take_frames(features, window_frames(tf.shape(features)[0], n_frames), n_frames)


def window_frames(length: tf.Tensor, n_frames: int) -> tf.Tensor:
    """The frames of each window that `clip_windows` gives, as `window_places`, in a graph.

    Args:
        length: int32 scalar, frames of the clip, at least one.
        n_frames: Frames of a window.

    Returns:
        int32 [windows, n_frames]
    """
    count = (length + n_frames - 1) // n_frames
    starts = tf.range(count) * tf.maximum(length - n_frames, 0) // tf.maximum(count - 1, 1)
    return (starts[:, tf.newaxis] + tf.range(n_frames)) % length


def window_places(length: int, n_frames: int) -> npt.NDArray[np.int64]:
    """The frames of each window that `clip_windows` gives, of a clip of this length: int64 [windows, n_frames]."""
    count = -(-length // n_frames)
    starts = np.arange(count) * max(length - n_frames, 0) // max(count - 1, 1)
    places: npt.NDArray[np.int64] = (starts[:, np.newaxis] + np.arange(n_frames)) % length
    return places


def take_frames(features: tf.Tensor, places: tf.Tensor, n_frames: int) -> tf.Tensor:
    """Takes runs of frames from a clip that repeats without end.

    Args:
        features: [length, bins], at least one frame.
        places: int32 [..., n_frames], numbers of frames from 0; beyond the clip's end they count on from its start.
        n_frames: Frames of a run, for the static shape.

    Returns:
        [..., n_frames, bins]
    """
    cut = tf.gather(features, places % tf.shape(features)[0])
    return tf.ensure_shape(cut, (*places.shape[:-1], n_frames, features.shape[-1]))
