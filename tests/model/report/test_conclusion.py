import pytest

from model.report.conclusion import conclude
from tests.support.report_metrics import split_metrics


def test_the_verdict_says_how_often_it_is_wrong_and_what_that_means() -> None:
    said = conclude(split_metrics(0.31, unseen={"eer": 0.31}), "eval")

    assert said.sentence == "On attacks that were not in its training data, this detector confuses about 3 in 10 clips."
    assert "accepts 30\u202f% of the fakes and rejects 10\u202f% of the genuine voices" in said.consequence
    assert said.label == "Not fit to decide alone"


def test_the_verdict_claims_unseen_attacks_only_where_they_are() -> None:
    assert "was not trained on" in conclude(split_metrics(0.1), "eval").sentence
    assert "settings were chosen on" in conclude(split_metrics(0.1), "dev").sentence


@pytest.mark.parametrize(("eer", "grade"), [(0.5, "chance"), (0.2, "weak"), (0.1, "helpful"), (0.01, "strong")])
def test_the_grade_follows_the_error_rate(eer: float, grade: str) -> None:
    assert conclude(split_metrics(eer), "eval").grade == grade


def test_both_groups_of_attacks_are_told_where_eval_has_both() -> None:
    said = conclude(split_metrics(0.2, seen={"eer": 0.08}, unseen={"eer": 0.25}), "eval")

    assert "was not trained on" in said.sentence
    assert "8.0\u202f% on attacks of its training data and 25.0\u202f% on other attacks" in said.consequence
