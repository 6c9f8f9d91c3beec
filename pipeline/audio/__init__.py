"""Audio files to waveforms, and measures of a waveform: level, silence and band edge.

Also holds the compiled inner loops that front ends and augmentation use. Corpora, augmentation and spectrograms are in
packages of their own.
"""

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]
"""float32 [samples], in [-1, 1]."""
