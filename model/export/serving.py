"""The model that is exported: waveforms or spectrograms to scores and verdicts; front end, calibration and band are inside.

It is a `tf.Module` of plain TensorFlow operations, so that what is exported from it loads without this project.
"""

import json
from collections.abc import Callable
from typing import Final

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from model.bundle import Bundle
from model.export.front_end_layer import Arithmetic
from model.export.front_end_layers import front_end_layer
from model.metrics import AbstainBand
from model.scoring.windows import window_frames

OUTPUTS: Final = ("score", "probability", "verdict")
VERDICTS: Final = {1: "bona fide", 0: "spoof", -1: "uncertain"}


class Detector(tf.Module):
    """Clips to scores and verdicts.

    Both functions give `score`, float32 [batch], the log-likelihood ratio for bona fide; `probability` of bona fide, float32
    [batch], at the prior; and `verdict`, int32 [batch], by the uncertain band: 1 bona fide, 0 spoof, -1 uncertain.

    The clips of a batch have one length. A clip gets the same score in any batch: that of `bonafide score`, but for the order of
    sums.

    Attributes:
        n_bins: Bins of a spectrogram.
    """

    def __init__(self, bundle: Bundle, band: AbstainBand, prior: float, arithmetic: Arithmetic) -> None:
        super().__init__(name="bonafide")
        self.n_bins = bundle.features.n_bins
        self._front_end = front_end_layer(bundle.features, arithmetic=arithmetic, name="front_end")
        self._network = _in_float32(bundle.network)
        self._n_frames = bundle.network.input_shape[1]
        self._calibration = bundle.calibration
        self._band = band
        self._log_odds = float(-tf.math.log(1.0 / tf.constant(prior, tf.float64) - 1.0))
        self.waveform = _frozen(self._of_waveform, tf.TensorSpec((None, None), tf.float32, "waveform"))
        self.spectrogram = _frozen(
            self._of_spectrogram, tf.TensorSpec((None, None, self.n_bins), tf.float32, "spectrogram")
        )

    def _of_waveform(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        """Of float32 [batch, samples] in [-1, 1], mono, at the front end's sample rate, at least one sample."""
        return self._of_spectrogram(self._front_end(waveform))

    def _of_spectrogram(self, spectrogram: tf.Tensor) -> dict[str, tf.Tensor]:
        """Of float32 [batch, frames, n_bins] in dB, as the front end gives it, at least one frame."""
        rounded = _rounded(spectrogram)
        places = window_frames(tf.shape(rounded)[1], self._n_frames)
        windows = tf.reshape(tf.gather(rounded, places, axis=1), (-1, self._n_frames, self.n_bins))
        logits = tf.reshape(self._network(windows, training=False), tf.stack([-1, tf.shape(places)[0]]))
        score = self._calibration.slope * tf.reduce_mean(logits, axis=1) + self._calibration.intercept
        verdict = tf.where(score >= self._band.high, 1, tf.where(score < self._band.low, 0, -1))
        return {
            "score": score,
            "probability": tf.sigmoid(score + self._log_odds),
            "verdict": tf.cast(verdict, tf.int32),
        }


def _rounded(values: tf.Tensor) -> tf.Tensor:
    """Float32 rounded to the 11 digits of float16's significand, as the feature store holds them.

    Converters take two casts, there and back, for superfluous and leave them out. Source of the formula: Dekker, "A
    floating-point technique for extending the available precision", Numerische Mathematik 18, 1971, who ascribes it to Veltkamp.
    """
    scaled = values * float(2**13 + 1)
    return scaled - (scaled - values)


def _frozen(
    function: Callable[[tf.Tensor], dict[str, tf.Tensor]], spec: tf.TensorSpec
) -> tf.types.experimental.PolymorphicFunction:
    """A function of a network as a graph whose weights are constants.

    The converter to TensorFlow Lite cannot read the variables of Keras 3.
    """
    concrete = tf.function(function, input_signature=[spec]).get_concrete_function()
    names = sorted(concrete.structured_outputs)
    constant = convert_variables_to_constants_v2(concrete)
    return tf.function(lambda clips: dict(zip(names, constant(clips), strict=True)), input_signature=[spec])


def _in_float32(network: keras.Model) -> keras.Model:
    """The network without the half precision of a training on a GPU, which the runtimes of other formats do not share."""
    config = json.loads(json.dumps(network.get_config()).replace('"mixed_float16"', '"float32"'))
    copy = keras.Model.from_config(config)
    copy.set_weights(network.get_weights())
    return copy
