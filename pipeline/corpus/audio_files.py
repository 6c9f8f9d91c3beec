"""Where the audio files of a corpus are."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath


def audio_root(corpus: Path) -> Path:
    """The folder that the manifest's paths are relative to: the corpus folder, or the folder of a corpus that is a table."""
    return corpus if corpus.is_dir() else corpus.parent


def linked_folders(root: Path, folders: Iterable[str]) -> list[str]:
    """The symbolic links to folders on the way to the audio: DVC does not look behind them.

    Args:
        root: The corpus.
        folders: Folders of audio files, relative to it.

    Returns:
        Their paths relative to the corpus, sorted.
    """
    ways = {way for folder in folders for way in (PurePosixPath(folder), *PurePosixPath(folder).parents)}
    return sorted(str(way) for way in ways - {PurePosixPath(".")} if (root / way).is_symlink())
