"""The vocoder's generator, and the discriminators that it is trained against.

Sources: generator: H. Siuzdak, "Vocos: closing the gap between time-domain and Fourier-based neural vocoders", ICLR 2024, with
ReLU in place of GELU; discriminator of periods: J. Kong, J. Kim and J. Bae, "HiFi-GAN", NeurIPS 2020; discriminator of
spectrograms: W. Jang et al., "UnivNet", Interspeech 2021. All are small: they are trained on two cores.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import librosa
import numpy as np
import tensorflow as tf

LAYERS = keras.layers
NORM_EPSILON = 1e-6
LARGEST_LOG_MAGNITUDE = 5.0
MEL_FLOOR = 1e-5
PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = (256, 512, 1024)


@dataclass(frozen=True)
class Sizes:
    """Of the generator.

    Attributes:
        sample_rate: Hz.
        n_fft: Window and transform, samples.
        hop_length: Samples.
        n_mels: Bands from 0 Hz to the Nyquist frequency.
        channels: Of every block.
        hidden: Of the middle layer of a block.
        blocks: How many.
    """

    sample_rate: int = 16000
    n_fft: int = 512
    hop_length: int = 128
    n_mels: int = 80
    channels: int = 96
    hidden: int = 288
    blocks: int = 6

    def filterbank(self) -> np.ndarray:
        """Mel filters, float32 [n_mels, bins]."""
        return librosa.filters.mel(sr=self.sample_rate, n_fft=self.n_fft, n_mels=self.n_mels)


class Scale(LAYERS.Layer):
    """A learned gain for each channel, which begins small."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.gain = self.add_weight(shape=(shape[-1],), initializer=keras.initializers.Constant(0.2), name="gain")

    def call(self, values: tf.Tensor) -> tf.Tensor:
        return values * self.gain


def generator(sizes: Sizes) -> keras.Model:
    """From normalised log-Mel [batch, frames, n_mels] to log magnitudes and phases in turns, [batch, frames, 2 · bins]."""
    mels = keras.Input((None, sizes.n_mels))
    x = LAYERS.Conv1D(sizes.channels, 7, padding="same", name="embed")(mels)
    x = LAYERS.LayerNormalization(epsilon=NORM_EPSILON, name="embed_norm")(x)
    for number in range(sizes.blocks):
        y = LAYERS.DepthwiseConv1D(7, padding="same", name=f"depthwise_{number}")(x)
        y = LAYERS.LayerNormalization(epsilon=NORM_EPSILON, name=f"norm_{number}")(y)
        y = LAYERS.Dense(sizes.hidden, activation="relu", name=f"widen_{number}")(y)
        y = LAYERS.Dense(sizes.channels, name=f"narrow_{number}")(y)
        x = LAYERS.Add()([x, Scale(name=f"scale_{number}")(y)])
    x = LAYERS.LayerNormalization(epsilon=NORM_EPSILON, name="head_norm")(x)
    return keras.Model(mels, LAYERS.Dense(sizes.n_fft + 2, name="head")(x))


def waveform(outputs: tf.Tensor, sizes: Sizes) -> tf.Tensor:
    """Waveforms, float32 [batch, (frames − 1) · hop + n_fft], of what the generator gives."""
    logs, turns = tf.split(outputs, 2, axis=-1)
    magnitudes = tf.exp(tf.minimum(logs, LARGEST_LOG_MAGNITUDE))
    angles = 2.0 * np.pi * turns
    spectra = tf.complex(magnitudes * tf.cos(angles), magnitudes * tf.sin(angles))
    window = tf.signal.inverse_stft_window_fn(sizes.hop_length)
    return tf.signal.inverse_stft(spectra, sizes.n_fft, sizes.hop_length, sizes.n_fft, window)


def save(path: Path, network: keras.Model, of_bands: dict[str, np.ndarray], description: dict[str, int]) -> None:
    """Writes the file of weights: arrays of float16 by the names of the layers, and a description as JSON.

    Args:
        path: To write to.
        network: The generator.
        of_bands: `filterbank` [n_mels, bins], `mean` and `deviation` [n_mels] of the log-Mel.
        description: What made them.
    """
    arrays = {variable.path.replace("/", "."): variable.numpy() for variable in network.trainable_variables}
    halves = {name: np.asarray(values, np.float16) for name, values in (of_bands | arrays).items()}
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as file:
        np.savez_compressed(file, description=np.array(json.dumps(description, sort_keys=True)), **halves)
    partial.rename(path)


def log_mel(waveforms: tf.Tensor, sizes: Sizes, filterbank: tf.Tensor) -> tf.Tensor:
    """Logarithms of magnitudes in mel bands, float32 [batch, frames, n_mels]; no frame reaches beyond the waveform."""
    magnitudes = tf.abs(tf.signal.stft(waveforms, sizes.n_fft, sizes.hop_length, sizes.n_fft))
    return tf.math.log(tf.maximum(tf.matmul(magnitudes, filterbank, transpose_b=True), MEL_FLOOR))


def _activated(values: keras.KerasTensor) -> keras.KerasTensor:
    return LAYERS.LeakyReLU(0.1)(values)


def period_discriminator(period: int, n_samples: int) -> keras.Model:
    """Sees every `period`-th sample in a row of its own; gives its feature maps and, last, its scores."""
    length = n_samples // period
    waveforms = keras.Input((n_samples,))
    x = LAYERS.Reshape((length, period, 1))(waveforms[:, : length * period])
    maps = []
    for channels in (8, 16, 32, 32):
        x = _activated(LAYERS.Conv2D(channels, (5, 1), (3, 1), padding="same")(x))
        maps.append(x)
    return keras.Model(waveforms, [*maps, LAYERS.Conv2D(1, (3, 1), padding="same")(x)])


def spectrogram_discriminator(n_fft: int) -> keras.Model:
    """Sees log magnitudes [frames, bins, 1]; gives its feature maps and, last, its scores."""
    spectra = keras.Input((None, n_fft // 2 + 1, 1))
    x, maps = spectra, []
    for channels in (8, 16, 16):
        x = _activated(LAYERS.Conv2D(channels, (3, 5), (1, 2), padding="same")(x))
        maps.append(x)
    return keras.Model(spectra, [*maps, LAYERS.Conv2D(1, 3, padding="same")(x)])


class Discriminators:
    """All discriminators as one.

    Args:
        n_samples: Of every waveform.
    """

    def __init__(self, n_samples: int) -> None:
        self._of_periods = [period_discriminator(period, n_samples) for period in PERIODS]
        self._of_spectra = [spectrogram_discriminator(n_fft) for n_fft in RESOLUTIONS]

    @property
    def variables(self) -> list[keras.Variable]:
        """What is trained."""
        return [v for network in (*self._of_periods, *self._of_spectra) for v in network.trainable_variables]

    def __call__(self, waveforms: tf.Tensor) -> list[Sequence[tf.Tensor]]:
        """Feature maps and scores of every discriminator for float32 [batch, n_samples]."""
        seen = [network(waveforms) for network in self._of_periods]
        for n_fft, network in zip(RESOLUTIONS, self._of_spectra, strict=True):
            seen.append(network(tf.math.log(magnitudes(waveforms, n_fft))[..., tf.newaxis]))
        return seen


def magnitudes(waveforms: tf.Tensor, n_fft: int) -> tf.Tensor:
    """Magnitudes plus 1e-4, float32 [batch, frames, bins], of windows that overlap by three quarters."""
    return tf.abs(tf.signal.stft(waveforms, n_fft, n_fft // 4, n_fft)) + 1e-4
