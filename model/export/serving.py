"""The serving model: a waveform to its log-likelihood ratio, front end and calibration inside."""

from typing import Any

import keras
import tensorflow as tf

from model.bundle import Bundle
from model.export.front_end_layers import front_end_layer
from model.scoring.windows import clip_windows


@keras.saving.register_keras_serializable(package="bonafide")
class Windows(keras.layers.Layer):
    """Cuts the one clip of a batch into windows, `model.scoring.windows.clip_windows` as a layer.

    [1, frames, bins] becomes [windows, n_frames, bins].
    """

    def __init__(self, n_frames: int, **options: Any) -> None:
        super().__init__(**options)
        self.n_frames = n_frames

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return clip_windows(features[0], self.n_frames)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The number of windows follows from the data."""
        return (None, self.n_frames, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The window's length."""
        return {**super().get_config(), "n_frames": self.n_frames}


@keras.saving.register_keras_serializable(package="bonafide")
class ClipScore(keras.layers.Layer):
    """The calibrated mean of the logits of a clip's windows: [windows, 1] becomes [1], a log-likelihood ratio."""

    def __init__(self, slope: float, intercept: float, **options: Any) -> None:
        super().__init__(**options)
        self.slope = slope
        self.intercept = intercept

    def call(self, logits: tf.Tensor) -> tf.Tensor:
        return self.slope * tf.reduce_mean(logits, axis=0) + self.intercept

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """One score."""
        return (1,)

    def get_config(self) -> dict[str, Any]:
        """The calibration."""
        return {**super().get_config(), "slope": self.slope, "intercept": self.intercept}


def serving_model(bundle: Bundle) -> keras.Model:
    """The whole way in one model: one waveform, float32 [1, samples] in [-1, 1], to its log-likelihood ratio, float32 [1].

    The waveform is mono, at the front end's sample rate, at least one sample long. Unlike `model.scoring.files` it does not
    round the spectrogram to float16, so scores may differ in the third digit.
    """
    waveform = keras.Input((None,), batch_size=1, name="waveform")
    features = front_end_layer(bundle.features, name="front_end")(waveform)
    windows = Windows(bundle.network.input_shape[1], name="windows")(features)
    logits = bundle.network(windows)
    score = ClipScore(bundle.calibration.slope, bundle.calibration.intercept, name="score")(logits)
    return keras.Model(waveform, score, name="bonafide_serving")
