"""The rows of one account that wait in a `MemoryStore`, in line."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

from xyfast.store.rows import Row

__all__ = ["Head", "Queue"]


class Head(NamedTuple):
    """The first row of a conversation. No two have the same place."""

    position: int
    place: int
    conversation_id: str | None
    key: str


class _Line:
    """Rows of one conversation, sorted; those before ``start`` are no longer there."""

    __slots__ = ("rows", "start")

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, str]] = []
        self.start = 0

    def pop(self) -> None:
        """Take away the first; what is left moves up at times, not every time."""
        self.start += 1
        if 2 * self.start >= len(self.rows):
            del self.rows[: self.start]
            self.start = 0


class Queue:
    """Rows by position, then place; a line a conversation, and a heap of their first rows.

    So the rows of a conversation that is passed over cost nothing, however many they are.
    """

    def __init__(self) -> None:
        self._lines: dict[str | None, _Line] = {}
        self._heads: list[Head] = []  # some are no longer those of their lines
        self._current: dict[str | None, Head] = {}

    def push(self, row: Row, place: int) -> None:
        """Let a row stand in line."""
        entry = (row.position, place, row.key)
        if (line := self._lines.get(row.conversation_id)) is None:
            line = self._lines[row.conversation_id] = _Line()
        insort(line.rows, entry, lo=line.start)
        if line.rows[line.start] is entry:
            self._lead(row.conversation_id)

    def remove(self, row: Row, place: int) -> None:
        """Let a row that stands there leave its line."""
        line = self._lines[row.conversation_id]
        at = bisect_left(line.rows, (row.position, place), lo=line.start)
        if at == line.start:
            line.pop()
            self._lead(row.conversation_id)
        else:
            del line.rows[at]

    def first(self) -> Head | None:
        """The first of all that were not passed over; None if there is none."""
        heads = self._heads
        while heads and self._current.get(heads[0].conversation_id) is not heads[0]:
            heapq.heappop(heads)
        return heads[0] if heads else None

    def pop(self) -> str:
        """Take away what is `first`, and return its key."""
        head = heapq.heappop(self._heads)
        self._lines[head.conversation_id].pop()
        self._lead(head.conversation_id)
        return head.key

    def pass_over(self) -> Head:
        """Leave out the conversation of what is `first`, until it is `put_back`."""
        return heapq.heappop(self._heads)

    def put_back(self, passed: Iterable[Head]) -> None:
        """Let conversations stand in line again that were passed over."""
        for head in passed:
            heapq.heappush(self._heads, head)

    def behind(
        self, conversation_id: str | None, position: int, place: int, most: int
    ) -> Sequence[str]:
        """Keys of what stands in a conversation at a position, from a place on."""
        line = self._lines[conversation_id]
        at = bisect_left(line.rows, (position, place), lo=line.start)
        rows = takewhile(lambda row: row[0] == position, islice(line.rows, at, at + most))
        return [key for _, _, key in rows]

    def _lead(self, conversation_id: str | None) -> None:
        """The line of a conversation has another first row, or none."""
        line = self._lines[conversation_id]
        if line.rows:
            position, place, key = line.rows[line.start]
            head = self._current[conversation_id] = Head(position, place, conversation_id, key)
            heapq.heappush(self._heads, head)
        else:
            del self._lines[conversation_id], self._current[conversation_id]
