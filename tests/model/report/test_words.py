import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.metrics.classification import Classification
from model.report.words import error_rates, limits, listed, percent, share_in_words, signed, verdict


def split_metrics(eer: float, **changes: object) -> dict[str, object]:
    return {
        "eer": eer,
        "recall": 0.9,
        "balanced_accuracy": 0.8,
        "cllr": 0.4,
        "n_bonafide": 100,
        "n_spoof": 200,
        "n_trials": 300,
        "per_attack": {},
        **changes,
    }


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.0, "none of the"),
        (0.0043, "about 1 in 233"),
        (0.118, "about 1 in 8"),
        (0.2, "about 1 in 5"),
        (0.25, "about 1 in 4"),
        (0.309, "about 3 in 10"),
        (0.34, "about 1 in 3"),
        (0.49, "about 1 in 2"),
        (0.71, "about 7 in 10"),
    ],
)
def test_rates_are_said_the_way_people_say_them(rate: float, words: str) -> None:
    assert share_in_words(rate) == words


@given(rate=st.floats(0.001, 1))
def test_a_rate_in_words_is_never_far_from_the_rate(rate: float) -> None:
    part, _, whole = share_in_words(rate).removeprefix("about ").partition(" in ")

    assert int(part) / int(whole.replace(",", "")) == pytest.approx(rate, rel=0.2, abs=1e-3)


@given(
    hits=st.integers(0, 50), misses=st.integers(0, 50), false_alarms=st.integers(0, 50), rejections=st.integers(0, 50)
)
def test_both_error_rates_follow_from_the_metrics(hits: int, misses: int, false_alarms: int, rejections: int) -> None:
    # One of each at least, so that both classes are there.
    counted = Classification(0.0, hits + 1, misses + 1, false_alarms + 1, rejections + 1)
    metrics = {"recall": counted.recall, "balanced_accuracy": counted.balanced_accuracy}

    miss, false_alarm = error_rates(metrics)

    assert miss == pytest.approx((misses + 1) / (hits + misses + 2))
    assert false_alarm == pytest.approx((false_alarms + 1) / (false_alarms + rejections + 2))


def test_the_verdict_says_how_often_it_is_wrong_and_what_that_means() -> None:
    said = verdict(split_metrics(0.31), "eval", unseen=True)

    assert said.sentence == "On attacks that it never heard in training, this detector confuses about 3 in 10 clips."
    assert "lets through 30\u202f% of the fakes and turns away 10\u202f% of the genuine voices" in said.consequence
    assert said.label == "Not fit to decide alone"


def test_the_verdict_claims_unseen_attacks_only_where_they_are() -> None:
    assert "was not trained on" in verdict(split_metrics(0.1), "eval", unseen=False).sentence
    assert "settings were chosen on" in verdict(split_metrics(0.1), "dev", unseen=False).sentence


@pytest.mark.parametrize(("eer", "grade"), [(0.5, "chance"), (0.2, "weak"), (0.1, "helpful"), (0.01, "strong")])
def test_the_grade_follows_the_error_rate(eer: float, grade: str) -> None:
    assert verdict(split_metrics(eer), "eval", unseen=True).grade == grade


def test_the_limits_carry_the_numbers_of_the_run() -> None:
    attacks = {"A07": {"eer": 0.45}, "A08": {"eer": 0.42}, "A09": {"eer": 0.05}}
    metrics = {
        "dev": split_metrics(0.02, cllr=0.1),
        "eval": split_metrics(0.3, cllr=0.97, uncertain=0.25, per_attack=attacks, trimmed={"eer": 0.42}),
    }
    validation = {"eval": {"shortcut_eer": {"leading_silence_s": 0.21, "level_db": 0.5}, "speakers": 48}}

    found = {limit.title: limit for limit in limits(metrics, validation, 2.0, 0.5, ["A07", "A08", "A09"])}

    unseen = found["Attacks it has never heard"].text
    assert "from 2.0\u202f% on dev to 30.0\u202f% on eval" in unseen
    assert "against A07 and A08 it is hardly better than a coin" in unseen
    assert "leading silence" in found["Shortcuts in the data"].text
    assert "21.0\u202f%" in found["Shortcuts in the data"].text
    assert "42.0\u202f% instead of 30.0\u202f%" in found["Shortcuts in the data"].text
    # 0.7 of the fakes are caught, 0.1 of the genuine alarm: 0.007 / (0.007 + 0.099) of the alarms are right.
    assert "7\u202f% of its alarms would be right" in found["Another mix of real and fake"].text
    assert "0.10 bit there and 0.97 bit on eval" in found["Probabilities taken at face value"].text
    assert "25\u202f% of the eval clips" in found["Unclear cases"].text
    assert "48 speakers" in found["Small numbers"].text
    assert "windows of 2 s" in found["Partial fakes"].text
    assert not found["Other channels and codecs"].measured


def test_what_was_not_measured_is_not_claimed() -> None:
    found = {limit.title: limit for limit in limits({"dev": split_metrics(0.1)}, None, 2.0, 0.5, [])}

    assert not found["Attacks it has never heard"].measured
    assert "Shortcuts in the data" not in found
    assert "Probabilities taken at face value" not in found
    assert "Unclear cases" not in found


def test_numbers_for_people() -> None:
    assert percent(0.1234) == "12.3\u202f%"
    assert signed(-1.5) == "−1.50"
    assert signed(0.314) == "+0.31"
    assert [listed(names) for names in (["A"], ["A", "B"], ["A", "B", "C"])] == ["A", "A and B", "A, B and C"]
