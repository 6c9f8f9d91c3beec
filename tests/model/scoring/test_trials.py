"""Trials as mappings: the columns of the index, and the other fields of the protocol by their names."""

from typing import Any

import pytest

from model.scoring.scorer import Trials
from pipeline.corpus.fields import pack_fields
from pipeline.errors import CorpusError


def row(name: str, fields: str | None) -> dict[str, Any]:
    measures = dict.fromkeys(
        ("duration_s", "leading_silence_s", "trailing_silence_s", "level_db", "peak_db", "band_edge_hz"), 1.0
    )
    return {"utterance_id": name, "speaker_id": None, "attack_id": "A07", "label": 0, "fields": fields, **measures}


def test_a_trial_has_each_field_of_its_protocol_by_name() -> None:
    trials = Trials.of(
        [
            row("a", pack_fields({"codec": "alaw", "subset": "eval", "label": "x"})),
            row("b", None),
            row("c", '{"codec":"opus"}'),
        ]
    )
    assert trials[0]["codec"] == "alaw"
    assert (trials[0]["label"], trials[0]["protocol_label"], trials[0]["duration_s"]) == (0, "x", 1.0)
    assert [trial.get("codec") for trial in trials] == ["alaw", None, "opus"]
    assert [trial.get("subset") for trial in trials[:2]] == ["eval", None]
    assert "fields" not in trials[0]
    assert trials.strings("codec").tolist() == ["alaw", "-", "opus"]
    assert trials.strings("attack_id").tolist() == ["A07"] * 3
    assert trials.strings("vocoder").tolist() == ["-"] * 3


@pytest.mark.parametrize("damaged", ["no JSON", "[1]", '{"codec": 3}', "[" * 10_000])
def test_damaged_fields_are_told(damaged: str) -> None:
    with pytest.raises(CorpusError, match="fields of an utterance are no JSON object of strings"):
        _ = Trials.of([row("a", damaged)])[0]
