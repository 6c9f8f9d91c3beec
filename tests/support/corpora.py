"""Small corpora in the forms in which corpora are published: their own files and columns, audio of filtered noise."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import soundfile

from tests.support.synthetic_corpus import PROTOCOL_FILES, SAMPLE_RATE, protocol_lines, waveform

N_CLIPS: Final = 6


def write_clip(path: Path) -> None:
    """An audio file with the sound of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform(path.name, 0.3), SAMPLE_RATE, "PCM_16")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def asvspoof2019_pa(root: Path) -> Path:
    """ASVspoof 2019 PA: environment and attack are letters."""
    for split, name in PROTOCOL_FILES.items():
        lines = []
        for number, line in enumerate(protocol_lines(split, N_CLIPS)):
            speaker, utterance, _, _, label = line.replace("LA_", "PA_").split()
            attack = "-" if label == "bonafide" else ("AA", "BC")[number % 2]
            lines.append(f"{speaker} {utterance} {('aaa', 'cbc')[number % 2]} {attack} {label}")
            write_clip(root / f"ASVspoof2019_PA_{split}" / "flac" / f"{utterance}.flac")
        write_lines(root / "ASVspoof2019_PA_cm_protocols" / name.replace(".LA.", ".PA."), lines)
    return root


def asvspoof2021_la(root: Path) -> Path:
    """ASVspoof 2021 LA with its keys: 8 fields."""
    lines = [
        "LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval",
        "LA_0020 LA_E_6866159 alaw ita_tx bonafide bonafide notrim eval",
        "LA_0011 LA_E_5464494 none - A10 spoof notrim progress",
        "LA_0025 LA_E_3834637 none - bonafide bonafide notrim progress",
        "LA_0031 LA_E_1665632 opus loc_tx A19 spoof trim hidden",
        "LA_0012 LA_E_9159231 opus loc_tx bonafide bonafide trim hidden",
    ]
    write_lines(root / "keys" / "LA" / "CM" / "trial_metadata.txt", lines)
    for line in lines:
        write_clip(root / "ASVspoof2021_LA_eval" / "flac" / f"{line.split()[1]}.flac")
    return root


def asvspoof2021_df(root: Path) -> Path:
    """ASVspoof 2021 DF with its keys beside the audio: 13 fields."""
    lines = [
        "LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -",
        "TEF2 DF_E_2000013 low_m4a vcc2020 Task1-team20 spoof notrim eval neural_vocoder_nonautoregressive Task1 team20 FF E",
        "TGF1 DF_E_2000024 mp3m4a vcc2020 Task2-team12 spoof notrim eval traditional_vocoder Task2 team12 FF G",
        "LA_0043 DF_E_2000026 mp3m4a asvspoof bonafide bonafide notrim eval bonafide - - - -",
        "LA_0021 DF_E_2000027 mp3m4a asvspoof bonafide bonafide notrim progress bonafide - - - -",
        "LA_0022 DF_E_2000028 oggm4a asvspoof bonafide bonafide notrim hidden bonafide - - - -",
    ]
    write_lines(root / "DF-keys-full" / "keys" / "DF" / "CM" / "trial_metadata.txt", lines)
    for line in lines:
        write_clip(root / "ASVspoof2021_DF_eval" / "flac" / f"{line.split()[1]}.flac")
    return root


def asvspoof5(root: Path, *, headed: bool = False) -> Path:
    """ASVspoof 5, track 1: 10 columns, as published or with a line of names and the ending of the files."""
    heading = "SPEAKER_ID FLAC_FILE_NAME SPEAKER_GENDER CODEC CODEC_Q CODEC_SEED ATTACK_TAG ATTACK_LABEL KEY TMP"
    for split, folder, name in (
        ("train", "flac_T", "ASVspoof5.train.tsv"),
        ("dev", "flac_D", "ASVspoof5.dev.track_1.tsv"),
        ("eval", "flac_E_eval", "ASVspoof5.eval.track_1.tsv"),
    ):
        lines = [heading.replace(" ", "\t")] if headed else []
        for number in range(N_CLIPS):
            utterance = f"{split[0].upper()}_{number:010d}"
            attack = ("-", "-", "bonafide", "bonafide") if number % 2 else ("-", "AC1", "A05", "spoof")
            seed, tag, system, key = attack
            codec = ("C05", "2") if split == "eval" and number > 2 else ("-", "-")
            fields = (f"{split[0].upper()}_{4850 + number % 3}", utterance + ".flac" * headed, "FM"[number % 2], *codec)
            lines.append((" ", "\t")[headed].join((*fields, seed, tag, system, key, "-")))
            write_clip(root / folder / f"{utterance}.flac")
        write_lines(root / "ASVspoof5_protocols" / name, lines)
    return root


def in_the_wild(root: Path) -> Path:
    """In-the-Wild: meta.csv beside the audio, speakers with blanks in their names."""
    lines = ["file,speaker,label"]
    for number in range(N_CLIPS):
        lines.append(
            f"{number}.wav,{('Alan Watts', 'Barack Obama')[number % 3 > 0]},{('spoof', 'bona-fide')[number % 2]}"
        )
        write_clip(root / f"{number}.wav")
    write_lines(root / "meta.csv", lines)
    return root


def class_folders(root: Path, names: tuple[str, str] = ("real", "fake"), splits: tuple[str, ...] = ("",)) -> Path:
    """A folder for each class, spoof clips in a folder for each vocoder."""
    for split in splits:
        for number in range(N_CLIPS // 2):
            write_clip(root / split / names[0] / "LJ Speech" / "wavs" / f"{split}LJ{number}.wav")
            vocoder = ("ljspeech_melgan", "ljspeech_hifiGAN")[number % 2]
            write_clip(root / split / names[1] / vocoder / f"{split}LJ{number}_gen.wav")
    (root / "README.txt").write_text("not audio")
    return root


def table(root: Path) -> Path:
    """A CSV table with a column of its own."""
    lines = ["path,split,label,speaker_id,attack_id,codec"]
    for split in PROTOCOL_FILES:
        for number in range(N_CLIPS):
            path = f"{split}/{number}.wav"
            label, attack = (("bonafide", ""), ("spoof", "xtts"))[number % 2]
            lines.append(f"{path},{split},{label},{split}{number % 2},{attack},{('opus', 'mp3')[number % 2]}")
            soundfile_path = root / path
            soundfile_path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(soundfile_path, waveform(f"{split}{number}", 0.3), SAMPLE_RATE, "PCM_16")
    write_lines(root / "corpus.csv", lines)
    return root / "corpus.csv"


CORPORA: Final[dict[str, Callable[[Path], Path]]] = {
    "asvspoof2019_pa": asvspoof2019_pa,
    "asvspoof2021_la": asvspoof2021_la,
    "asvspoof2021_df": asvspoof2021_df,
    "asvspoof5": asvspoof5,
    "in_the_wild": in_the_wild,
    "folders": class_folders,
    "table": table,
}
"""What writes a corpus of each layout, and gives its `data.root`; ASVspoof 2019 LA is in `synthetic_corpus`."""
