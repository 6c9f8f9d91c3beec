"""The network `cnn`: blocks of Conv → BatchNorm → ReLU → MaxPool over a spectrogram, then one logit for bona fide.

It consists of standard Keras layers only, so that the saved file opens without this project. Its first layer normalises the
input by the statistics of the training data.
"""

import keras

from model.params import TrainParams
from pipeline.store import Statistics

# The first convolution skips every other frame and bin: a quarter of the work for the costliest layer.
_FIRST_STRIDE = 2
_SMALLEST_DEVIATION = 1e-3
# Keras' default, 0.99, averages over several epochs when an epoch has a few dozen steps.
_NORM_MOMENTUM = 0.9


def build_cnn(n_frames: int, statistics: Statistics, params: TrainParams) -> keras.Model:
    """Builds the network; see `model.networks.build_network`.

    Args:
        n_frames: Frames of its input.
        statistics: Mean and deviation of each bin over the training data, in dB.
        params: `channels` gives the filters of each block, `dropout` the rate before pooling.
    """
    layers = keras.layers
    n_bins = len(statistics.mean)
    # A bin that never varies, such as one beyond the corpus' band, is not amplified.
    deviation = statistics.deviation.clip(min=_SMALLEST_DEVIATION)
    inputs = keras.Input((n_frames, n_bins), name="spectrogram_db")
    values = layers.Normalization(
        axis=-1, mean=statistics.mean.tolist(), variance=(deviation**2).tolist(), name="normalise", dtype="float32"
    )(inputs)
    values = layers.Reshape((n_frames, n_bins, 1), name="add_channel")(values)
    for number, filters in enumerate(params.channels, 1):
        values = layers.Conv2D(
            filters,
            3,
            strides=_FIRST_STRIDE if number == 1 else 1,
            padding="same",
            use_bias=False,  # the BatchNorm that follows has one
            name=f"conv_{number}",
        )(values)
        # Synchronised: devices that share a batch normalise by the statistics of all of it, as one device does.
        values = layers.BatchNormalization(momentum=_NORM_MOMENTUM, synchronized=True, name=f"norm_{number}")(values)
        values = layers.ReLU(name=f"relu_{number}")(values)
        # "same": an axis of one frame or bin stays at one.
        values = layers.MaxPooling2D(2, padding="same", name=f"pool_{number}")(values)
    values = layers.Dropout(params.dropout, name="dropout")(values)
    values = layers.GlobalAveragePooling2D(name="average")(values)
    logit = layers.Dense(1, name="logit", dtype="float32")(values)
    return keras.Model(inputs, logit, name="bonafide")
