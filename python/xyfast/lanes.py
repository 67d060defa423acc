"""Order within a conversation, bounded concurrency over all of them, fair to each account."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from xyfast.errors import StateError

__all__ = ["Lane", "Lanes"]

T = TypeVar("T")

Lane = tuple[str, str | None]
"""An account, and what within it keeps its order: a conversation, or None for the rest."""


class Lanes(Generic[T]):
    """Items wait in lanes; one item of a lane runs at a time, ``limit`` items over all.

    Accounts that have something to run take turns, and so do the lanes of each: neither a
    busy conversation nor an account with many of them starves the others. A lane whose item
    is to run again can `rest`: it takes no place among those that run and lets nothing else
    of the lane pass. Pure: no clock, no tasks.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[Lane, deque[T]] = {}
        self._ready: dict[str, deque[Lane]] = {}
        self._turns: deque[str] = deque()  # the keys of _ready
        self._running: set[Lane] = set()
        self._resting: set[Lane] = set()
        self._size = 0

    def __len__(self) -> int:
        """Items that wait; running and resting ones are not counted."""
        return self._size

    @property
    def running(self) -> int:
        """Items that were taken and are not done."""
        return len(self._running)

    def put(self, lane: Lane, item: T) -> None:
        """Queue ``item`` behind the others of its lane."""
        queue = self._waiting.get(lane)
        if queue is None:
            self._waiting[lane] = deque((item,))
            if lane not in self._running and lane not in self._resting:
                self._make_ready(lane)
        else:
            queue.append(item)
        self._size += 1

    def take(self) -> list[tuple[Lane, T]]:
        """Every item that may start now, with its lane; call `done` for each when it ends."""
        taken = []
        while self._turns and len(self._running) < self._limit:
            account = self._turns.popleft()
            ready = self._ready[account]
            lane = ready.popleft()
            if ready:
                self._turns.append(account)
            else:
                del self._ready[account]
            queue = self._waiting[lane]
            taken.append((lane, queue.popleft()))
            self._size -= 1
            if not queue:
                del self._waiting[lane]
            self._running.add(lane)
        return taken

    def done(self, lane: Lane) -> None:
        """The running item of ``lane`` has ended; raises `StateError` if none runs."""
        self._stop_running(lane)
        if lane in self._waiting:
            self._make_ready(lane)

    def rest(self, lane: Lane) -> None:
        """The running item of ``lane`` will run again: keep the lane closed until `wake`.

        Raises `StateError` if none runs.
        """
        self._stop_running(lane)
        self._resting.add(lane)

    def wake(self, lane: Lane, item: T) -> None:
        """Open a resting lane with ``item`` at its head.

        Raises `StateError` if the lane does not rest.
        """
        if lane not in self._resting:
            raise StateError(f"lane {lane!r} does not rest")
        self._resting.remove(lane)
        self._waiting.setdefault(lane, deque()).appendleft(item)
        self._size += 1
        self._make_ready(lane)

    def clear(self) -> list[T]:
        """Forget what does not run (it stays in the inbox); returns those of it that waited."""
        waited = [item for queue in self._waiting.values() for item in queue]
        self._size = 0
        for kept in (self._waiting, self._ready, self._turns, self._resting):
            kept.clear()
        return waited

    def drop(self, account: str) -> list[T]:
        """Forget what waits of an account, and its resting lanes; returns what waited."""
        dropped: list[T] = []
        for lane in [lane for lane in self._waiting if lane[0] == account]:
            dropped += self._waiting.pop(lane)
        self._resting = {lane for lane in self._resting if lane[0] != account}
        if self._ready.pop(account, None) is not None:
            self._turns.remove(account)
        self._size -= len(dropped)
        return dropped

    def _stop_running(self, lane: Lane) -> None:
        if lane not in self._running:
            raise StateError(f"lane {lane!r} has no running item")
        self._running.remove(lane)

    def _make_ready(self, lane: Lane) -> None:
        ready = self._ready.get(lane[0])
        if ready is None:
            self._ready[lane[0]] = deque((lane,))
            self._turns.append(lane[0])
        else:
            ready.append(lane)
