"""What the Keras layers of all front ends share: parameters, arithmetic, scaling to a level, frames and decibels.

A layer computes in one of three ways, as the formats of the exported models differ in what they know:

- "double": float64 with a fast Fourier transform, as the pipeline; for TensorFlow.
- "matrix": float64 with the Fourier transform as the product with a matrix; for ONNX, whose runtimes have no complex numbers.
- "single": float32 with a fast Fourier transform; for TensorFlow Lite, whose operations have no float64.

Weighted sums over FFT bins are elementwise products and sums, not matrix products: the quantisation of TensorFlow Lite takes the
constants of matrix products for weights of the network, and eight bits do not hold the range of a spectrum.
"""

from typing import Any, ClassVar, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.frontends import FrontEndParams, make_front_end
from pipeline.frontends.level import GATE, LARGEST_GAIN, cell_length, target_rms
from pipeline.frontends.spectra import Bands

Arithmetic = Literal["double", "matrix", "single"]


class FrontEndLayer(keras.layers.Layer):
    """Waveforms to spectrograms: float32 [batch, samples] in [-1, 1] to float32 [batch, frames, n_bins] in dB.

    The arithmetic is float64 by default, as in the pipeline: quiet bins beside loud ones lose digits in float32. A subclass says
    which parameters it takes and how a scaled waveform becomes values.

    Attributes:
        params: The front end.
        arithmetic: How it computes; see the module.
    """

    params_type: ClassVar[type[FrontEndParams]]

    def __init__(
        self, params: FrontEndParams | dict[str, Any], arithmetic: Arithmetic = "double", **options: Any
    ) -> None:
        super().__init__(**{**options, "dtype": "float32"})
        is_model = isinstance(params, self.params_type)
        self.params = params if is_model else self.params_type.model_validate(params)
        self.arithmetic = arithmetic
        self._front_end = make_front_end(self.params)
        self._floor_power = 10.0 ** (self.params.floor_db / 10.0)

    def values(self, waveform: tf.Tensor) -> tf.Tensor:
        """Waveforms at their final level, [batch, samples], to [batch, frames, n_bins] in dB, both in the layer's precision."""
        raise NotImplementedError

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        precision = tf.float32 if self.arithmetic == "single" else tf.float64
        return tf.cast(self.values(scaled_to_level(tf.cast(waveform, precision), self.params)), tf.float32)

    def decibels(self, powers: tf.Tensor) -> tf.Tensor:
        """Powers in dB, at least `floor_db`."""
        return float(10.0 / np.log(10.0)) * tf.math.log(tf.maximum(powers, self._floor_power))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The number of frames follows from that of samples, which may be open."""
        batch, n_samples = input_shape
        return (batch, None if n_samples is None else self._front_end.n_frames(n_samples), self.params.n_bins)

    def get_config(self) -> dict[str, Any]:
        """The parameters as JSON values."""
        params = self.params.model_dump(mode="json")
        return {**super().get_config(), "params": params, "arithmetic": self.arithmetic}


def centred_frames(waveform: tf.Tensor, n_fft: int, hop_length: int) -> tf.Tensor:
    """Frames that are centred on every `hop_length`-th sample, with zeros beyond the ends.

    Args:
        waveform: [batch, samples].
        n_fft: Samples of a frame.
        hop_length: Samples from frame to frame.

    Returns:
        [batch, frames, n_fft].
    """
    margin = n_fft // 2
    padded = tf.pad(waveform, [[0, 0], [margin, margin]])
    starts = hop_length * tf.range(1 + (tf.shape(waveform)[1] + 2 * margin - n_fft) // hop_length)
    frames = tf.gather(padded, starts[:, tf.newaxis] + tf.range(n_fft), axis=1)
    return tf.ensure_shape(frames, (None, None, n_fft))


def real_spectra(frames: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Real and imaginary parts of the FFTs of frames, [batch, frames, n_fft]: each [batch, frames, 1 + n_fft // 2]."""
    spectra = tf.signal.rfft(frames)
    return tf.math.real(spectra), tf.math.imag(spectra)


def kernel_powers(frames: tf.Tensor, kernels: npt.NDArray[np.complex128]) -> tf.Tensor:
    """|Σ frame × kernel|² of frames, float64 [batch, frames, n_fft], and kernels, [n_fft, n]: float64 [batch, frames, n]."""
    products = tf.matmul(frames, np.concatenate([kernels.real, kernels.imag], axis=1))
    real, imaginary = tf.split(products, 2, axis=-1)
    return tf.square(real) + tf.square(imaginary)


def run_sums(values: tf.Tensor, bands: Bands, weights: npt.NDArray[np.float64]) -> tf.Tensor:
    """Weighted sums over runs of neighbouring bins.

    Args:
        values: [batch, frames, n].
        bands: The runs.
        weights: Those of `bands`, or the real or the imaginary part of them.

    Returns:
        [batch, frames, runs]
    """
    lengths = np.diff(bands.offsets)
    places = np.arange(lengths.max())
    inside = places < lengths[:, np.newaxis]
    # Beyond the end of a run: any bin, times 0.
    bins = np.where(inside, bands.first_bins[:, np.newaxis] + places, 0).astype(np.int32)
    padded = np.zeros(bins.shape)
    padded[inside] = weights
    return tf.reduce_sum(tf.gather(values, bins, axis=-1) * tf.constant(padded, values.dtype), axis=-1)


def scaled_to_level(waveform: tf.Tensor, params: FrontEndParams) -> tf.Tensor:
    """Multiplies each clip of [batch, samples] by its gain, as `pipeline.frontends.level.level_gain` gives it."""
    if params.level_dbfs is None:
        return waveform
    cell, precision = cell_length(params), waveform.dtype
    n_samples = tf.shape(waveform)[1]
    n_cells = (n_samples + cell - 1) // cell
    squares = tf.square(waveform - tf.reduce_mean(waveform, axis=1, keepdims=True))
    padded = tf.pad(squares, [[0, 0], [0, n_cells * cell - n_samples]])
    energies = tf.reduce_sum(tf.reshape(padded, tf.stack([-1, n_cells, cell])), axis=2)
    counts = tf.cast(tf.minimum(cell, n_samples - cell * tf.range(n_cells)), precision)
    threshold = GATE * tf.reduce_mean(squares, axis=1, keepdims=True)
    counted = tf.cast(energies >= threshold * counts, precision)
    power = tf.reduce_sum(counted * energies, axis=1, keepdims=True) / tf.reduce_sum(
        counted * counts, axis=1, keepdims=True
    )
    target = target_rms(params.level_dbfs)
    return waveform * (target / tf.maximum(tf.sqrt(power), target / LARGEST_GAIN))
