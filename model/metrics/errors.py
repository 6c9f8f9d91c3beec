"""The errors and warnings of the metrics package, which imports nothing else of the project.

The message of a `MetricsError` is for the user: what was wrong, where (file and line, or utterance ids) and what to do.
"""

from collections.abc import Sequence


class MetricsError(ValueError):
    """Scores, labels or a protocol from which no valid number can be computed.

    Attributes:
        exit_code: Exit code of the command line.
    """

    exit_code = 1


class InvertedLabelsWarning(UserWarning):
    """The error rate is above 50 %: labels or the direction of the scores may be inverted."""


def enumerate_some(items: Sequence[str], limit: int = 5) -> str:
    """Joins the first `limit` items with commas and says how many more there are: "a, b and 7 more"."""
    shown = ", ".join(items[:limit])
    hidden = len(items) - limit
    return f"{shown} and {hidden:,} more" if hidden > 0 else shown
