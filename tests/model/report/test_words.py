import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.metrics.classification import Classification
from model.report.words import error_rates, listed, percent, share_in_words, signed


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


def test_numbers_for_people() -> None:
    assert percent(0.1234) == "12.3\u202f%"
    assert signed(-1.5) == "−1.50"
    assert signed(0.314) == "+0.31"
    assert [listed(names) for names in (["A"], ["A", "B"], ["A", "B", "C"])] == ["A", "A and B", "A, B and C"]
