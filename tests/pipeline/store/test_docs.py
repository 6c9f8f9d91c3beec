"""The examples of docs/feature-store.md run as they stand there."""

import re
from pathlib import Path

import pytest

from pipeline.corpus.schema import REJECT_REASONS
from tests.support.synthetic_store import manifest_of, small_params, write_store

PAGE = Path(__file__).resolve().parents[3] / "docs" / "feature-store.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=[code.split()[1].partition(".")[0] for code in EXAMPLES])
def test_example_runs_on_a_store(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_store(tmp_path / "data" / "features", manifest_of(), small_params())
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(PAGE), "exec"), {})
    assert capsys.readouterr().out


def test_page_has_an_example_of_every_tool_and_every_reason() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(EXAMPLES) == 4
    assert all(f"`{reason}`" in text for reason in REJECT_REASONS)
