"""The audio files of the clips of a store: where they are, and their waveforms as the features stage decodes them."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from model.errors import ModelError
from pipeline.audio import Waveform
from pipeline.audio.decode import decode_bytes
from pipeline.audio.limits import most_bytes
from pipeline.corpus.audio_files import open_audio_files
from pipeline.errors import AudioError
from pipeline.section import ClipParams


@dataclass(frozen=True)
class Audio:
    """Where the clips of a store come from.

    Attributes:
        manifest: Table with the columns of `MANIFEST_SCHEMA`.
        root: Folder that its paths are relative to, or its address in an object store.
    """

    manifest: pa.Table
    root: str

    def reader(self, params: ClipParams) -> Callable[[str], Waveform]:
        """A function that decodes the clip of an utterance id.

        The function raises `ModelError` if the clip is not there any more, or is another file than the manifest describes.
        """
        columns = (self.manifest[name].to_pylist() for name in ("utterance_id", "path", "sha256"))
        audio_files = open_audio_files(self.root)
        largest = most_bytes(params.max_duration_s)
        files = {name: (path, sha256) for name, path, sha256 in zip(*columns, strict=True)}

        def read(name: str) -> Waveform:
            if name not in files:
                raise ModelError(f"{name} is not in the manifest")
            path, sha256 = files[name]
            try:
                return decode_bytes(audio_files.read(path, largest), params, sha256).waveform
            except AudioError as error:
                raise ModelError(f"{name}, {self.root}/{path}: {error}") from None

        return read
