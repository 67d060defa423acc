"""How long handlers may run: one timer for all of them."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Deadlines"]

Task = asyncio.Task[Any]


class Deadlines:
    """Cancels tasks ``timeout`` seconds after their `begin`, again and again until their `end`.

    All have the same time, so the one that began first is due first, and one timer does.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._due: dict[Task, float] = {}  # the first one is due first
        self._late: dict[Task, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, task: Task) -> None:
        """Let the time of a task run from now on."""
        loop = task.get_loop()
        self._due[task] = due = loop.time() + self._timeout
        if self._timer is None:
            self._timer = loop.call_at(due, self._expire, loop)

    def late(self, task: Task) -> int:
        """How often a task was cancelled since its `begin`."""
        return self._late.get(task, 0)

    def end(self, task: Task) -> None:
        """A task is done in time, or was cut off: it owes nothing any more."""
        del self._due[task]
        for _ in range(self._late.pop(task, 0)):
            if hasattr(task, "uncancel"):  # CPython 3.11 and later count requests
                task.uncancel()

    def stop(self) -> None:
        """No task begins any more; those that still run are cancelled as before."""
        if self._timer is not None and not self._due:
            self._timer.cancel()

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task in [task for task, due in self._due.items() if due <= now]:
            task.cancel()
            self._late[task] = self.late(task) + 1
            del self._due[task]
            self._due[task] = now + self._timeout
        first = next(iter(self._due.values()), None)
        self._timer = None if first is None else loop.call_at(first, self._expire, loop)
