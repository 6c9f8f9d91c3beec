"""Kind `neural_vocoder`: a small trained network makes magnitudes and phases anew from few mel bands.

Source: H. Siuzdak, "Vocos: closing the gap between time-domain and Fourier-based neural vocoders", ICLR 2024, made small, with
ReLU. `tools/vocoder/train.py` trains it on bona fide speech against discriminators and writes the file of weights, which is
beside this module. `vocoder_layers` computes its layers.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from pipeline.audio import Waveform
from pipeline.augmentation.copy_synthesis.base import Draws, FloatArray, Resynthesis, Values, samples_at
from pipeline.augmentation.copy_synthesis.short_time import ShortTime, magnitudes, scaled
from pipeline.augmentation.copy_synthesis.vocoder_layers import (
    Array,
    convolved,
    dense,
    depthwise,
    log_bands,
    normalised,
    polar,
)
from pipeline.augmentation.kernels import power_about_mean
from pipeline.augmentation.noise import white_noise
from pipeline.errors import ParamsError
from pipeline.files import sha256_of

WEIGHTS_FILE: Final = Path(__file__).with_name("neural_vocoder.npz")
WEIGHTS_SHA256: Final = "6ece8855a5e6d13171953949eb46e42af431b7123ffa19c5d668086cc9eb9a33"
# Window and hop at 16 kHz, and the level in RMS, at which the network was trained.
_N_FFT: Final = 512
_HOPS_PER_WINDOW: Final = 4
_RMS: Final = 0.1
_LEAST_POWER: Final = 1e-20


@dataclass(frozen=True)
class NeuralVocoderValues(Values):
    """Drawn values.

    Attributes:
        level: Gain of what the network hears.
        band_noise: Standard deviation of noise on the log-Mel that it hears, in nats: bands as another program predicts them.
        seed: Of that noise.
    """

    level: float
    band_noise: float
    seed: int


class NeuralVocoder(Resynthesis[NeuralVocoderValues]):
    """Magnitudes and phases of a network. Above 8 kHz, which it does not know, the original stays."""

    name: ClassVar[str] = "neural_vocoder"

    def draw(self, generator: np.random.Generator) -> NeuralVocoderValues:
        draws = Draws(generator)
        return NeuralVocoderValues(
            level=draws.between(0.5, 2.0),
            band_noise=draws.choice(0.0, draws.between(0.0, 0.3)),
            seed=draws.seed(),
        )

    def apply(self, waveform: Waveform, values: NeuralVocoderValues, sample_rate: int) -> FloatArray:
        n_fft = samples_at(sample_rate, _N_FFT)
        short_time = ShortTime(len(waveform), n_fft, n_fft // _HOPS_PER_WINDOW)
        spectra = short_time.analyse(waveform)
        network = Network.load()
        known = min(network.n_bins, short_time.n_bins)
        power = max(power_about_mean(waveform), _LEAST_POWER)
        gain = _RMS * values.level / math.sqrt(power) * _N_FFT / n_fft
        heard = np.zeros((short_time.n_frames, network.n_bins))
        heard[:, :known] = magnitudes(spectra[:, :known]) * gain
        bands = network.log_mel(heard)
        noise = white_noise(bands.size, np.random.default_rng(values.seed)).reshape(bands.shape)
        made = np.empty_like(spectra)
        made[:, :known] = network.spectra(bands + np.float32(values.band_noise) * noise)[:, :known]
        # The network's level is its own; what is above its band follows it.
        made[:, known:] = scaled(spectra[:, known:], np.full(1, gain))
        return short_time.synthesise(made)


@dataclass(frozen=True, eq=False)
class Network:
    """The trained network.

    Attributes:
        weights: Arrays of float32 by name: `filterbank` [bands, bins], `mean` and `deviation` [bands] of the log-Mel, and those
            of the layers that `tools/vocoder/networks.py` names.
        n_blocks: Of ConvNeXt.
    """

    weights: Mapping[str, Array]
    n_blocks: int

    @classmethod
    def of(cls, file: Path) -> "Network":
        """Reads a file of weights."""
        with np.load(file) as arrays:
            weights = {name: arrays[name].astype(np.float32) for name in arrays.files if name != "description"}
        return cls(weights, sum(name.startswith("depthwise_") and name.endswith(".kernel") for name in weights))

    @staticmethod
    @functools.cache
    def load() -> "Network":
        """The network of the project.

        Raises:
            ParamsError: The file is not the one that this version of the program came with: other weights would give twins of
                other bytes in a store of the same lineage.
        """
        if not WEIGHTS_FILE.exists() or sha256_of(WEIGHTS_FILE) != WEIGHTS_SHA256:
            raise ParamsError(
                f"{WEIGHTS_FILE}: not the weights of this version of the program; install it again, or take neural_vocoder "
                "out of augment.copy_synthesis.kinds"
            )
        return Network.of(WEIGHTS_FILE)

    @property
    def n_bins(self) -> int:
        """Bins from 0 Hz to 8 kHz."""
        return self.weights["filterbank"].shape[1]

    def log_mel(self, magnitude: FloatArray) -> Array:
        """Natural logarithms of magnitudes in mel bands, float32 [frames, bands], of float64 [frames, bins]."""
        return log_bands(magnitude, self.weights["filterbank"])

    def spectra(self, bands: Array) -> npt.NDArray[np.complex128]:
        """Spectra, complex128 [frames, bins], for log-Mel float32 [frames, bands]."""
        w = self.weights
        x = convolved((bands - w["mean"]) / w["deviation"], w["embed.kernel"], w["embed.bias"])
        x = normalised(x, w["embed_norm.gamma"], w["embed_norm.beta"])
        for n in range(self.n_blocks):
            y = depthwise(x, w[f"depthwise_{n}.kernel"], w[f"depthwise_{n}.bias"])
            y = normalised(y, w[f"norm_{n}.gamma"], w[f"norm_{n}.beta"])
            y = dense(y, w[f"widen_{n}.kernel"], w[f"widen_{n}.bias"])
            y = dense(np.maximum(y, np.float32(0.0)), w[f"narrow_{n}.kernel"], w[f"narrow_{n}.bias"])
            x = x + y * w[f"scale_{n}.gain"]
        x = normalised(x, w["head_norm.gamma"], w["head_norm.beta"])
        return polar(dense(x, w["head.kernel"], w["head.bias"]))
