"""Twins: bona fide clips made into spoof by copy-synthesis. The registry of kinds, what is drawn, and how it is applied.

`Synthesizer.draw` decides from (seed, utterance id, copy, twin) alone, so neither order nor workers matter.

A new kind takes three steps: a module with a subclass of `Resynthesis`, its name in `TwinKind` (`params`), and its class in
`_KINDS`.
"""

from dataclasses import dataclass
from typing import Any, Final

from pipeline.audio import Waveform
from pipeline.augmentation.base import generator_of
from pipeline.augmentation.copy_synthesis.base import Resynthesis, Values
from pipeline.augmentation.copy_synthesis.envelope_warp import EnvelopeWarp
from pipeline.augmentation.copy_synthesis.griffin_lim import GriffinLim
from pipeline.augmentation.copy_synthesis.harmonics_noise import HarmonicsNoise
from pipeline.augmentation.copy_synthesis.lpc import Lpc
from pipeline.augmentation.copy_synthesis.matching import matched
from pipeline.augmentation.copy_synthesis.mel_magnitude import MelMagnitude
from pipeline.augmentation.copy_synthesis.neural_vocoder import NeuralVocoder
from pipeline.augmentation.copy_synthesis.params import CopySynthesisParams
from pipeline.augmentation.copy_synthesis.psola import Psola
from pipeline.augmentation.copy_synthesis.smoothed_magnitude import SmoothedMagnitude
from pipeline.augmentation.copy_synthesis.source_filter import SourceFilter
from pipeline.augmentation.copy_synthesis.spectral_images import SpectralImages

_KINDS: Final[dict[str, Resynthesis[Any]]] = {
    kind.name: kind()
    for kind in (
        GriffinLim,
        SourceFilter,
        Psola,
        HarmonicsNoise,
        Lpc,
        SmoothedMagnitude,
        MelMagnitude,
        SpectralImages,
        EnvelopeWarp,
        NeuralVocoder,
    )
}


@dataclass(frozen=True)
class Twin:
    """How one twin is made.

    Attributes:
        kind: Name of the kind.
        values: What the kind drew.
        dither_seed: Of the dither.
    """

    kind: str
    values: Values
    dither_seed: int

    def to_dict(self) -> dict[str, Any]:
        """The entry for the index column `augmentation`, JSON values."""
        return {"copy_synthesis": {"kind": self.kind, **self.values.to_dict(), "dither_seed": self.dither_seed}}


class Synthesizer:
    """Draws and makes twins.

    Args:
        params: Section `augment.copy_synthesis`.
        seed: Of `augment`.
        sample_rate: Of every waveform, Hz.
    """

    def __init__(self, params: CopySynthesisParams, seed: int, sample_rate: int) -> None:
        self._kinds = params.kinds
        self._seed = seed
        self._sample_rate = sample_rate

    def draw(self, utterance_id: str, copy: int, number: int) -> Twin:
        """Draws how one twin is made.

        The twins of one copy take the kinds in a random order, so that a kind comes again only after all others.

        Args:
            utterance_id: Whose twin.
            copy: Number of the copy whose twin it is, 0 for the original.
            number: Of the twin among those of the copy, from 0.
        """
        order = generator_of(self._seed, utterance_id, copy, "copy_synthesis").permutation(len(self._kinds))
        kind = self._kinds[int(order[number % len(self._kinds)])]
        generator = generator_of(self._seed, utterance_id, copy, "copy_synthesis", number)
        dither_seed = int(generator.random() * 2**32)
        return Twin(kind, _KINDS[kind].draw(generator), dither_seed)

    def apply(self, waveform: Waveform, twin: Twin) -> Waveform:
        """Makes a twin.

        Args:
            waveform: float32 [samples], in [-1, 1], as decoded.
            twin: From `draw`.

        Returns:
            float32 [samples], in [-1, 1], with the band, the level and the rounding of the waveform.
        """
        resynthesis = _KINDS[twin.kind].apply(waveform, twin.values, self._sample_rate)
        return matched(resynthesis, waveform, self._sample_rate, twin.dither_seed)
