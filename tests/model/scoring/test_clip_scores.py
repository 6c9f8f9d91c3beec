import numpy as np
import pytest

from model.scoring.clip_scores import ClipScores


def test_scores_are_a_mapping_in_the_order_given() -> None:
    pairs = [(f"clip_{number * 7919 % 2000}é", number / 3) for number in range(2000)]
    scores = ClipScores(pairs)
    assert list(scores.items()) == pairs
    assert scores == dict(pairs)
    assert scores.get("clip") is None
    assert "zzz" not in scores
    doubled = scores.map(lambda values: 2 * values)
    assert np.allclose(list(doubled.values()), 2 * np.array([score for _, score in pairs]))
    with pytest.raises(KeyError, match="nobody"):
        doubled["nobody"]
    assert len(ClipScores()) == 0
    assert "anyone" not in ClipScores()
