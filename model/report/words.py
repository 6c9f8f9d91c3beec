"""Numbers as the page writes them: rates in words, per cent, scores, intervals, quantities."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from model.metrics import Interval

_FRACTIONS: Final = ((1, 4), (3, 10), (1, 3), (4, 10), (1, 2))


def error_rates(metrics: Mapping[str, Any]) -> tuple[float, float]:
    """Share of bona fide rejected and share of spoof accepted at the threshold from dev."""
    miss = 1 - metrics["recall"]
    return miss, 1 - (2 * metrics["balanced_accuracy"] - metrics["recall"])


def share_in_words(rate: float) -> str:
    """A rate as a fraction of small numbers: "about 3 in 10"; "none of the" for 0."""
    if rate <= 0:
        return "none of the"
    if rate < 0.225:
        return f"about 1 in {round(1 / rate):,}"
    tenths = [(part, 10) for part in range(3, 11) if part != 5]
    part, whole = min([*_FRACTIONS, *tenths], key=lambda pair: (abs(pair[0] / pair[1] - rate), pair[1]))
    return f"about {part} in {whole}"


def percent(rate: float, digits: int = 1) -> str:
    """A fraction in per cent, with a narrow no-break space."""
    return f"{100 * rate:.{digits}f}\u202f%"


def signed(value: float, digits: int = 2) -> str:
    """A score with its sign."""
    return f"{value:+.{digits}f}".replace("-", "\u2212")


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: A, A and B, or A, B and C."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def figure(value: float, unit: str = "", digits: int = 3) -> str:
    """A metric with its unit: a fraction with the unit "%" in per cent, other values with `digits` decimals."""
    if unit == "%":
        return percent(value)
    return f"{value:.{digits}f}\u202f{unit}" if unit else f"{value:.{digits}f}"


def interval(ends: Interval | None, unit: str = "", digits: int = 3) -> str:
    """Both ends of an interval as `figure` writes them; a dash for None."""
    if ends is None:
        return "–"
    low = f"{100 * ends.low:.1f}" if unit == "%" else f"{ends.low:.{digits}f}"
    return f"{low} to {figure(ends.high, unit, digits)}"


def quantity(value: float) -> str:
    """A measured quantity: no decimals from 100 up, two below."""
    return (f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}").replace("-", "\u2212")
