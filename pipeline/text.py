"""Names from a corpus as text for people: ids, attacks and speakers are data, whatever they are made of.

One function for each kind of output. HTML is escaped by the template of the report and JSON by its encoder.
"""

import codecs
import io
import re
from typing import Any, Final, TypeVar

# Control characters but for the ends of lines and tabs, half surrogates, and what turns the direction of text. A terminal obeys
# the first, and the last makes a name look like another one.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_ENDS: Final = re.compile("[\t\n]")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")

# Signs of our own tables and messages, for streams that only take ASCII or Latin-1.
_PLAIN: Final = {"−": "-", "–": "-", "→": ">", "≥": ">=", "×": "x", "…": "...", "µ": "u", "±": "+-"}
_ESCAPING: Final = "bonafide.escape"

Value = TypeVar("Value")


def print_everything(*streams: Any) -> None:
    """Makes text streams take every text: what their encoding does not have is printed as an escape, not as an error.

    Such as a file name of other bytes than UTF-8, or any letter beyond ASCII under `LC_ALL=C`. Other objects stay as they are.
    """
    codecs.register_error(_ESCAPING, _escaped)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPING)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Stands in for what cannot be encoded, for `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    failed = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in failed), error.end


def control_character(text: str) -> str | None:
    r"""The first control character of a name as Python writes it, such as "'\x1b'"; None if it has none.

    Ends of lines and tabs count, too.
    """
    found = _UNPRINTABLE.search(text) or _LINE_ENDS.search(text)
    return None if found is None else ascii(found[0])


def printable(text: str) -> str:
    """A text for the terminal or a picture: control characters as escapes, so that they do nothing.

    Ends of lines and tabs stay.
    """
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def csv_cell(value: Value) -> Value | str:
    """A value for a CSV file that a spreadsheet may open: text that it would take for a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
