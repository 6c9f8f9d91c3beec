"""Names of a corpus are data: every command runs over ids, attacks and speakers that other programs would take for code."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import yaml

from tests.support.hostile_text import NAMES
from tests.support.parameters import project_parameters
from tests.support.synthetic_corpus import SAMPLE_RATE, waveform

# Line ends and tabs are layout.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
SPLITS = ("train", "dev", "eval")
Run = Callable[..., tuple[int, str]]


def write_named_corpus(root: Path) -> list[str]:
    """A table corpus whose ids, attacks and speakers are made of hostile names; gives the ids."""
    (root / "audio").mkdir(parents=True)
    rows = [("path", "split", "label", "utterance_id", "speaker_id", "attack_id")]
    for split in SPLITS:
        for number, name in enumerate(NAMES * 2):
            spoof = number % 2
            utterance_id = f"{name}{split}{number}"
            path = f"audio/{split}{number}.flac"
            soundfile.write(root / path, waveform(utterance_id, 0.4), SAMPLE_RATE)
            attack = NAMES[number // 2 % len(NAMES)] if spoof else ""
            rows.append((path, split, ("bonafide", "spoof")[spoof], utterance_id, f"{name}{split}", attack))
    with (root / "corpus.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return [row[3] for row in rows[1:]]


def write_parameters(path: Path) -> None:
    """Parameters of a short training and a small evaluation."""
    content: dict[str, Any] = project_parameters()
    content["data"] |= {"root": "corpus/corpus.csv"}
    content["augment"]["copy_synthesis"]["copies"] = 0
    content["store"]["shards"] = 1
    content["crossval"]["folds"] = 0
    content["train"] |= {"steps": 4, "steps_per_epoch": 2, "channels": [4], "crop_s": 0.2, "batch_size": 8}
    content["evaluate"] |= {"intervals": 10, "robustness_clips": 10}
    path.write_text(yaml.safe_dump(content, allow_unicode=True))


@pytest.mark.slow
def test_every_command_takes_names_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_bonafide: Run) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    ids = write_named_corpus(tmp_path / "corpus")
    write_parameters(tmp_path / "params.yaml")
    printed = []

    def run(*arguments: object) -> str:
        code, output = run_bonafide(*arguments)
        assert code == 0, (arguments, output[-2000:])
        assert CONTROL.sub("", output.replace("\x1b[?25l", "").replace("\x1b[?25h", "")) == output, arguments
        printed.append(output)
        return output

    run("manifest", "--protocol-only")
    run("manifest")
    run("features", "--workers", 1)
    run("validate")
    run("train")
    run("evaluate")
    run("report")
    run("export")
    run("store", "verify", "--manifest", "data/manifest.parquet")
    shown = run("store", "show")
    assert all(name in shown for name in NAMES)
    assert ids[0] in run("store", "get", ids[0], "--png", "clip.png")
    assert NAMES[1] in run("store", "select", "--attack", NAMES[1], "--split", "train")
    run("store", "select", "--csv", "index.csv")
    run("store", "stats", "--plot", "store.png")
    run("store", "diff", "data/features", "data/features")
    run("score", "corpus/audio")
    dev, evaluated = (f"reports/evaluation/scores/{split}.txt" for split in ("dev", "eval"))
    run("metrics", "--scores", evaluated, "--dev-scores", dev, "--clusters", "attack", "--intervals", 5)
    run("fuse", "--dev", dev, "--dev", dev, "--eval", evaluated, "--eval", evaluated, "--output", "fused")
    run("compare", evaluated, "fused/eval.txt", "--intervals", 5)
    require_harmless(tmp_path)


def require_harmless(folder: Path) -> None:
    """Makes sure that no file of a run has a name where it would be code."""
    page = (folder / "reports/index.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "<b>&amp;'" not in page
    formulas = tuple(name for name in NAMES if name[0] in "=+-@")
    tables = [folder / "index.csv", *(folder / "reports").rglob("*.csv")]
    assert len(tables) > 3
    for path in tables:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                assert not [cell for cell in row if cell.startswith(formulas)], path
    for path in (folder / "reports").rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    names = {path.name for path in folder.rglob("*")}
    assert not [name for name in names if any(hostile in name for hostile in NAMES[:8])]
