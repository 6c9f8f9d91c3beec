"""Where the audio files of a corpus are."""

from pathlib import Path


def audio_root(corpus: Path) -> Path:
    """The folder that the manifest's paths are relative to: the corpus folder, or the folder of a corpus that is a table."""
    return corpus if corpus.is_dir() else corpus.parent
