"""What whoever looks has asked for, and what a key changes in that. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["SORTS", "View", "keys"]

SORTS = ("trouble", "account", "rate", "inbox")
"""Orders of accounts; the first one is that of the status page."""

_QUERY_MOST = 60
_TOKEN = re.compile(r"\x1b[\[O]([0-9;]*[A-Za-z~])|(.)", re.DOTALL)
_SEQUENCES = {
    "A": "up",
    "B": "down",
    "5~": "page up",
    "6~": "page down",
    **dict.fromkeys(("H", "1~", "7~"), "home"),
    **dict.fromkeys(("F", "4~", "8~"), "end"),
}
_LETTERS = {
    "\r": "enter",
    "\n": "enter",
    "\x1b": "escape",
    "\x08": "backspace",
    "\x7f": "backspace",
}


def keys(typed: str) -> Iterator[str]:
    """Keys by name: those with a letter by it, others such as ``page up``; unknown ones not."""
    for sequence, letter in _TOKEN.findall(typed):
        key = _SEQUENCES.get(sequence) if sequence else _LETTERS.get(letter, letter)
        if key is not None:
            yield key


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at, and how."""

    where: str
    """Host and port of the status page."""
    sort: str = SORTS[0]
    first: int = 0
    """The account that is shown first."""
    query: str = ""
    typing: bool = False
    """Whether keys go into the query."""
    paused: bool = False
    problem: str | None = None
    """Why the status page could not be read the last time."""
    ended: bool = False

    def pressed(self, key: str, *, accounts: int, rows: int) -> View:
        """What follows from a key; ``accounts`` are there, in so many ``rows`` at a time."""
        if self.typing:
            return self._typed(key)
        last = max(0, accounts - rows)
        first = {
            "up": self.first - 1,
            "down": self.first + 1,
            "page up": self.first - rows,
            "page down": self.first + rows,
            "home": 0,
            "end": last,
        }.get(key)
        if first is not None:
            return replace(self, first=min(max(first, 0), last))
        match key:
            case "q":
                return replace(self, ended=True)
            case "p":
                return replace(self, paused=not self.paused)
            case "s":
                following = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
                return replace(self, sort=following, first=0)
            case "/":
                return replace(self, typing=True)
            case "escape":
                return replace(self, query="", first=0)
        return self

    def _typed(self, key: str) -> View:
        if key == "enter":
            return replace(self, typing=False)
        if key == "escape":
            return replace(self, typing=False, query="", first=0)
        if key == "backspace":
            return replace(self, query=self.query[:-1], first=0)
        if len(key) == 1 and key.isprintable():
            return replace(self, query=(self.query + key)[:_QUERY_MOST], first=0)
        return self
