"""A corpus of each published layout is a row of the cross-corpus table, once `evaluate.corpora` names it."""

import json
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import bonafide
import tests.support.tone_store as tones
from model.metrics import read_scores
from pipeline.corpus.manifest import read_manifest
from tests.support.corpora import CORPORA
from tests.support.synthetic_corpus import write_corpus

pytestmark = pytest.mark.slow


class CorpusRows(HTMLParser):
    """The cells of each row of the table below the heading of other corpora, by the name of its test set."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: dict[str, list[str]] = {}
        self._cells: list[str] = []
        self.feed(page.split('id="corpora"', 1)[1].split("</table>", 1)[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self._cells = []
        elif tag in ("td", "th"):
            self._cells.append("")

    def handle_data(self, data: str) -> None:
        if self._cells:
            self._cells[-1] = f"{self._cells[-1]} {' '.join(data.split())}".strip()

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr" and self._cells:
            self.rows[self._cells[0]] = self._cells[1:]


@dataclass(frozen=True)
class CrossCorpus:
    """What the commands left.

    Attributes:
        folder: Of the project.
        details: The content of details.json.
        rows: The cross-corpus table of the page.
    """

    folder: Path
    details: dict[str, Any]
    rows: dict[str, list[str]]


@pytest.fixture(scope="module")
def cross_corpus(tmp_path_factory: pytest.TempPathFactory) -> CrossCorpus:
    """A model of an ASVspoof 2019 LA corpus, evaluated on a corpus of each other layout, and on LA itself."""
    folder = tmp_path_factory.mktemp("cross_corpus")
    content = tones.tone_params().model_dump(mode="json")
    content["data"] |= {"root": str(write_corpus(folder / "la", duration_s=0.3)), "layout": "auto"}
    roots = {name: write(folder / name) for name, write in CORPORA.items()} | {"asvspoof2019_la": folder / "la"}
    content["evaluate"]["corpora"] = {
        name: {"root": str(root), "layout": "auto", "split": "eval"} for name, root in roots.items()
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(patch, "manifest")
        run(patch, "features", "--", "--runner=FnApiRunner", "--direct_running_mode=in_memory")
        run(patch, "train")
        for name, root in roots.items():
            run(patch, "manifest", "--root", root, "--layout", "auto", "--output", f"data/corpora/{name}.parquet")
        run(patch, "evaluate", "--no-audit")
        run(patch, "report")
    details = json.loads((folder / "reports" / "evaluation" / "details.json").read_text())
    return CrossCorpus(folder, details, CorpusRows((folder / "reports" / "index.html").read_text()).rows)


def run(patch: pytest.MonkeyPatch, *arguments: object) -> None:
    """A command of the console, which succeeds."""
    patch.setattr(sys, "argv", ["bonafide", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        bonafide.main()
    assert not end.value.code, arguments


@pytest.mark.parametrize("name", ["asvspoof2019_la", *CORPORA])
def test_a_corpus_of_each_layout_is_a_row_of_the_cross_corpus_table(cross_corpus: CrossCorpus, name: str) -> None:
    manifest = read_manifest(cross_corpus.folder / "data" / "corpora" / f"{name}.parquet")
    labels = {row["utterance_id"]: row["label"] for row in manifest.to_pylist() if row["split"] == "eval"}
    found = cross_corpus.details["corpora"][name]
    scores = read_scores(cross_corpus.folder / "reports" / "evaluation" / "scores" / f"{name}.txt")
    scored = dict(zip(scores.utterance_ids.tolist(), scores.scores.tolist(), strict=True))
    spoof = np.array([scored[utterance] for utterance, label in labels.items() if label == 0])
    bona_fide = np.array([scored[utterance] for utterance, label in labels.items() if label == 1])

    assert scored.keys() == labels.keys()
    assert (found["n_bonafide"], found["n_spoof"], found["n_rejected"]) == (len(bona_fide), len(spoof), 0)
    assert found["false_alarm"] == np.mean(spoof >= found["threshold"])
    assert found["miss"] == np.mean(bona_fide < found["threshold"])
    assert found["threshold"] == cross_corpus.details["eval"]["threshold"], "the threshold is that of dev"
    # No rate of a threshold is below both error rates at the equal error point.
    assert 0 <= found["eer"] <= max(found["miss"], found["false_alarm"])

    eer, _, _, _, miss, false_alarm, _, _, n_bonafide, n_spoof, n_rejected, _ = cross_corpus.rows[name]
    assert eer.startswith(f"{found['eer']:.1%} (".replace("%", " %"))
    assert (miss, false_alarm) == tuple(f"{found[rate]:.1%}".replace("%", " %") for rate in ("miss", "false_alarm"))
    assert (n_bonafide, n_spoof, n_rejected) == (str(len(bona_fide)), str(len(spoof)), "0")


def test_the_corpus_of_training_has_the_same_figures_through_manifest_and_store(cross_corpus: CrossCorpus) -> None:
    through_store, through_manifest = cross_corpus.details["eval"], cross_corpus.details["corpora"]["asvspoof2019_la"]
    for name in ("eer", "miss", "false_alarm", "cllr"):
        assert through_manifest[name] == pytest.approx(through_store[name], abs=1e-4)


def test_the_fields_of_a_protocol_break_its_test_set_down(cross_corpus: CrossCorpus) -> None:
    breakdowns = cross_corpus.folder / "reports" / "evaluation" / "breakdowns"
    codecs = (breakdowns / "asvspoof2021_la" / "codec.csv").read_text()
    assert {line.split(",")[0] for line in codecs.splitlines()[1:]} == {"alaw", "none", "opus"}
