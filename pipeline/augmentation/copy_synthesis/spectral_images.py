"""Kind `spectral_images`: the high band becomes images of the low band, as the upsampling layers of vocoders leave them.

Source: J. Pons et al., "Upsampling artifacts in neural audio synthesis", ICASSP 2021.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.augmentation.copy_synthesis.base import Draws, FloatArray, Resynthesis, Values, samples_at
from pipeline.augmentation.copy_synthesis.short_time import ShortTime, exps, log_magnitudes
from pipeline.augmentation.copy_synthesis.smoothed_magnitude import smoothed

_N_FFT = 1024
_HOPS_PER_WINDOW = 4
_ENVELOPE_BINS = 12.0
_ENVELOPE_FRAMES = 1.0


@dataclass(frozen=True)
class SpectralImagesValues(Values):
    """Drawn values.

    Attributes:
        edge: Where the images begin, as a share of the Nyquist frequency.
        share: Of the image in the high band; the rest is the original.
        is_mirrored: Whether each image is a mirror image of the one before, as with zeros inserted; else it is shifted.
    """

    edge: float
    share: float
    is_mirrored: bool


class SpectralImages(Resynthesis[SpectralImagesValues]):
    """Images of the low band, with the envelope of the high band."""

    name: ClassVar[str] = "spectral_images"

    def draw(self, generator: np.random.Generator) -> SpectralImagesValues:
        draws = Draws(generator)
        return SpectralImagesValues(
            edge=draws.choice(0.25, 0.375, 0.5), share=draws.between(0.3, 1.0), is_mirrored=draws.chance(0.5)
        )

    def apply(self, waveform: Waveform, values: SpectralImagesValues, sample_rate: int) -> FloatArray:
        n_fft = samples_at(sample_rate, _N_FFT)
        short_time = ShortTime(len(waveform), n_fft, n_fft // _HOPS_PER_WINDOW)
        spectra = short_time.analyse(waveform)
        envelope = exps(smoothed(log_magnitudes(spectra), _ENVELOPE_FRAMES, _ENVELOPE_BINS))
        out = np.empty_like(spectra)
        first = int(short_time.n_bins * values.edge)
        _add_images(spectra, envelope, first, values.share, values.is_mirrored, out)
        return short_time.synthesise(out)


@compiled
def _add_images(spectra: Any, envelope: Any, first: int, share: float, is_mirrored: bool, out: Any) -> None:
    for t in range(spectra.shape[0]):
        for k in range(spectra.shape[1]):
            value = spectra[t, k]
            if k < first:
                out[t, k] = value
                continue
            source = k % first
            if is_mirrored and (k // first) % 2 == 1:
                source = first - 1 - source
            image = spectra[t, source]
            gain = share * envelope[t, k] / envelope[t, source]
            rest = 1.0 - share
            out[t, k] = complex(gain * image.real + rest * value.real, gain * image.imag + rest * value.imag)
