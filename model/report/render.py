"""Renders the page's template: one HTML file with its style, scripts, charts, pictures and sound inside.

Everything that comes from data is escaped, and a content security policy in the page forbids every request.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from model.report import words

_FOLDER: Final = Path(__file__).resolve().parent


def render(content: Mapping[str, Any]) -> str:
    """The page from its content; only the style and the scripts of the page itself are not escaped."""
    from plotly.offline import get_plotlyjs

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": words.percent,
        "figure": words.figure,
        "interval": words.interval,
        "script_json": script_json,
        "parameter": parameter,
        "quantity": words.quantity,
        "signed": words.signed,
    }
    page: str = environment.get_template("template.html.j2").render(
        **content,
        style=_inline("style", (_FOLDER / "style.css").read_text(encoding="utf-8")),
        script=_inline("script", (_FOLDER / "page.js").read_text(encoding="utf-8")),
        plotly=_inline("script", get_plotlyjs()),
    )
    return page


def parameter(value: Any) -> str:
    """A parameter as YAML writes it."""
    return json.dumps(value, ensure_ascii=False)


def script_json(value: Any) -> Markup:
    """JSON for a script element, with "<", ">" and "&" as escapes, so that the text cannot end the element."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _inline(element: str, text: str) -> Markup:
    """A file of the page as the content of a `script` or `style` element.

    Raises:
        ValueError: The text would end the element.
    """
    if re.search(rf"</{element}|<!--", text, re.IGNORECASE):
        raise ValueError(f"text for a {element} element would end it")
    return Markup(text)
