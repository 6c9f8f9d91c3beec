"""The model card: its front matter, and what it says of data, results and limits."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.bundle import Bundle
from model.errors import ModelError
from model.export.card_inputs import CorpusFacts, SplitCounts, corpus_facts, evaluation_facts
from model.export.export import Corpus
from model.export.measure import Measured, Parity
from model.export.model_card import CardInputs, model_card
from model.metrics import AbstainBand

FIGURES: dict[str, Any] = {
    "eer": 0.125,
    "eer_ci95_low": 0.1,
    "eer_ci95_high": 0.15,
    "min_dcf": 0.4,
    "uncertain": 0.25,
    "certain_wrong": 0.02,
    "seen": {"eer": 0.05},
    "unseen": {"eer": 0.2},
    "per_attack": {
        "A01": {"eer": 0.05, "n_spoof": 10, "false_alarm": 0.1},
        "A|9": {"eer": 0.3, "n_spoof": 5, "false_alarm": 0.4},
    },
}


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    details = {"abstain_band": {"low": -1.0}, "dev": FIGURES, "eval": FIGURES, "corpora": {"wild": {"eer": 0.33}}}
    (tmp_path / "details.json").write_text(json.dumps(details))
    row = {"title": "through MP3", "eer": 0.2, "changed": 0.1, "certain_wrong": 0.05}
    (tmp_path / "robustness.json").write_text(json.dumps({"conditions": [row]}))
    return tmp_path


@pytest.fixture
def inputs(bundle: Bundle, evaluation: Path) -> CardInputs:
    measured = {
        "bonafide.onnx": Measured(2_000_000, 50.0, 7.0, Parity(3e-6, 1e-6, 0, 0.125, 0.0)),
        "bonafide_int8.tflite": Measured(500_000, 5.0, 9.0, Parity(0.02, 1e-3, 1, 0.13, 0.005)),
    }
    corpus = CorpusFacts(
        "data/raw/LA", {"train": SplitCounts(100, 900, 0, 2.5, 20, ["A01"])}, ["README.txt"], ["ODC-BY"]
    )
    band = AbstainBand(-1.0, 1.5, 0.05, 0.1, 0.1)
    return CardInputs(bundle, band, 0.5, measured, {}, corpus, evaluation_facts(evaluation))


def front_matter(card: str) -> dict[str, Any]:
    start, matter, _ = card.split("---\n", 2)
    assert start == ""
    return dict(yaml.safe_load(matter))


def test_the_front_matter_is_what_the_hub_reads(inputs: CardInputs) -> None:
    matter = front_matter(model_card(inputs))
    assert matter["license"] == "apache-2.0"
    assert matter["pipeline_tag"] == "audio-classification"
    assert {"anti-spoofing", "audio-deepfake-detection"} <= set(matter["tags"])
    assert "eer" in matter["metrics"]
    (entry,) = matter["model-index"]
    (result,) = entry["results"]
    assert result["dataset"] == {"name": "data/raw/LA", "type": "data/raw/LA", "split": "eval"}
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {"eer": 0.125, "min_dcf": 0.4}


def test_it_tells_of_data_results_files_and_limits(inputs: CardInputs) -> None:
    card = model_card(inputs)
    for expected in (
        "## Intended use",
        "| train | 100 | 900 | 0 | 2.50 | 20 | A01 |",
        "Its sources and licences: `README.txt`. Licences of the recordings: ODC-BY.",
        "| metric | dev | eval | wild |",
        "| EER | 12.5 % (10.0 % to 15.0 %) | 12.5 % (10.0 % to 15.0 %) | 33.0 % |",
        "| EER, other attacks | 20.0 % | 20.0 % | - |",
        "| A01 | 10 | 5.0 % | 10.0 % |",
        "| A\\|9 | 5 | 30.0 % | 40.0 % |",
        "| through MP3 | 20.0 % | 10.0 % | 5.0 % |",
        "| `bonafide.onnx` | 1.91 | 3.0e-06 | 12.5 % | +0.00 points |",
        "from a score of +1.50, spoof (0) below -1.00",
        "25.0 % of the verdicts are “uncertain”; 2.0 % of all are certain and wrong",
        "5.0 % on attacks that train has and 20.0 % on others",
        "mono, 16000 Hz",
    ):
        assert expected in card, expected


def test_what_was_not_given_is_stated_as_not_known(inputs: CardInputs) -> None:
    measured = {"saved_model": Measured(1, 1.0, 1.0, None)}
    without = replace(
        inputs, corpus=None, evaluation=None, measured=measured, left_out={"ONNX": "its runtimes have no FFT"}
    )
    card = model_card(without)
    assert "model-index" not in front_matter(card)
    assert "the export was not given the manifest of the corpus" in card
    assert "the export was not given an evaluation" in card
    assert "No ONNX: its runtimes have no FFT." in card
    assert "| `saved_model` | 0.00 | not measured | not measured | not measured |" in card


def test_the_corpus_is_counted_and_its_licences_are_found(small_corpus: Corpus) -> None:
    facts = corpus_facts(small_corpus.manifest, small_corpus.path)
    assert {name: counts.bona_fide + counts.spoof for name, counts in facts.splits.items()} == {
        "train": 20,
        "dev": 20,
        "eval": 20,
    }
    assert all(counts.bona_fide and counts.speakers and counts.hours for counts in facts.splits.values())
    assert facts.licence_files == ["SOURCES.md"]
    assert {"CC0-1.0", "GPL-2"} <= set(facts.licences)
    assert facts.splits["dev"].attacks == ["A01", "A02", "A03", "A04", "A05", "A06"]


def test_without_an_evaluation_in_its_folder_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"details\.json cannot be read"):
        evaluation_facts(tmp_path)


def test_the_exported_card_is_of_the_exported_models(exported: Path, export_folder: Path) -> None:
    card = (export_folder / "README.md").read_text()
    assert front_matter(card)["license"] == "apache-2.0"
    assert "## Training data and licences" in card
    for name in ("saved_model", "bonafide.onnx", "bonafide_int8.tflite"):
        assert f"| `{name}` |" in card
