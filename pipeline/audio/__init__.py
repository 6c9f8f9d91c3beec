"""Audio files to waveforms, and plain measures of a waveform.

Decoding, level, silence and band edge, with the compiled kernels that they and the packages above use. No corpus, no
augmentation, no spectrogram.
"""

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]
"""float32 [samples], in [-1, 1]."""
