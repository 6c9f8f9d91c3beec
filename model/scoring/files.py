"""The audio files that the arguments of a command name: files, folders and patterns."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.errors import ModelError
from pipeline.audio.files import AUDIO_SUFFIXES


@dataclass(frozen=True)
class FoundFiles:
    """The files that the arguments of the command name.

    Attributes:
        paths: Each file once.
        hidden: Dot files in the folders, which are left out.
        others: Files in the folders whose names do not end as those of audio files, which are left out.
    """

    paths: list[Path]
    hidden: int
    others: int

    def missing(self) -> list[Path]:
        """Those that do not exist."""
        return [path for path in self.paths if not path.exists()]

    def left_out(self) -> str | None:
        """A sentence about the files that were left out; None without any."""
        parts = [
            f"{count:,} {name}{'s' if count != 1 else ''}"
            for count, name in ((self.hidden, "dot file"), (self.others, "file without the ending of an audio file"))
            if count
        ]
        return f"left out in the folders: {', '.join(parts)}; name a file to score it" if parts else None


def find_files(arguments: Sequence[str]) -> FoundFiles:
    """The files that the arguments name: files, folders and glob patterns.

    Args:
        arguments: A folder stands for its audio files at any depth, by the endings of their names. Files and folders whose
            names begin with a dot are left out: macOS puts a `._x.flac` that is no audio beside each `x.flac`.

    Returns:
        The files in the order of the arguments, sorted within a folder or pattern. A named file that does not exist is kept,
        so that it is reported like any other file that cannot be scored.

    Raises:
        ModelError: A folder or a pattern holds no audio file.
    """
    found: dict[Path, None] = {}
    hidden = others = 0
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            every = sorted(file for file in path.rglob("*") if file.is_file())
            shown = [file for file in every if not any(part.startswith(".") for part in file.relative_to(path).parts)]
            files = [file for file in shown if file.suffix.lower() in AUDIO_SUFFIXES]
            hidden += len(every) - len(shown)
            others += len(shown) - len(files)
            kind = "folder"
        elif glob.has_magic(argument) and not path.exists():
            names = glob.glob(argument, recursive=True)  # noqa: PTH207, since Path.glob takes no absolute pattern
            files = sorted(path for path in map(Path, names) if path.is_file())
            kind = "pattern"
        else:
            files, kind = [path], "file"
        if not files:
            raise ModelError(f"{argument}: the {kind} holds no audio file ({' '.join(sorted(AUDIO_SUFFIXES))})")
        found |= dict.fromkeys(files)
    return FoundFiles(list(found), hidden, others)
