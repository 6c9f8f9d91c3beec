"""The audio files of the clips of a store: where they are, and their waveforms as the features stage decodes them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from model.errors import ModelError
from pipeline.audio import Waveform
from pipeline.corpus.audio_files import open_audio_files
from pipeline.corpus.clip_files import ClipFiles
from pipeline.corpus.places import CorpusPath
from pipeline.errors import AudioError
from pipeline.section import ClipParams


@dataclass(frozen=True)
class Audio:
    """Where the clips of a store come from.

    Attributes:
        manifest: Table with the columns of `MANIFEST_SCHEMA`.
        root: Folder that its paths are relative to.
    """

    manifest: pa.Table
    root: CorpusPath

    @cached_property
    def files(self) -> ClipFiles:
        """Where each clip is, by utterance id."""
        return ClipFiles(self.manifest)

    def reader(self, params: ClipParams) -> Callable[[str], Waveform]:
        """A function that decodes the clip of an utterance id.

        The function raises `ModelError` if the clip is not there any more, or is another file than the manifest describes.
        """
        files, audio_files = self.files, open_audio_files(self.root)

        def read(name: str) -> Waveform:
            found = files.find(name)
            if found is None:
                raise ModelError(f"{name} is not in the manifest")
            path, sha256 = found
            try:
                return audio_files.decode(path, params, sha256).waveform
            except AudioError as error:
                raise ModelError(f"{name}, {self.root / path}: {error}") from None

        return read
