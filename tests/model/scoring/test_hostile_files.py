"""Hostile audio given to `bonafide score`: no file ends the command, and none takes much memory."""

import json
from pathlib import Path

import pytest

from tests.support.hostile_audio import write_hostile_corpus
from tests.support.peak_memory import run_measured
from tests.support.trained_model import Trained

MOST_EXTRA_KIB = 1 << 20


@pytest.mark.slow
def test_scoring_hostile_audio_takes_less_than_a_gibibyte_more_than_good_audio(
    trained: Trained, tmp_path: Path
) -> None:
    write_hostile_corpus(tmp_path)
    good = sorted(str(path) for path in (tmp_path / "audio").glob("good_*"))
    command = ["score", "--model", str(trained.model), "--jsonl"]
    peak_of_good, _ = run_measured([*command, str(tmp_path / "good.jsonl"), *good], tmp_path)
    peak, errors = run_measured([*command, str(tmp_path / "all.jsonl"), str(tmp_path / "audio")], tmp_path, (1,))
    assert "Traceback" not in errors
    assert peak - peak_of_good < MOST_EXTRA_KIB
    results = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    scored = {Path(result["path"]) for result in results if result["score"] is not None}
    assert set(map(Path, good)) <= scored
    refused = {Path(result["path"]).name: result["problem"] for result in results if result["score"] is None}
    assert all(refused.values())
    assert len(refused) > 40
