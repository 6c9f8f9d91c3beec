"""The result of a recording as HTML for the demo."""

from collections.abc import Mapping
from html import escape
from typing import Final

from model.detector import FileScore, Terms
from pipeline.text import printable

_KINDLY: Final[Mapping[str, str]] = {
    "unsupported_format": "This is no audio file that can be read. Try WAV, FLAC, MP3, OGG or M4A.",
    "silent": "The recording is silent, so there is no voice to judge.",
    "empty": "The file holds no sound.",
    "too_short": "The recording is too short to judge.",
    "too_long": "The recording is too long for this page; `bonafide score` takes up to 12 hours.",
    "truncated": "The file ends before its sound does. Was it copied as a whole?",
    "unreadable": "The file is damaged and cannot be read to its end.",
    "not_finite": "The file has samples that are no numbers.",
    "duration_mismatch": "The file's header and its sound contradict each other; it may be damaged.",
}


def result_html(record: FileScore, terms: Terms) -> str:
    """Verdict, probability, score and warnings of a scored recording."""
    verdict = str(record.verdict)
    reason = f": {record.reason}" if record.reason else ""
    probability, score, duration_s = (
        float(value or 0.0) for value in (record.probability, record.score, record.duration_s)
    )
    notes = [warning.message for warning in record.warnings if warning.message != record.reason]
    if record.suspicious and record.verdict != "spoof":
        places = ", ".join(f"{part.start_s:.1f} to {part.end_s:.1f} s" for part in record.suspicious[:5])
        notes.append(f"suspicious from {places}")
    listed = "".join(f"<li>{_text(note)}</li>" for note in notes)
    return (
        f'<section class="verdict {verdict.replace(" ", "-")}"><h2>{_text(verdict.capitalize() + reason)}</h2>'
        f"<p>Probability of bona fide speech: <b>{probability:.1%}</b> at a prior of {terms.prior:g}</p>"
        f"<p>Score {score:+.2f}; bona fide from {terms.uncertain_high:+.2f}, spoof below {terms.uncertain_low:+.2f}; "
        f"{duration_s:.2f} s</p>{f'<ul>{listed}</ul>' if listed else ''}</section>"
    )


def problem_html(problem: str) -> str:
    """What is wrong with a recording that cannot be scored.

    Args:
        problem: Reason, colon and detail.
    """
    reason, _, detail = problem.partition(": ")
    kindly = _KINDLY.get(reason, "The file cannot be scored.")
    words = f"<p>{_text(kindly)}</p><p><small>{_text(detail)}</small></p>"
    return f'<section class="verdict problem"><h2>No verdict</h2>{words}</section>'


def _text(text: str) -> str:
    return escape(printable(text))
