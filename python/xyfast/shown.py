"""Text as terminals, files and programs may have it, whoever wrote what is in it."""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any, TextIO

__all__ = ["ESCAPE", "columns", "fitting", "json_text", "printable", "printable_lines"]

ESCAPE = "xyfast.escape"
"""Names what a stream does (``errors``) with letters that its encoding lacks."""

_SPACE = "\u3000"  # that of Chinese text is no letter to Python
_ENDLESS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(-?Infinity|NaN)')


def printable(text: str, /) -> str:
    """``text`` in one line, with escapes for what a terminal might obey."""
    return _escaped(text, _SPACE)


def printable_lines(text: str, /) -> str:
    """The same of a text whose own lines and tabs are to stay."""
    return _escaped(text, f"\n\t{_SPACE}")


def json_text(
    value: Any,
    /,
    *,
    indent: int | None = None,
    ensure_ascii: bool = False,
    default: Callable[[Any], Any] | None = None,
) -> str:
    """``value`` as JSON that any terminal, file and program can take.

    Numbers that JSON lacks are the strings ``NaN``, ``Infinity`` and ``-Infinity``.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, default=default)
    if "NaN" in text or "Infinity" in text:
        text = _ENDLESS.sub(lambda found: f'"{found[1]}"' if found[1] else found[0], text)
    return printable_lines(text)


def fitting(text: str, stream: TextIO, /) -> str:
    """``text`` with escapes for letters that the encoding of ``stream`` lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"  # in memory it has none
    return text.encode(encoding, ESCAPE).decode(encoding)


def columns(text: str, /) -> int:
    """How many columns of a terminal printable text takes."""
    return len(text) if text.isascii() else sum(map(_wide, text))


def _wide(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _escaped(text: str, spared: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in spared else _escape(letter) for letter in text
    )


def _escape(letter: str) -> str:
    """As JSON has it, so that escaped JSON is JSON."""
    return json.dumps(letter)[1:-1]


def _encoded(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_escape, error.object[error.start : error.end])), error.end


codecs.register_error(ESCAPE, _encoded)
