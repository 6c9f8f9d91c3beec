"""The exported model as TensorFlow SavedModel, which loads without this project."""

from pathlib import Path
from typing import Final

import tensorflow as tf

from model.export.serving import Detector

# The decoder gives samples of this width, and the header of a FLAC file says which it has.
_FLAC_BITS: Final = 16


def write_saved_model(detector: Detector, folder: Path) -> None:
    """Writes the signatures `waveform`, also the default one, and `spectrogram`."""
    signatures = {"waveform": detector.waveform, "spectrogram": detector.spectrogram}
    _save(folder, {**signatures, "serving_default": detector.waveform})


def write_flac_model(detector: Detector, folder: Path, sample_rate: int) -> None:
    """Writes the signature `flac`: the bytes of one FLAC file, a scalar string, to the outputs of one clip.

    The file has 16 bits and the front end's sample rate, else the call fails; channels are averaged. The decoder is that of
    tensorflow-io: whoever loads the model imports `tensorflow_io` first.
    """
    from model.dataset import decode_flac

    @tf.function(input_signature=[tf.TensorSpec((), tf.string, "flac")])
    def of_flac(flac: tf.Tensor) -> dict[str, tf.Tensor]:
        # STREAMINFO, the first block: 20 bits of sample rate, 3 of channels, 5 of bits per sample.
        header = tf.cast(tf.io.decode_raw(tf.strings.substr(flac, 18, 4), tf.uint8), tf.int32)
        rate = header[0] * 4096 + header[1] * 16 + header[2] // 16
        bits = header[2] % 2 * 16 + header[3] // 16 + 1
        checks = [
            tf.debugging.assert_equal(tf.strings.substr(flac, 0, 4), "fLaC", "not a FLAC file"),
            tf.debugging.assert_equal(rate, sample_rate, f"the sample rate is not {sample_rate} Hz"),
            tf.debugging.assert_equal(bits, _FLAC_BITS, f"the samples do not have {_FLAC_BITS} bits"),
        ]
        with tf.control_dependencies(checks):
            samples = tf.cast(decode_flac(flac), tf.float32) / float(1 << (_FLAC_BITS - 1))
        return detector.waveform(tf.reduce_mean(samples, axis=1)[tf.newaxis])

    _save(folder, {"flac": of_flac, "serving_default": of_flac})


def _save(folder: Path, signatures: dict[str, tf.types.experimental.PolymorphicFunction]) -> None:
    module = tf.Module(name="bonafide")
    tf.saved_model.save(module, str(folder), signatures=signatures)
