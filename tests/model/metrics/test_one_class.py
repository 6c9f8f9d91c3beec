"""Test sets of one class, and scores that are all the same."""

import numpy as np
import pytest

from model.metrics import (
    MetricsError,
    calibration_checks,
    require_both_classes,
    score_table,
    summarise,
    summarise_one_class,
    trial_table,
)

ATTACKS = ["A01", "A01", "A02", "A02"]


def test_spoof_alone_has_its_error_rate_and_that_of_each_attack() -> None:
    table = trial_table(["a", "b", "c", "d"], [0.0, 2.0, 3.0, 4.0], [0, 0, 0, 0], ATTACKS)
    found = summarise_one_class(table, 1.0, n_resamples=50)
    assert found["false_alarm"] == 0.75
    assert found["per_attack"] == {
        "A01": {"false_alarm": 0.5, "n_spoof": 2},
        "A02": {"false_alarm": 1.0, "n_spoof": 2},
    }
    assert found["false_alarm_ci95_low"] < 0.75 <= found["false_alarm_ci95_high"]
    assert (found["n_bonafide"], found["n_spoof"], found["n_trials"]) == (0, 4, 4)
    assert not {"eer", "miss", "cllr"} & found.keys()


def test_bona_fide_alone_has_its_error_rate() -> None:
    found = summarise_one_class(trial_table(["a", "b"], [0.0, 2.0], [1, 1]), 1.0)
    assert found["miss"] == 0.5
    assert found["per_attack"] == {}


def test_a_rate_without_an_error_is_not_certain() -> None:
    table = trial_table([str(n) for n in range(10)], np.zeros(10), np.zeros(10, int))
    assert summarise_one_class(table, 1.0, n_resamples=20)["false_alarm_ci95_high"] > 0.3


def test_one_value_for_every_clip_is_an_eer_of_half() -> None:
    table = trial_table(["a", "b", "c"], [0.7, 0.7, 0.7], [1, 0, 0])
    assert table.is_constant
    summary = summarise(table, threshold=0.0, n_resamples=5)
    assert (summary["eer"], summary["auc"], summary["rocch_eer"]) == (0.5, 0.5, 0.5)
    assert "calibration_slope" not in calibration_checks(table)
    assert calibration_checks(table)["min_cllr"] == 1.0


def test_score_files_of_one_class_or_of_flags_are_still_refused() -> None:
    with pytest.raises(MetricsError, match="no bonafide utterance among 2, all are spoof"):
        score_table(["a", "b"], [1.0, 2.0], [0, 0])
    with pytest.raises(MetricsError, match="no utterance"):
        require_both_classes(trial_table([], [], []))
    with pytest.raises(MetricsError, match="hard decisions"):
        score_table(["a", "b"], [1.0, 1.0], [0, 1])
