"""Lines for a terminal: what they may hold, how wide they are, and numbers in a few letters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from xyfast.shown import columns, printable

__all__ = ["Line", "Span", "age", "cell", "count", "fit", "quick"]

_MORE = "…"
_EMOJI = "\ufe0f"  # asks for another picture of a letter; terminals disagree how wide that is


class Span(NamedTuple):
    """A part of a line, in a colour of `xyfast.commands.shared.painted`."""

    text: str
    colour: str | None = None


Line: TypeAlias = tuple[Span, ...]


def _clean(text: str) -> str:
    """``text`` with escapes for what a terminal might obey, and as wide as we think it is."""
    return printable(text).replace(_EMOJI, "")


def _first(text: str, width: int) -> str:
    """As much of ``text`` as ``width`` columns hold."""
    for place, letter in enumerate(text):
        width -= columns(letter)
        if width < 0:
            return text[:place]
    return text


def fit(line: Iterable[Span], width: int) -> Line:
    """The line as it may be shown: without control characters, and ``width`` columns at most."""
    spans = [Span(_clean(text), colour) for text, colour in line]
    if sum(columns(text) for text, _ in spans) <= width:
        return tuple(spans)
    shown: list[Span] = []
    left = width - 1
    for text, colour in spans:
        part = _first(text, left)
        shown.append(Span(part, colour))
        left -= columns(part)
        if part != text:
            break
    return (*shown, Span(_MORE)) if width > 0 else ()


def cell(text: str, width: int) -> str:
    """``text`` in exactly so many columns; a negative width is to the right."""
    room = abs(width)
    [*spans] = fit([Span(text)], room)
    shown = "".join(text for text, _ in spans)
    space = " " * (room - columns(shown))
    return space + shown if width < 0 else shown + space


def count(number: float | None) -> str:
    """How many, in 6 letters at most."""
    if number is None:
        return "-"
    if number >= 1e8:
        return f"{number / 1e6:.0f}M"
    if number >= 1e5:
        return f"{number / 1e3:.0f}k"
    return f"{number:.1f}" if number < 100 and number != int(number) else f"{number:.0f}"


def quick(seconds: float | None) -> str:
    """How long something took, in two digits or more."""
    if seconds is None:
        return "-"
    if seconds >= 1 or not seconds:
        value, unit = seconds, "s"
    else:
        value, unit = (seconds * 1e3, "ms") if seconds >= 1e-3 else (seconds * 1e6, "µs")
    return f"{value:.1f}{unit}" if 0 < value < 9.95 else f"{value:.0f}{unit}"


def age(seconds: float | None) -> str:
    """For how long something has been so, in 5 letters."""
    if seconds is None:
        return "-"
    left = max(0, int(seconds))
    for unit, size, below in (("d", 86400, 3600), ("h", 3600, 60), ("m", 60, 1)):
        if left >= 100 * size:
            return f"{left // size}{unit}"
        if left >= size:
            return f"{left // size}{unit}{left % size // below:02}"
    return f"{left}s"
