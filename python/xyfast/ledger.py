"""How far an account has been handled: the cursor is the contiguous prefix.

Pushes come in order, each with its position (``pts``, microseconds) and the keys of its
messages. A push is done when none of its keys is open; the cursor is the position of the
last push before which every push is done. It never passes an unhandled message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass

__all__ = ["Ledger"]


@dataclass(slots=True)
class _Push:
    pts: int
    open: int = 0


class Ledger:
    """The open messages of one account and the cursor that follows from them."""

    def __init__(self, cursor: int | None = None) -> None:
        self._cursor = cursor
        self._received = cursor
        self._pushes: deque[_Push] = deque()
        self._waiting: dict[str, list[_Push]] = {}

    @property
    def cursor(self) -> int | None:
        """Position up to which everything is handled; None before the first push."""
        return self._cursor

    @property
    def received(self) -> int | None:
        """Position up to which everything is stored, handled or not: at least the cursor.

        A running client tells the server this one: what is stored need not come again, and
        a handler that takes its time must not make the server replay what came after.
        """
        return self._received

    @property
    def open(self) -> int:
        """Messages stored and not yet handled."""
        return len(self._waiting)

    def begin(self, cursor: int) -> None:
        """Start from the server's position: it will bring nothing from before."""
        if cursor > (self._cursor or 0):
            self._cursor = cursor
        self._received = max(self._received or 0, cursor)

    def recovered(self, keys: Iterable[str]) -> None:
        """Messages of an earlier run that still wait for their handler hold the cursor back."""
        self.stored(self._cursor, tuple(keys))

    def stored(self, pts: int | None, new: Collection[str], known: Collection[str] = ()) -> bool:
        """A push was committed: ``new`` keys are open now, ``known`` ones may still be.

        ``pts`` is None for a push whose position says nothing about what came before it.
        Returns whether the cursor moved, as it does for a push with nothing open.
        """
        push = _Push(pts or 0)
        if pts is not None:
            self._received = max(self._received or 0, pts)
        for key in new:
            self._waiting.setdefault(key, [])
        for key in {*new, *known}:
            if key in self._waiting:
                self._waiting[key].append(push)
                push.open += 1
        self._pushes.append(push)
        return self._advance()

    def handled(self, key: str) -> bool:
        """A message is done, in whatever way; returns whether the cursor moved."""
        for push in self._waiting.pop(key, ()):
            push.open -= 1
        return self._advance()

    def _advance(self) -> bool:
        before = self._cursor
        while self._pushes and not self._pushes[0].open:
            pts = self._pushes.popleft().pts
            if pts > (self._cursor or 0):
                self._cursor = pts
        return self._cursor != before
