"""Reading YAML that others may have written: bounded in size, depth and expansion, without duplicate keys or rare types.

An error names the key and its line. PyYAML alone takes the last of two equal keys, builds lists that contain themselves, and ends
in any exception for values such as an integer of 5,000 digits.
"""

import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import yaml
from typing_extensions import override

from pipeline.errors import ParamsError
from pipeline.text import control_character

_MOST_BYTES: Final = 1 << 16
_MOST_VALUES: Final = 10_000
_DEEPEST: Final = 16
_LONGEST_TEXT: Final = 4096
_LONGEST_NUMBER: Final = 40
_TAG: Final = "tag:yaml.org,2002:"
_SCALARS: Final = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null")}
_COLLECTIONS: Final = {f"{_TAG}{name}" for name in ("map", "seq")}


def read_yaml(path: Path) -> Any:
    """Reads a YAML file of mappings with text as keys, lists, text, numbers, booleans and null.

    Args:
        path: A regular file of at most 64 KiB in UTF-8, with or without a byte order mark.

    Returns:
        The content, with a tuple for every list. An alias is a copy of what it names.

    Raises:
        FileNotFoundError: There is no such file.
        ParamsError: It is anything else; the message names the file, and the key and line where there are any.
    """
    if path.exists() and not path.is_file():
        raise ParamsError(f"{path}: not a regular file")
    try:
        with path.open("rb") as file:
            # No more than its size: some special files never end, or wait for ever.
            data = file.read(min(os.fstat(file.fileno()).st_size, _MOST_BYTES + 1))
        if len(data) > _MOST_BYTES:
            raise ParamsError(f"{path}: more than {_MOST_BYTES:,} bytes; this is no parameter file")
        return _expanded(yaml.load(data.decode("utf-8-sig"), Loader=_Loader), "", [_MOST_VALUES])
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise ParamsError(
            f"{path}: cannot be read as YAML: not text in UTF-8, {error.reason} at byte {error.start}"
        ) from None
    except (OSError, yaml.YAMLError, _ContentError) as error:
        raise ParamsError(f"{path}: cannot be read as YAML: {error}") from error


class _ContentError(Exception):
    """What the content has that a parameter file may not have; the text names the key."""


class _Loader(yaml.SafeLoader):
    """Refuses what no parameter file needs, and reads the numbers of YAML 1.2.

    PyYAML reads `1e-05`, which is how `dvc exp run -S` writes small rates, as text.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._keys: list[str] = []

    @override
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        # The index is a node for a value of a mapping, a number for an item of a list, None for a key and for the top.
        self._keys.append(str(getattr(index, "value", "" if index is None else index)))
        try:
            if len(self._keys) > _DEEPEST:
                self._refuse(f"nested more than {_DEEPEST} deep")
            node = super().compose_node(parent, index)
            if isinstance(node, yaml.MappingNode):
                self._check_keys(node)
            if isinstance(node, yaml.ScalarNode):
                self._check_scalar(node)
            elif node is not None and node.tag not in _COLLECTIONS:
                self._refuse(f"a value of type {node.tag}", node)
            return node
        finally:
            self._keys.pop()

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if key.tag != f"{_TAG}str":
                shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                self._refuse(f"the key {shown} is no text; put it in quotes", key)
            if key.value in seen:
                self._refuse(f"the key {key.value} is there twice; remove one of the two", key)
            seen.add(key.value)

    def _check_scalar(self, node: yaml.ScalarNode) -> None:
        if node.tag not in _SCALARS:
            self._refuse(f"a value of type {node.tag.removeprefix(_TAG)}; put it in quotes", node)
        if len(node.value) > (_LONGEST_TEXT if node.tag == f"{_TAG}str" else _LONGEST_NUMBER):
            self._refuse(f"a value of {len(node.value):,} characters", node)
        if sign := control_character(node.value):
            self._refuse(f"the control character {sign}", node)
        try:
            self.construct_object(node)
        except (ValueError, LookupError, AttributeError) as error:
            self._refuse(f"{node.value!r} is no {node.tag.removeprefix(_TAG)} ({error})", node)
        finally:
            self.constructed_objects.pop(node, None)

    def _refuse(self, text: str, node: yaml.Node | None = None) -> None:
        mark = self.get_mark() if node is None else node.start_mark
        raise _ContentError(f"{'.'.join(filter(None, self._keys)) or '(top level)'}, line {mark.line + 1}: {text}")


_Loader.add_implicit_resolver(f"{_TAG}float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+"), list("-+.0123456789"))


def _expanded(value: Any, key: str, left: list[int]) -> Any:
    """A copy without shared parts, and with a tuple for every list.

    Args:
        value: Lists, mappings and scalars, which aliases may have made large or endless.
        key: Of the value.
        left: How many values may still be copied.
    """
    left[0] -= 1
    if left[0] < 0 or key.count(".") >= _DEEPEST:
        raise _ContentError(f"{key[:_LONGEST_NUMBER]}: its aliases stand for too much, or for themselves")
    if isinstance(value, dict):
        return {name: _expanded(item, f"{key}.{name}" if key else name, left) for name, item in value.items()}
    if isinstance(value, list):
        return tuple(_expanded(item, f"{key}.{place}", left) for place, item in enumerate(value))
    return value
