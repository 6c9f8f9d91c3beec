"""Choice of an implementation by a parameter's value."""

from collections.abc import Mapping
from typing import TypeVar

from pipeline.errors import ParamsError

Entry = TypeVar("Entry")


def choose(entries: Mapping[str, Entry], key: str, value: str) -> Entry:
    """The entry that a parameter names.

    Args:
        entries: A registry, by name.
        key: The parameter, such as "train.network".
        value: Its value.

    Raises:
        ParamsError: The registry has no such entry; the message lists those that it has.
    """
    if value not in entries:
        raise ParamsError(f"{key}: {value}: unknown; there is {', '.join(sorted(entries))}")
    return entries[value]
