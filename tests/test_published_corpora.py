"""A corpus of each layout goes from its published files to a verified feature store and its description."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.evaluation.data_validation import validate
from model.sampler import count_classes
from pipeline.corpus.audio_files import audio_root
from pipeline.corpus.fields import unpack_fields
from pipeline.corpus.manifest import read_manifest
from pipeline.errors import CorpusError
from pipeline.job.run import run_features
from pipeline.parameter_file import parse_params
from pipeline.params import Params
from pipeline.store import FeatureStore
from pipeline.store.verify import verify
from tests.support.corpora import CORPORA, N_CLIPS, class_folders, in_the_wild
from tests.support.parameters import project_parameters
from tests.support.synthetic_corpus import write_corpus

IN_THIS_PROCESS = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
Run = Callable[..., tuple[int, str]]


def store_of(root: Path, folder: Path, run_bonafide: Run) -> tuple[FeatureStore, str]:
    """The feature store of a corpus, verified against its manifest, and what `bonafide manifest` printed."""
    content: dict[str, Any] = project_parameters()
    content["data"]["root"] = str(root)
    content["augment"]["copies"] = content["augment"]["copy_synthesis"]["copies"] = 0
    content["store"]["shards"] = 1
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    manifest = folder / "manifest.parquet"
    code, printed = run_bonafide("manifest", "--params", folder / "params.yaml", "--output", manifest)
    assert code == 0, printed
    rows = read_manifest(manifest)
    params = parse_params({name: content[name] for name in ("data", "features", "augment", "store")}, "test", Params)
    run_features(rows, audio_root(root), str(folder / "store"), params, IN_THIS_PROCESS)
    assert verify(str(folder / "store"), rows) == []
    return FeatureStore.open(folder / "store"), printed


@pytest.mark.parametrize("name", ["asvspoof2019_la", *CORPORA, "folders of splits"])
def test_a_published_corpus_becomes_a_store_with_its_fields(tmp_path: Path, name: str, run_bonafide: Run) -> None:
    if name == "asvspoof2019_la":
        root = write_corpus(tmp_path / "corpus", N_CLIPS, duration_s=0.3)
    elif name == "folders of splits":
        root = class_folders(tmp_path / "corpus", ("bonafide", "spoof"), ("training", "validation", "testing"))
    else:
        root = CORPORA[name](tmp_path / "corpus")
    store, printed = store_of(root, tmp_path / "run", run_bonafide)
    assert f"(data.layout: {name.partition(' ')[0]})" in printed
    manifest = {row["utterance_id"]: row for row in read_manifest(tmp_path / "run" / "manifest.parquet").to_pylist()}
    assert len(store) == len(manifest)
    for row in store.index.to_pylist():
        of_manifest = manifest[row["utterance_id"]]
        names = ("split", "speaker_id", "attack_id", "label", "fields")
        assert [row[name] for name in names] == [of_manifest[name] for name in names]
        unpack_fields(row["fields"])
    report = validate(store.index, store.rejects())
    splits = {row["split"] for row in manifest.values()}
    assert set(report) - {"shortcuts", "uneven_rejects"} == splits
    for split in splits:
        rows = [row for row in manifest.values() if row["split"] == split]
        assert report[split]["bona_fide"] == sum(row["label"] == 1 for row in rows) > 0
        assert report[split]["spoof"] == sum(row["label"] == 0 for row in rows) > 0


def test_a_test_set_alone_is_no_corpus_to_train_on(tmp_path: Path, run_bonafide: Run) -> None:
    store, printed = store_of(in_the_wild(tmp_path / "corpus"), tmp_path / "run", run_bonafide)
    assert (
        "there is no train and no dev split: features and scores can be made, training needs train and dev" in printed
    )
    assert "this is not In-the-Wild as it is published: eval 6 of 31,779 lines" in printed
    with pytest.raises(CorpusError, match="has no train split: it can be scored and evaluated; train on"):
        count_classes(store, "train")


def test_a_linked_folder_is_told_with_the_cure(tmp_path: Path, run_bonafide: Run) -> None:
    root = class_folders(tmp_path / "corpus")
    (root / "fake").rename(root / "generated_audio")
    (root / "fake").symlink_to("generated_audio")
    _, printed = store_of(root, tmp_path / "run", run_bonafide)
    assert "fake is a link to a folder. DVC does not look behind it" in printed
    assert "link each file instead (cp -rs), or set data.root to the folder itself" in printed


def test_another_corpus_than_that_of_the_parameters_has_a_layout_of_its_own(tmp_path: Path, run_bonafide: Run) -> None:
    content = project_parameters()
    content["data"] |= {"root": "elsewhere", "layout": "asvspoof2019_la"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    root = in_the_wild(tmp_path / "itw")
    given = ("manifest", "--params", tmp_path / "params.yaml", "--root", root, "--protocol-only")
    for options in ((), ("--layout", "auto"), ("--layout", "in_the_wild")):
        code, printed = run_bonafide(*given, *options)
        assert (code, "(data.layout: in_the_wild)" in printed) == (0, True), printed
    code, printed = run_bonafide(*given, "--layout", "wild")
    assert code != 0
    assert "there is no layout 'wild'; known are auto, asvspoof2019_la" in printed


def test_one_class_alone_in_eval_is_described_without_a_shortcut(tmp_path: Path, run_bonafide: Run) -> None:
    root = class_folders(tmp_path / "corpus")
    (root / "real").rename(tmp_path / "elsewhere")
    store, _ = store_of(root, tmp_path / "run", run_bonafide)
    report = validate(store.index, store.rejects())
    assert (report["eval"]["bona_fide"], report["eval"]["spoof"], report["eval"]["shortcut_eer"]) == (0, 3, {})
    code, printed = run_bonafide("validate", "--store", tmp_path / "run" / "store", "--output", tmp_path / "report")
    assert code == 0, printed
