"""Reading params.yaml into typed, frozen models.

Validated once, at the edge. An unknown key, a wrong type or a value out of range is a `ParamsError` that names the key, the
value and what is allowed.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from pydantic import Tag, ValidationError

from pipeline.errors import ParamsError
from pipeline.section import Section
from pipeline.yaml_file import read_yaml

MEMBER_SECTIONS: Final = ("features", "augment", "store", "crossval", "train")
"""The sections that an entry of `members` may change: all networks are trained and tested on the same clips."""


class ParameterFile(Section):
    """The sections of params.yaml, unchecked.

    A stage reads the file through a subclass that gives types to the sections that it uses. The other sections, and the
    packages that define them, are no concern of the stage.
    """

    data: Any = None
    features: Any = None
    augment: Any = None
    store: Any = None
    crossval: Any = None
    train: Any = None
    evaluate: Any = None
    members: Any = None
    fusions: Any = None


AnyParams = TypeVar("AnyParams", bound=Section)


def read_params(path: Path, model: type[AnyParams], member: str | None = None) -> AnyParams:
    """Reads and checks a parameter file.

    Args:
        path: Of the file.
        model: A subclass of `ParameterFile`.
        member: Entry of `members` whose sections change those of the file; None for the file as it is.

    Raises:
        ParamsError: The file is missing or not YAML, or a key is unknown, missing, of a wrong type or out of range;
            every such key is listed. Or `members` has no such entry.
    """
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise ParamsError(
            f"{path}: no such parameter file; run in the project's folder or name one with --params"
        ) from None
    if member is None:
        return parse_params(content, str(path), model)
    return parse_params(_of_member(content, str(path), member), f"{path}, members.{member}", model)


def parse_params(content: Any, where: str, model: type[AnyParams]) -> AnyParams:
    """Checks the parsed content of a parameter file; `where` names it in errors.

    Raises:
        ParamsError: As for `read_params`.
    """
    if not isinstance(content, dict):
        raise ParamsError(
            f"{where}: expected sections such as data, features and train, found {type(content).__name__}"
        )
    try:
        # Strict models take tuples only from JSON-like input, where a YAML list is one.
        return model.model_validate(_as_tuples(content))
    except ValidationError as error:
        raise ParamsError(_explain(error, where, model)) from None


def _of_member(content: Any, where: str, member: str) -> dict[str, Any]:
    """The content of a parameter file with the changes of a member; raises `ParamsError`."""
    members = content.get("members") if isinstance(content, dict) else None
    if not isinstance(members, dict) or member not in members:
        known = ", ".join(map(str, members)) if isinstance(members, dict) and members else "none"
        raise ParamsError(f"{where}: members has no entry {member}; there is {known}")
    changes = members[member]
    if not isinstance(changes, dict) or not changes.keys() <= set(MEMBER_SECTIONS):
        raise ParamsError(
            f"{where}: members.{member}: {_shown(changes)}: expected changes of {', '.join(MEMBER_SECTIONS)}"
        )
    changed: dict[str, Any] = {name: _changed(content.get(name), section) for name, section in changes.items()}
    return {**content, **changed}


def _changed(section: Any, changes: Any) -> Any:
    """A section with other values for the keys that are named. One that names its kind is taken whole: keys go with the kind."""
    if not isinstance(section, dict) or not isinstance(changes, dict) or "kind" in changes:
        return changes
    return section | {key: _changed(section.get(key), value) for key, value in changes.items()}


def _as_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_tuples(item) for key, item in value.items()}
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list) else value


def _explain(error: ValidationError, where: str, model: type[Section]) -> str:
    lines: dict[str, str] = {}
    for item in error.errors():
        place = _Place(model, item["loc"])
        key = ".".join(place.keys)
        if item["type"] == "extra_forbidden":
            of_kind = f" for kind {place.kind}" if place.kind else ""
            text = f"unknown key{of_kind}; known here: {', '.join(place.section.model_fields)}"
        elif item["type"] == "missing":
            text = "is missing"
        elif item["type"] in ("union_tag_invalid", "union_tag_not_found"):
            key += ".kind"
            *others, last = map(repr, _tagged_members(place.annotation))
            text = f"{_shown(item['input']['kind'])}: Input should be {', '.join(others)} or {last}"
        else:
            # Of a section whose values contradict each other, the message alone names them.
            shown = "" if isinstance(item["input"], dict) else f"{_shown(item['input'])}: "
            text = shown + item["msg"].removeprefix("Value error, ")
        lines[key] = f"{lines[key]}; or {item['msg']}" if key in lines else text
    listed = "\n".join(f"  {key or '(top level)'}: {text}" for key, text in lines.items())
    return f"{where}: {len(lines)} parameter{'s' if len(lines) != 1 else ''} not allowed\n{listed}"


class _Place:
    """Where in the file an error is.

    Members of a union add their type or tag to pydantic's location: not part of the key that the user wrote.

    Attributes:
        keys: From the top level down to the one in question.
        annotation: Type of its value; None for an unknown key.
        section: Model that the last key belongs to.
        kind: Value of `kind` that chose this model, or None.
    """

    def __init__(self, model: type[Section], location: Iterable[int | str]) -> None:
        self.keys: list[str] = []
        self.annotation: Any = model
        self.section: Any = model
        self.kind: str | None = None
        chosen: str | None = None
        for part in map(str, location):
            members = _tagged_members(self.annotation)
            if part in members:
                self.annotation, chosen = members[part], part
            elif not _is_union_type(part):
                self.keys.append(part)
                self.section, self.kind, chosen = self.annotation, chosen, None
                field = getattr(self.section, "model_fields", {}).get(part)
                self.annotation = field.annotation if field else None


def _tagged_members(annotation: Any) -> dict[str, Any]:
    """The members of a union that is chosen by `kind`; empty for any other type."""
    parts = [get_args(member) for member in get_args(annotation)]
    return {extra.tag: member for member, *extras in filter(None, parts) for extra in extras if isinstance(extra, Tag)}


def _is_union_type(part: str) -> bool:
    return part.startswith(("literal[", "constrained-", "tuple[")) or part in {"int", "bool", "float", "none"}


def _shown(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else text[:57] + "..."
