"""What other tools do with the same clips: the functions that the benchmarks compare with.

librosa is installed with the development dependencies, kaldi-native-fbank with the extra `bench`. torchaudio and lhotse need
torch, which brings gigabytes of CUDA on Linux and is therefore not in the lock file; they are compared where they are
installed (extra `bench_torch`). Every function runs on one thread.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt

from pipeline.frontends.log_mel import LogMelParams
from pipeline.store.records import Example, encode_example
from pipeline.store.writer import StoredExample

Waveform = npt.NDArray[np.float32]
Spectrogram = npt.NDArray[np.float32]


class PeerMissingError(Exception):
    """A peer is not installed; the message names it and tells how to install it."""

    def __init__(self, peer: str, extra: str) -> None:
        super().__init__(f'{peer} is not installed (pip install -e ".[{extra}]")')


def librosa_log_mel(params: LogMelParams) -> Callable[[Waveform], Spectrogram]:
    """The same values as the front end, from librosa: float32 [frames, n_mels]."""
    framing = {"n_fft": params.n_fft, "hop_length": params.hop_length, "win_length": params.win_length}
    bands = {"n_mels": params.n_mels, "fmin": params.f_min, "fmax": params.f_max}
    lowest = 10.0 ** (params.floor_db / 10.0)

    def extract(waveform: Waveform) -> Spectrogram:
        powers = librosa.feature.melspectrogram(y=waveform, sr=params.sample_rate, **framing, **bands)
        return librosa.power_to_db(powers, amin=lowest, top_db=None).T

    return extract


def torchaudio_log_mel(params: LogMelParams) -> Callable[[Waveform], Spectrogram]:
    """The same values as the front end, from torchaudio in float32: float32 [frames, n_mels].

    Raises:
        PeerMissingError: torchaudio is not installed.
    """
    try:
        import torch
        import torchaudio
    except ImportError:
        raise PeerMissingError("torchaudio", "bench_torch") from None
    torch.set_num_threads(1)
    mel = torchaudio.transforms.MelSpectrogram(
        params.sample_rate,
        n_fft=params.n_fft,
        win_length=params.win_length,
        hop_length=params.hop_length,
        f_min=params.f_min,
        f_max=params.f_max,
        n_mels=params.n_mels,
        pad_mode="constant",
        norm="slaney",
        mel_scale="slaney",
    )
    decibels = torchaudio.transforms.AmplitudeToDB("power")

    def extract(waveform: Waveform) -> Spectrogram:
        with torch.inference_mode():
            return decibels(mel(torch.from_numpy(waveform))).numpy().T

    return extract


def kaldi_log_mel(params: LogMelParams) -> Callable[[Waveform], Spectrogram]:
    """Kaldi's log-Mel filter bank, of the same framing and bands but Kaldi's mel scale: float32 [frames, n_mels].

    Raises:
        PeerMissingError: kaldi-native-fbank is not installed.
    """
    try:
        import kaldi_native_fbank as knf
    except ImportError:
        raise PeerMissingError("kaldi-native-fbank", "bench") from None
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = params.sample_rate
    options.frame_opts.frame_length_ms = 1e3 * params.win_length / params.sample_rate
    options.frame_opts.frame_shift_ms = 1e3 * params.hop_length / params.sample_rate
    options.frame_opts.window_type = "hanning"
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = params.n_mels
    options.mel_opts.low_freq = params.f_min
    options.mel_opts.high_freq = params.f_max

    def extract(waveform: Waveform) -> Spectrogram:
        bank = knf.OnlineFbank(options)
        bank.accept_waveform(params.sample_rate, waveform)
        bank.input_finished()
        return np.stack([bank.get_frame(number) for number in range(bank.num_frames_ready)])

    return extract


def lhotse_log_mel(params: LogMelParams) -> Callable[[Waveform], Spectrogram]:
    """Lhotse's `Fbank`, of the same framing and bands but Kaldi's mel scale: float32 [frames, n_mels].

    Raises:
        PeerMissingError: lhotse is not installed.
    """
    try:
        import torch
        from lhotse import Fbank, FbankConfig
    except ImportError:
        raise PeerMissingError("lhotse", "bench_torch") from None
    torch.set_num_threads(1)
    bank = Fbank(
        FbankConfig(
            sampling_rate=params.sample_rate,
            frame_length=params.win_length / params.sample_rate,
            frame_shift=params.hop_length / params.sample_rate,
            window_type="hanning",
            num_filters=params.n_mels,
            low_freq=params.f_min,
            high_freq=params.f_max,
        )
    )

    def extract(waveform: Waveform) -> Spectrogram:
        return np.asarray(bank.extract(waveform, params.sample_rate))

    return extract


def lhotse_writer(folder: Path) -> Callable[[str, npt.NDArray[Any]], Any]:
    """Lhotse's `NumpyFilesWriter`, which compresses nothing: a function of id and array.

    Raises:
        PeerMissingError: lhotse is not installed.
    """
    try:
        from lhotse import NumpyFilesWriter
    except ImportError:
        raise PeerMissingError("lhotse", "bench_torch") from None
    return NumpyFilesWriter(folder).write


LOG_MELS = {
    "librosa": librosa_log_mel,
    "torchaudio": torchaudio_log_mel,
    "kaldi-native-fbank": kaldi_log_mel,
    "lhotse Fbank": lhotse_log_mel,
}
"""Functions that make a log-Mel extractor of parameters, by the name of the peer."""


def add_noise(waveform: Waveform, noise: npt.NDArray[Any], snr_db: float) -> npt.NDArray[Any]:
    """Adds noise at a signal-to-noise ratio as one writes it in numpy."""
    return waveform + noise * np.sqrt(np.mean(waveform**2) / np.mean(noise**2) / 10.0 ** (snr_db / 10.0))


def pink_noise(n_samples: int, sample_rate: int) -> npt.NDArray[np.float64]:
    """Noise whose power falls with 1/f as one writes it in numpy."""
    spectrum = np.fft.rfft(np.random.randn(n_samples))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(n_samples, 1.0 / sample_rate), 20.0))
    return np.fft.irfft(spectrum, n_samples)


class NaiveLoop:
    """The features job as one writes it in a notebook: load, effects, spectrogram and `np.save`, file by file.

    It follows the recipes that the job draws, so both do the same work: the same clips, effects and voices.
    """

    def __init__(self, paths: Mapping[str, Path], params: LogMelParams, output: Path) -> None:
        self._paths = paths
        self._rate = params.sample_rate
        self._extract = librosa_log_mel(params)
        self._output = output

    def load(self, utterance_id: str) -> Waveform:
        """Decodes a clip."""
        return librosa.load(self._paths[utterance_id], sr=self._rate)[0]

    def __call__(self, utterance_id: str, recipes: list[dict[str, Any]]) -> None:
        """Writes the spectrogram of a clip, and one of each copy that a recipe describes (as the index states it)."""
        original = self.load(utterance_id)
        np.save(self._output / f"{utterance_id}_0.npy", self._extract(original))
        for copy, recipe in enumerate(recipes, 1):
            np.save(self._output / f"{utterance_id}_{copy}.npy", self._extract(self._augmented(original, recipe)))

    def _augmented(self, waveform: Waveform, recipe: dict[str, Any]) -> npt.NDArray[Any]:
        if "pitch_shift_semitones" in recipe:
            waveform = librosa.effects.pitch_shift(waveform, sr=self._rate, n_steps=recipe["pitch_shift_semitones"])
        if "time_stretch_rate" in recipe:
            waveform = librosa.effects.time_stretch(waveform, rate=recipe["time_stretch_rate"])
        noise = recipe.get("noise")
        if noise is None:
            return waveform
        if noise["kind"] == "babble":
            added = sum(np.resize(self.load(voice), len(waveform)) for voice in noise["babble"])
        elif noise["kind"] == "pink":
            added = pink_noise(len(waveform), self._rate)
        else:
            added = np.random.randn(len(waveform))
        return add_noise(waveform, added, noise["snr_db"])


class BeamWriter:
    """Beam's `WriteToTFRecord` of examples in one file, on Beam's runner in this process.

    Its calls include the runner, whose cost for no examples is small against that of a thousand.
    """

    def __init__(self, examples: list[StoredExample], folder: Path) -> None:
        self._examples = examples
        self._prefix = str(folder / "records")

    def __call__(self, _: object = None) -> None:
        """Encodes and writes all examples."""
        import apache_beam as beam
        from apache_beam.io import WriteToTFRecord

        # Elements are numbers, so that the runner does not keep the examples in its description of the pipeline.
        _TO_WRITE[:] = self._examples
        with beam.Pipeline("DirectRunner", options=beam.options.pipeline_options.PipelineOptions([])) as pipeline:
            numbers = pipeline | beam.Create(range(len(self._examples)))
            # bytes
            _ = numbers | beam.Map(_encoded) | WriteToTFRecord(self._prefix, num_shards=1)


_TO_WRITE: list[StoredExample] = []


def _encoded(number: int) -> bytes:
    item = _TO_WRITE[number]
    source = item.source
    return encode_example(
        Example(source.utterance_id, source.speaker_id, source.attack_id, source.label, item.copy, item.features)
    )
