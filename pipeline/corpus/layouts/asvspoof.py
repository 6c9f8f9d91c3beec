"""The corpora of the ASVspoof challenges as they are published: 2019 LA and PA, 2021 LA and DF, ASVspoof 5.

Where the numbers of lines come from is in docs/corpora.md.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from pipeline.corpus.layouts.base import Layout, Reading, audio_candidates, first_file
from pipeline.corpus.layouts.lists import ASVSPOOF_5, DF_2021, LA_2019, LA_2021, PA_2019, first_line, parse_protocol
from pipeline.corpus.places import CorpusPath
from pipeline.corpus.utterances import Utterance, Utterances
from pipeline.errors import CorpusError

_AUDIO_FOLDERS_2019: Final = (("flac", ".flac"), ("flac", ".wav"), ("wav", ".wav"))


class Asvspoof2019(Layout):
    """ASVspoof 2019: three protocols, a folder of audio for each split.

    Args:
        access: "LA" or "PA".
        columns: Of a protocol.
        published: Lines of each protocol.
    """

    def __init__(self, access: str, columns: Sequence[str], published: Mapping[str, int]) -> None:
        self.name = f"asvspoof2019_{access.lower()}"
        self.title = f"ASVspoof 2019 {access}"
        self.published = published
        self.audio_hint = f"is data.root the folder above ASVspoof2019_{access}_train?"
        self._access = access
        self._columns = columns
        endings = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}
        folder = f"ASVspoof2019_{access}_cm_protocols"
        self._files = {split: f"{folder}/ASVspoof2019.{access}.cm.{end}.txt" for split, end in endings.items()}

    def matches(self, root: CorpusPath) -> bool:
        return any((root / file).is_file() for file in self._files.values())

    def read(self, reading: Reading) -> Utterances:
        utterances = Utterances()
        paths = {split: reading.root / file for split, file in self._files.items()}
        # A test set alone has neither of the others.
        if not paths["train"].exists() and not paths["dev"].exists():
            paths = {"eval": paths["eval"]}
        missing = [path for path in paths.values() if not path.is_file()]
        for split, path in paths.items():
            if path not in missing:
                reading.require_link(path)
                utterances += parse_protocol(path, split, reading.findings, self._columns)
        # What is wrong with the lines that are there comes first.
        if missing and not reading.findings:
            raise CorpusError(
                f"{missing[0]}: no such protocol file; data.root must be a folder in the {self.title} layout, in another layout, "
                "or a CSV or Parquet table (docs/corpora.md shows all)"
            )
        return utterances

    def candidates(self, utterance: Utterance) -> list[str]:
        return [
            f"ASVspoof2019_{self._access}_{utterance.split}/{folder}/{utterance.utterance_id}{suffix}"
            for folder, suffix in _AUDIO_FOLDERS_2019
        ]


class Asvspoof2021(Layout):
    """ASVspoof 2021: an eval set, and the keys with its labels, a download of its own. Without the keys it is unlabelled.

    Args:
        track: "LA" or "DF".
        columns: Of the keys, `CM/trial_metadata.txt`.
        n_lines: Of the keys.
    """

    def __init__(self, track: str, columns: Sequence[str], n_lines: int) -> None:
        self.name = f"asvspoof2021_{track.lower()}"
        self.title = f"ASVspoof 2021 {track}"
        self.published = {"eval": n_lines}
        self.audio_hint = f"is data.root the folder above ASVspoof2021_{track}_eval, with the keys beside it?"
        self._columns = columns
        self._folder = f"ASVspoof2021_{track}_eval"
        self._keys = [f"{folder}CM/trial_metadata.txt" for folder in (f"keys/{track}/", f"{track}/", "keys/", "")]
        self._keys.append("trial_metadata.txt")
        self._trials = f"ASVspoof2021.{track}.cm.eval.trl.txt"

    def matches(self, root: CorpusPath) -> bool:
        return self._key_file(root) is not None or self._trials_file(root) is not None

    def read(self, reading: Reading) -> Utterances:
        path = self._key_file(reading.root) or self._trials_file(reading.root)
        if path is None:
            raise CorpusError(
                f"{reading.root}: no keys of {self.title} in it; unpack {self.title.split()[-1]}-keys-full.tar.gz there, so "
                "that it holds keys/ beside the audio"
            )
        reading.require_link(path)
        return parse_protocol(path, "eval", reading.findings, self._columns)

    def candidates(self, utterance: Utterance) -> list[str]:
        return audio_candidates((f"{self._folder}/flac", "flac"), utterance.utterance_id)

    def _trials_file(self, root: CorpusPath) -> CorpusPath | None:
        return first_file(root, [self._trials], [self._trials])

    def _key_file(self, root: CorpusPath) -> CorpusPath | None:
        """The keys, told from those of the other track by their number of fields."""
        found = (first_file(root, [name], [name]) for name in self._keys)
        return next((path for path in found if path and len(first_line(path)) == len(self._columns)), None)


class Asvspoof5(Layout):
    """ASVspoof 5, track 1: a protocol and a folder of audio for each split, of which any may be absent."""

    name = "asvspoof5"
    title = "ASVspoof 5"
    published = MappingProxyType({"train": 182_357, "dev": 140_950, "eval": 680_774})
    audio_hint = "is data.root the folder above flac_T, flac_D and flac_E_eval?"

    _FILES: Final = {
        "train": "ASVspoof5.train.tsv",
        "dev": "ASVspoof5.dev.track_1.tsv",
        "eval": "ASVspoof5.eval.track_1.tsv",
    }
    _FOLDERS: Final = {"train": ("flac_T",), "dev": ("flac_D",), "eval": ("flac_E_eval", "flac_E")}

    def matches(self, root: CorpusPath) -> bool:
        return bool(self._protocols(root))

    def read(self, reading: Reading) -> Utterances:
        utterances = Utterances()
        protocols = self._protocols(reading.root)
        if not protocols:
            raise CorpusError(
                f"{reading.root}: no protocol of ASVspoof 5 in it, such as ASVspoof5_protocols/{self._FILES['train']}"
            )
        for split, path in protocols.items():
            reading.require_link(path)
            utterances += parse_protocol(path, split, reading.findings, ASVSPOOF_5)
        return utterances

    def candidates(self, utterance: Utterance) -> list[str]:
        folders = self._FOLDERS[utterance.split]
        named = audio_candidates((*folders, *(f"{folder}/{folder}" for folder in folders)), utterance.utterance_id)
        # Some copies have the files without their ending.
        return [*named, *(f"{folder}/{utterance.utterance_id}" for folder in folders)]

    def _protocols(self, root: CorpusPath) -> dict[str, CorpusPath]:
        found = {
            split: first_file(root, [name, f"ASVspoof5_protocols/{name}"], [name])
            for split, name in self._FILES.items()
        }
        return {split: path for split, path in found.items() if path is not None}


ASVSPOOF: Final = (
    Asvspoof2019("LA", LA_2019, {"train": 25_380, "dev": 24_844, "eval": 71_237}),
    Asvspoof2019("PA", PA_2019, {"train": 54_000, "dev": 29_700, "eval": 134_730}),
    Asvspoof2021("LA", LA_2021, 181_566),
    Asvspoof2021("DF", DF_2021, 611_829),
    Asvspoof5(),
)
