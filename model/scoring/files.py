"""The audio files that the arguments of a command name: files, folders and patterns."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from model.errors import ModelError
from pipeline.audio.files import AUDIO_SUFFIXES
from pipeline.corpus.places import CorpusPath, corpus_path


@dataclass(frozen=True)
class FoundFiles:
    """The files that the arguments of the command name.

    Attributes:
        paths: Each file once.
        hidden: Dot files in the folders, which are left out.
        others: Files in the folders whose names do not end as those of audio files, which are left out.
        named: Those that an argument names itself.
    """

    paths: list[CorpusPath]
    hidden: int
    others: int
    named: list[CorpusPath]

    def missing(self) -> list[CorpusPath]:
        """Those that do not exist."""
        return [path for path in self.named if not path.exists()]

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
        arguments: Paths, and addresses in buckets, where only the last part may be a pattern. A folder stands for its audio
            files at any depth, by the endings of their names. Files and folders whose names begin with a dot are left out:
            macOS puts a `._x.flac` that is no audio beside each `x.flac`.

    Returns:
        The files in the order of the arguments, sorted within a folder or pattern. A named file that does not exist is kept,
        so that it is reported like any other file that cannot be scored.

    Raises:
        ModelError: A folder or a pattern holds no audio file.
    """
    found: dict[str, CorpusPath] = {}
    named: list[CorpusPath] = []
    hidden = others = 0
    for argument in arguments:
        path = corpus_path(argument)
        files: Sequence[CorpusPath]
        if path.is_dir():
            every = _files_below(path)
            shown = [name for name in every if not any(part.startswith(".") for part in PurePosixPath(name).parts)]
            audio = [name for name in shown if PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES]
            hidden += len(every) - len(shown)
            others += len(shown) - len(audio)
            files, kind = [path / name for name in audio], "folder"
        elif glob.has_magic(argument) and not path.exists():
            files, kind = _matching(path), "pattern"
        else:
            files, kind = [path], "file"
            named.append(path)
        if not files:
            raise ModelError(f"{argument}: the {kind} holds no audio file ({' '.join(sorted(AUDIO_SUFFIXES))})")
        found |= {str(file): file for file in files}
    return FoundFiles(list(found.values()), hidden, others, named)


def _files_below(folder: CorpusPath) -> list[str]:
    """The names of all files below a folder, relative to it, in the order of their paths."""
    if isinstance(folder, Path):
        return [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
    return folder.files_below()


def _matching(pattern: CorpusPath) -> Sequence[CorpusPath]:
    """The files that a pattern matches, sorted."""
    if isinstance(pattern, Path):
        names = glob.glob(str(pattern), recursive=True)  # noqa: PTH207, since Path.glob takes no absolute pattern
        return sorted(path for path in map(Path, names) if path.is_file())
    if glob.has_magic(str(pattern.parent)):
        raise ModelError(
            f"{pattern}: in a bucket only the last part of an address may be a pattern; name a folder instead"
        )
    return sorted(pattern.parent.glob(pattern.name))
