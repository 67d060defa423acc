"""Order within a conversation, bounded concurrency over all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from xyfast.errors import StateError

__all__ = ["Lanes"]

T = TypeVar("T")


class Lanes(Generic[T]):
    """Items wait in lanes; one item of a lane runs at a time, ``limit`` items over all.

    Lanes take turns in the order in which they became ready, so a busy conversation
    does not starve the others. Pure: no clock, no tasks.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[Hashable, deque[T]] = {}
        self._ready: deque[Hashable] = deque()
        self._running: set[Hashable] = set()
        self._size = 0

    def __len__(self) -> int:
        """Items that wait; running ones are not counted."""
        return self._size

    @property
    def running(self) -> int:
        """Items that were taken and are not done."""
        return len(self._running)

    def put(self, lane: Hashable, item: T) -> None:
        """Queue ``item`` behind the others of its lane."""
        queue = self._waiting.get(lane)
        if queue is None:
            queue = self._waiting[lane] = deque()
            if lane not in self._running:
                self._ready.append(lane)
        queue.append(item)
        self._size += 1

    def take(self) -> list[tuple[Hashable, T]]:
        """Every item that may start now, with its lane; call `done` for each when it ends."""
        taken = []
        while self._ready and len(self._running) < self._limit:
            lane = self._ready.popleft()
            queue = self._waiting[lane]
            taken.append((lane, queue.popleft()))
            self._size -= 1
            if not queue:
                del self._waiting[lane]
            self._running.add(lane)
        return taken

    def done(self, lane: Hashable) -> None:
        """The running item of ``lane`` has ended; raises `StateError` if none runs."""
        if lane not in self._running:
            raise StateError(f"lane {lane!r} has no running item")
        self._running.remove(lane)
        if lane in self._waiting:
            self._ready.append(lane)

    def clear(self) -> int:
        """Forget every waiting item (they stay in the inbox); returns how many."""
        dropped, self._size = self._size, 0
        self._waiting.clear()
        self._ready.clear()
        return dropped
