"""The table of networks and fusions on the page."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from model.errors import ModelError
from pipeline.errors import ParamsError
from pipeline.files import write_json
from tests.support.report_material import Material

PLACES = ("reports/evaluation/scores/dev.txt", "reports/members/lfcc/evaluation/scores/dev.txt")
HEADING = "Further networks and fusions"


def with_fusions(material: Material, fusions: Any, members: Any = None) -> Material:
    changes = {"members": {"lfcc": {}, "cqt": {}} if members is None else members, "fusions": fusions}
    return replace(material, params=material.params.model_copy(update=changes))


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Results of one of two members, and of a fusion with it."""
    for folder, eer in (("members/lfcc/evaluation", 0.2), ("fusions/both", 0.1)):
        for split, more in (("dev", 0.0), ("eval", 0.1)):
            write_json(tmp_path / folder / "metrics" / f"{split}.json", {"eer": eer + more, "cllr": 0.4321 + more})
    weights = {"weights": dict(zip(PLACES, (0.75, -0.25), strict=True)), "intercept": -0.5, "prior": 0.5}
    write_json(tmp_path / "fusions/both/fusion.json", weights)
    return {"members": tmp_path / "members", "fusions": tmp_path / "fusions"}


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_members_and_fusions_are_rows_with_figures_and_weights(
    tmp_path: Path, material: Material, folders: dict[str, Path]
) -> None:
    project = with_fusions(material, {"both": ("lfcc",), "all": ("lfcc", "cqt")})

    text = text_of(project.page(tmp_path, **folders))

    assert HEADING in text
    assert "lfcc member 20.0 % 30.0 % 0.432 bit 0.532 bit –" in text
    weights = "main network +0.75, lfcc −0.25, offset −0.50"
    assert f"both fusion 10.0 % 20.0 % 0.432 bit 0.532 bit {weights}" in text
    assert "cqt member not made yet: dvc repro" in text
    assert "all fusion not made yet: dvc repro" in text
    assert re.search(r"main network network \d", text)
    assert "EER dev EER eval Cllr dev Cllr eval weights" in text


def test_without_members_there_is_no_such_table(page: str) -> None:
    assert HEADING not in page


def test_a_fusion_of_other_networks_is_refused(tmp_path: Path, material: Material, folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match=r"fusion\.json is not the fusion of main network, cqt; make it again"):
        with_fusions(material, {"both": ("cqt",)}).page(tmp_path, **folders)


@pytest.mark.parametrize("name", ["fusion.json", "metrics/eval.json"])
@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_a_damaged_file_is_named(
    tmp_path: Path, material: Material, folders: dict[str, Path], name: str, content: str
) -> None:
    (folders["fusions"] / "both" / name).write_text(content, encoding="latin-1")
    with pytest.raises(ModelError, match=re.escape(f"{name} cannot be read")):
        with_fusions(material, {"both": ("lfcc",)}).page(tmp_path, **folders)


def test_a_fusion_that_names_no_member_is_refused(tmp_path: Path, material: Material) -> None:
    with pytest.raises(ParamsError, match=r"fusions\.both: members has no entry mfcc"):
        with_fusions(material, {"both": ("mfcc",)}).page(tmp_path)
