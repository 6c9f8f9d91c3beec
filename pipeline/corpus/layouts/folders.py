"""A folder for each class, without a protocol: `bonafide/` and `spoof/`, `real/` and `fake/`, maybe below a folder per split."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.audio.files import AUDIO_SUFFIXES
from pipeline.corpus.fields import pack_fields
from pipeline.corpus.findings import Finding
from pipeline.corpus.labels import class_of_word
from pipeline.corpus.layouts.base import Layout, Reading, folders_in
from pipeline.corpus.layouts.tables import UNKNOWN_ATTACK
from pipeline.corpus.lines import field_problem
from pipeline.corpus.places import CorpusPath, ObjectPath
from pipeline.corpus.schema import SPOOF, TWIN_ATTACK_PREFIX
from pipeline.corpus.utterances import Utterance, Utterances
from pipeline.errors import CorpusError

_SPLITS: Final = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("eval", "evaluation", "test", "testing"), "eval"),
}


class ClassFolders(Layout):
    """A folder for each class. Below the folder of a split it is of that split, otherwise of eval.

    The attack of a spoof clip is the name of the folder that holds it, `unknown` directly in the folder of the class. The field
    `folder` has all folders below that of the class.
    """

    name = "folders"
    title = "a folder for each class"
    audio_hint = "are there audio files in the folders of the classes?"

    def matches(self, root: CorpusPath) -> bool:
        return bool(_class_folders(root))

    def read(self, reading: Reading) -> Utterances:
        folders = _class_folders(reading.root)
        if not folders:
            raise CorpusError(
                f"{reading.root}: no folder of a class in it, such as bonafide/ and spoof/ or real/ and fake/, nor in train/, "
                "dev/ or eval/ below it"
            )
        others: list[str] = []
        found = [
            (path, split, label)
            for folder, (split, label) in folders.items()
            for path in _audio_files(reading, folder, others)
        ]
        if others:
            reading.on_warning(
                f"{len(others):,} files are left out, as they are no audio by their names, such as {others[0]}"
            )
        named = (_utterance(reading, *file) for file in sorted(found))
        return Utterances(utterance for utterance in named if utterance is not None)


def _utterance(reading: Reading, path: str, split: str, label: int) -> Utterance | None:
    where = f"{reading.root}:{path}"
    if problem := field_problem(path):
        reading.findings.append(Finding(f"{reading.root}:{path[:60]!r}", f"the path {problem}"))
        return None
    n_above = next(n for n, part in enumerate(PurePosixPath(path).parts) if class_of_word(part) == label)
    below = PurePosixPath(path).parts[n_above + 1 : -1]
    attack = None
    if label == SPOOF:
        attack = _without_blanks(below[-1]) if below else UNKNOWN_ATTACK
        if attack.startswith(TWIN_ATTACK_PREFIX):
            text = f"the folder names the attack {attack}; names that begin with {TWIN_ATTACK_PREFIX} are kept for twins of ours"
            reading.findings.append(Finding(where, text))
            return None
    fields = pack_fields({"folder": "/".join(below) or "-"})
    utterance_id = _without_blanks(str(PurePosixPath(path).with_suffix("")))
    return Utterance(split, utterance_id, None, attack, label, path, where, fields)


def _without_blanks(name: str) -> str:
    """A name as an id: score files are split at white space."""
    return "_".join(name.split())


def _class_folders(root: CorpusPath) -> dict[str, tuple[str, int]]:
    """Split and label of each folder of a class, by its path relative to the corpus."""
    found = {}
    for path in folders_in(root):
        split = _SPLITS.get(path.name.lower())
        for folder in [path] if split is None else folders_in(path):
            if (label := class_of_word(folder.name)) is not None:
                relative = folder.name if split is None else f"{path.name}/{folder.name}"
                found[relative] = (split or "eval", label)
    return found


def _audio_files(reading: Reading, folder: str, others: list[str]) -> Iterator[str]:
    """The audio files below a folder, relative to the corpus; linked folders are followed where the links may lead.

    Args:
        reading: Of the corpus.
        folder: Relative to the corpus.
        others: Takes the files that are left out.

    Raises:
        CorpusError: A link leaves the corpus, or leads back to a folder above it.
    """
    for path in _files_below(reading, folder):
        name = PurePosixPath(path)
        if name.name.startswith(".") or name.suffix.lower() not in AUDIO_SUFFIXES:
            others.append(path)
        else:
            yield path


def _files_below(reading: Reading, folder: str) -> Iterator[str]:
    """The files below a folder, relative to the corpus, without those in hidden folders."""
    root = reading.root
    if isinstance(root, ObjectPath):
        names = (root / folder).files_below()
        yield from (f"{folder}/{name}" for name in names if not f"/{name.rpartition('/')[0]}".count("/."))
        return
    above: set[str] = set()
    for place, folders, files in os.walk(root / folder, followlinks=True):
        relative = Path(place).relative_to(root).as_posix()
        if Path(place).is_symlink():
            reading.require_link(Path(place))
            real = os.path.realpath(place)
            if real in above:
                raise CorpusError(f"{place}: a link to a folder that is read already; remove it")
            above.add(real)
        else:
            above.add(os.path.realpath(place))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (f"{relative}/{name}" for name in sorted(files))
