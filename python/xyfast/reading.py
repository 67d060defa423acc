"""Reading trees that anybody may have written: the value, or None, never an exception.

Ids on the wire end with ``@goofish``; inside xyfast they are bare.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

__all__ = [
    "LARGEST",
    "SUFFIX",
    "at",
    "identifier",
    "json_object",
    "mapping",
    "number",
    "text",
    "url_parameters",
]

SUFFIX = "@goofish"
"""The end of user and conversation ids on the wire."""

LARGEST = 9_007_199_254_740_991
"""The largest integer that JavaScript keeps exact; larger numbers on the wire are nonsense."""

_DIGITS = re.compile(r"[0-9]{1,16}")
_SPACE = " \t\n\r"
_read = json.JSONDecoder().raw_decode


def at(tree: object, /, *path: str) -> Any:
    """Give the value that stands under ``path`` in nested maps, or None."""
    for name in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(name)
    return tree


def mapping(value: object, /) -> dict[str, Any]:
    """Give ``value`` if it is a map, else an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: object, /) -> str | None:
    """Give ``value`` if it is a str, with lone surrogates replaced, else None.

    A lone surrogate can be spelled in JSON but cannot be stored or sent as UTF-8.
    """
    if not isinstance(value, str):
        return None
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def number(value: object, /) -> int | None:
    """Give a whole number from 0 to `LARGEST`, also if it is spelled as digits, else None."""
    if isinstance(value, str):
        value = int(value) if _DIGITS.fullmatch(value) else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= LARGEST else None


def identifier(value: object, /) -> str | None:
    """Give an id without the wire's suffix; None for what is no id, and for an empty one."""
    if isinstance(value, str):
        whole = value if value.isascii() else text(value) or ""
        return whole.removesuffix(SUFFIX) or None
    found = number(value)
    return None if found is None else str(found)


def json_object(value: object, /) -> dict[str, Any]:
    """Give the object that is written in ``value`` as JSON or as base64 of JSON, else ``{}``."""
    if not isinstance(value, str):
        return {}
    raw = value.strip(_SPACE)
    try:
        if not raw.startswith("{"):
            raw = base64.b64decode(value).decode().strip(_SPACE)
        found, end = _read(raw)
        return mapping(found) if end == len(raw) else {}
    except (ValueError, RecursionError):
        return {}


def url_parameters(url: object, /) -> dict[str, str]:
    """Give the parameters of ``url`` as they are spelled there, each by its first value.

    Empty values are left out.
    """
    found: dict[str, str] = {}
    for part in (text(url) or "").replace("?", "&").replace("#", "&").split("&"):
        name, _, value = part.partition("=")
        if value:
            found.setdefault(name, value)
    return found
