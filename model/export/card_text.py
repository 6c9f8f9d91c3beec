"""The sentences of the model card that no number of a run changes."""

from typing import Final

INTENDED_USE: Final = """
## Intended use

For people who check recordings and want a second opinion, for research on anti-spoofing, and as one signal among others in a
process that a person decides. The score says how much a clip resembles the bona fide and the spoofed speech of the training data.

Not for deciding alone about a person, not as evidence in court, not as the only guard of a voice login, and not for recordings
unlike the training data: other channels, codecs, languages or kinds of speech.
"""

USE: Final = """
## How to use it

Each file takes waveforms, float32 `[batch, samples]`, mono, {sample_rate} Hz, and gives `score`, `probability` and `verdict`.
Other sample rates must be resampled before.

```python
import numpy as np, onnxruntime, soundfile

waveform, rate = soundfile.read("clip.flac", dtype="float32")  # mono, {sample_rate} Hz
session = onnxruntime.InferenceSession("bonafide.onnx")
score, verdict = session.run(["score", "verdict"], {{"waveform": waveform[np.newaxis]}})
print(score[0], {{1: "bona fide", 0: "spoof", -1: "uncertain"}}[int(verdict[0])])
```

The TensorFlow Lite files have the same input and outputs under the signature `waveform`. The SavedModel has the signatures
`waveform` and `spectrogram`; the latter takes float32 `[batch, frames, bins]` in dB as the front end computes it.
"""

LIMITS: Final = """
- **Other channels and codecs.** Telephone lines, messengers and rooms change a spectrogram as much as an attack does.
- **Other languages and kinds of speech.** What the corpus does not hold was not measured: languages, ages, singing, whispering.
- **No speech.** Noise, tones and music get a score too: the exported files check neither for speech nor for likeness to train.
- **Partial fakes.** The score is the mean over the windows of a clip: a few fake words in a long recording hardly change it.
- **Who is speaking.** A replayed recording of the right person is genuine speech to it.
- **Attackers who know the detector.** Whoever can query it can adapt a fake to it.
- **Probability.** It assumes the stated prior. For another prior, add the difference of the log-odds to the score.
"""
