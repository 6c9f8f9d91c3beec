"""The level of a clip, and the gain that brings it to `features.level_dbfs`.

The level is the RMS of what is audible, about the clip's mean: of cells of 20 ms, those whose mean square is at least a tenth of
the clip's. This is the relative gate of 10 dB of ITU-R BS.1770, with shorter cells and no weighting of frequencies. Without the
gate, a clip with more silence at its ends would get louder speech.
"""

import math
from typing import Final

from pipeline.audio import Waveform
from pipeline.audio.exact import exact_power
from pipeline.frontends.base import FrontEndParams

GATE: Final = 0.1
"""Mean square of the quietest cells that count, relative to that of the clip."""
LARGEST_GAIN: Final = 1000.0
"""60 dB: a clip that is all but silent is not scaled to the level of speech."""
_CELL_S: Final = 0.02


def cell_length(params: FrontEndParams) -> int:
    """Samples of a cell."""
    return round(_CELL_S * params.sample_rate)


def target_rms(level_dbfs: float) -> float:
    """The RMS that a level in dB relative to full scale stands for; a full-scale square wave has 0 dB."""
    return exact_power(10, level_dbfs / 20.0)


def level_gain(waveform: Waveform, params: FrontEndParams) -> float:
    """The factor that brings a clip to the level of these parameters: 1 where they leave it as recorded, at most `LARGEST_GAIN`.

    Args:
        waveform: float32 [samples], at least one sample.
        params: Of any kind.
    """
    if params.level_dbfs is None:
        return 1.0
    from pipeline.frontends.kernels import active_power

    target = target_rms(params.level_dbfs)
    rms = math.sqrt(active_power(waveform, cell_length(params), GATE))
    return target / max(rms, target / LARGEST_GAIN)
