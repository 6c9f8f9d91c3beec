"""Where the audio files of a corpus are, and which paths stay within it.

The ids and paths of a corpus come from whoever made it. A path that leaves the corpus is refused before a byte is read.
"""

import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath

from pipeline.errors import AudioError


def audio_root(corpus: Path) -> Path:
    """The folder that the manifest's paths are relative to: the corpus folder, or the folder of a corpus that is a table."""
    return corpus if corpus.is_dir() else corpus.parent


def is_below(relative: str) -> bool:
    """Whether a POSIX path, as text alone, is relative and stays below the folder that it is relative to."""
    path = PurePosixPath(relative)
    return "\0" not in relative and not path.is_absolute() and bool(path.parts) and ".." not in path.parts


def clip_path(root: Path, relative: str) -> Path:
    """The path of a clip.

    Args:
        root: Of the corpus, as `audio_root` gives it.
        relative: Path of the clip, as a manifest has it.

    Raises:
        AudioError: `unreadable`: the path leaves the corpus.
    """
    if not is_below(relative):
        raise AudioError("unreadable", "the path leaves the folder of the corpus")
    return root / relative


class LinkPolicy:
    """Where the symbolic links of a corpus may lead: into the corpus, and into the folders that the user names.

    The root itself may be a link. Folders on the way to a file count like the file.

    Args:
        root: Of the corpus, as `audio_root` gives it.
        link_targets: Further folders, such as the cache that DVC links files from.
    """

    def __init__(self, root: Path, link_targets: Iterable[str] = ()) -> None:
        self._allowed = [folder.resolve() for folder in (root, *map(Path, link_targets))]
        # A folder has many files, which mostly are no links.
        self._resolved_folder = lru_cache(maxsize=4096)(lambda folder: folder.resolve())

    def allows(self, path: Path) -> bool:
        """Whether a path leads to a place within the allowed folders, or to none at all."""
        try:
            resolved = self._resolved_folder(path.parent) / path.name
            if stat.S_ISLNK(resolved.lstat().st_mode):
                resolved = resolved.resolve()
        except (OSError, RuntimeError, ValueError):
            return True  # reading it tells what is wrong
        return any(resolved.is_relative_to(folder) for folder in self._allowed)

    def require(self, path: Path) -> None:
        """Refuses a path that leaves the allowed folders.

        Raises:
            AudioError: `unreadable`.
        """
        if not self.allows(path):
            raise AudioError(
                "unreadable", "a link that leaves the corpus; to follow it, add its folder to data.link_targets"
            )


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
