"""The rows of one account that wait in a `MemoryStore`, in line."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from xyfast.store.rows import Row

__all__ = ["Head", "Queue"]


class Head(NamedTuple):
    """The first row of a conversation. No two have the same place, unless they are the same."""

    position: int
    place: int
    conversation_id: str | None
    key: str


class Queue:
    """Rows by position, then place; a heap a conversation, and one of their first rows.

    So the rows of a conversation that is passed over cost nothing, however many they are.
    """

    def __init__(self) -> None:
        self._lines: dict[str | None, list[tuple[int, int, str]]] = {}
        self._heads: list[Head] = []  # some are no longer those of their lines
        self._current: dict[str | None, Head] = {}

    def push(self, row: Row, place: int) -> None:
        """Let a row stand in line."""
        entry = (row.position, place, row.key)
        line = self._lines.setdefault(row.conversation_id, [])
        heapq.heappush(line, entry)
        if line[0] is entry:
            self._lead(row.conversation_id)

    def first(self) -> Head | None:
        """The first of all that were not passed over; None if there is none."""
        heads = self._heads
        while heads and self._current.get(heads[0].conversation_id) is not heads[0]:
            heapq.heappop(heads)
        return heads[0] if heads else None

    def pop(self) -> str:
        """Take away what is `first`, and return its key."""
        head = heapq.heappop(self._heads)
        heapq.heappop(self._lines[head.conversation_id])
        self._lead(head.conversation_id)
        return head.key

    def pass_over(self) -> Head:
        """Leave out the conversation of what is `first`, until it is `put_back`."""
        return heapq.heappop(self._heads)

    def put_back(self, passed: Iterable[Head]) -> None:
        """Let conversations stand in line again that were passed over."""
        for head in passed:
            heapq.heappush(self._heads, head)

    def _lead(self, conversation_id: str | None) -> None:
        """The line of a conversation has another first row, or none."""
        line = self._lines[conversation_id]
        if line:
            position, place, key = line[0]
            head = self._current[conversation_id] = Head(position, place, conversation_id, key)
            heapq.heappush(self._heads, head)
        else:
            del self._lines[conversation_id], self._current[conversation_id]
