"""Symbolic links of a corpus: where they may lead, and which of them lead to folders."""

import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath

from pipeline.corpus.places import CorpusPath
from pipeline.errors import AudioError


class LinkPolicy:
    """Where the symbolic links of a corpus may lead: into the corpus, and into the folders that the user names.

    The root itself may be a link. Folders on the way to a file count like the file.

    Args:
        root: Of the corpus, as `audio_root` gives it.
        link_targets: Further folders, such as the cache that DVC links files from.
    """

    def __init__(self, root: CorpusPath, link_targets: Iterable[str] = ()) -> None:
        # Objects are no links.
        folders = (root, *map(Path, link_targets)) if isinstance(root, Path) else ()
        self._allowed = [folder.resolve() for folder in folders]
        # A folder has many files, which mostly are no links.
        self._resolved_folder = lru_cache(maxsize=4096)(lambda folder: folder.resolve())

    def allows(self, path: CorpusPath) -> bool:
        """Whether a path leads to a place within the allowed folders, or to none at all."""
        if not isinstance(path, Path):
            return True
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


def linked_folders(root: CorpusPath, folders: Iterable[str]) -> list[str]:
    """The symbolic links to folders on the way to the audio: DVC does not look behind them.

    Args:
        root: The corpus.
        folders: Folders of audio files, relative to it.

    Returns:
        Their paths relative to the corpus, sorted.
    """
    if not isinstance(root, Path):
        return []
    ways = {way for folder in folders for way in (PurePosixPath(folder), *PurePosixPath(folder).parents)}
    return sorted(str(way) for way in ways - {PurePosixPath(".")} if (root / way).is_symlink())
