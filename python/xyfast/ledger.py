"""How far an account has got: what is stored, and what is handled.

Every message has a position in the server's stream (microseconds). ``received`` is the
position up to which everything is stored, ``cursor`` the one up to which everything is
handled. The cursor stands before the lowest message that is taken or waits on disk, and
never passes it. Only taken messages are held here: those on disk count as their lowest.
"""

from __future__ import annotations

import heapq

__all__ = ["Ledger"]

_SLACK = 64  # positions in the heap that nobody holds any more, beside as many as are held


class Ledger:
    """The taken messages of one account and the cursor that follows from them.

    Both positions only ever rise; they are None before the first.
    """

    def __init__(self, cursor: int | None = None, received: int | None = None) -> None:
        self.cursor = cursor
        self.received = cursor if received is None else received
        self._held: dict[int, int] = {}  # taken messages by position
        self._heap: list[int] = []  # their positions, and some that are over
        self._floor: int | None = None

    def begin(self, position: int) -> None:
        """Start from the server's position: it will bring nothing from before."""
        self.stored(position)

    def stored(self, pts: int | None) -> None:
        """All up to ``pts`` is stored; None for a push that says nothing about it."""
        if pts is not None and (self.received is None or pts > self.received):
            self.received = pts
            self._advance()

    def taken(self, position: int) -> None:
        """A message may be handled from now on."""
        count = self._held.get(position, 0)
        if not count:
            heapq.heappush(self._heap, position)
        self._held[position] = count + 1

    def handled(self, position: int) -> None:
        """A taken message is done, in whatever way."""
        count = self._held.pop(position) - 1
        if count:
            self._held[position] = count
        else:
            self._advance()

    def waits(self, position: int) -> None:
        """A message was left on disk."""
        if self._floor is None or position < self._floor:
            self._floor = position

    def paged(self, lowest: int | None) -> None:
        """Of all that is on disk ``lowest`` is the lowest; None: nothing is."""
        self._floor = lowest
        self._advance()

    def _advance(self) -> None:
        held, heap = self._held, self._heap
        if len(heap) > 2 * len(held) + _SLACK:
            heap[:] = sorted(held)
        while heap and heap[0] not in held:
            heapq.heappop(heap)
        if (position := self.received) is None:
            return
        if heap:
            position = min(position, heap[0] - 1)
        if self._floor is not None:
            position = min(position, self._floor - 1)
        if position > (self.cursor or 0):
            self.cursor = position
