"""The network: blocks of Conv → BatchNorm → ReLU → MaxPool over a spectrogram, down to one logit for bona fide.

Built of standard Keras layers alone, so that the saved file opens anywhere. Normalisation by the statistics of the training
data is a layer of it: nobody can forget it.
"""

import keras

from model.params import TrainParams
from pipeline.store import Statistics

# The first block looks at every other frame and bin: four times less work for the costliest layer.
_FIRST_STRIDE = 2
_SMALLEST_DEVIATION = 1e-3
# Keras' default, 0.99, lags whole epochs behind where an epoch has a few dozen steps.
_NORM_MOMENTUM = 0.9


def build_network(n_frames: int, statistics: Statistics, params: TrainParams, policy: str = "float32") -> keras.Model:
    """The untrained network; its initial weights follow from Keras' global seed.

    Args:
        n_frames: Frames of its input.
        statistics: Mean and deviation of each bin over the training data, in dB.
        params: `channels` gives the filters of each block, `dropout` the rate before pooling.
        policy: Keras' dtype policy of the convolutional part: "float32" or "mixed_float16". Variables are float32 always.

    Returns:
        A model from float32 [batch, n_frames, n_bins] in dB to the logit for bona fide, float32 [batch, 1].
    """
    layers = keras.layers
    n_bins = len(statistics.mean)
    # A bin that never varies, such as one beyond the corpus' band, must not be blown up.
    deviation = statistics.deviation.clip(min=_SMALLEST_DEVIATION)
    inputs = keras.Input((n_frames, n_bins), name="spectrogram_db")
    values = layers.Normalization(
        axis=-1, mean=statistics.mean.tolist(), variance=(deviation**2).tolist(), name="normalise", dtype="float32"
    )(inputs)
    values = layers.Reshape((n_frames, n_bins, 1), name="add_channel", dtype=policy)(values)
    for number, filters in enumerate(params.channels, 1):
        values = layers.Conv2D(
            filters,
            3,
            strides=_FIRST_STRIDE if number == 1 else 1,
            padding="same",
            use_bias=False,  # the BatchNorm that follows has one
            name=f"conv_{number}",
            dtype=policy,
        )(values)
        values = layers.BatchNormalization(momentum=_NORM_MOMENTUM, name=f"norm_{number}", dtype=policy)(values)
        values = layers.ReLU(name=f"relu_{number}", dtype=policy)(values)
        # "same": a short axis stops at one instead of vanishing.
        values = layers.MaxPooling2D(2, padding="same", name=f"pool_{number}", dtype=policy)(values)
    values = layers.Dropout(params.dropout, name="dropout", dtype=policy)(values)
    values = layers.GlobalAveragePooling2D(name="average", dtype=policy)(values)
    logit = layers.Dense(1, name="logit", dtype="float32")(values)
    return keras.Model(inputs, logit, name="bonafide")
