"""An event loop whose time passes only when nothing is left to do.

`simulate` runs a coroutine on it. A minute of waiting takes no time, and the same program
takes the same steps on every run: what happens next follows from the program alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

__all__ = ["Stuck", "VirtualLoop", "simulate"]

T = TypeVar("T")

_MOST_STEPS = 20_000
_MOST_CLAUSES = 10  # of a coroutine, that await when it is closed


class Stuck(RuntimeError):
    """Nothing is ready and no timer runs, or time does not pass however much is done."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks and timers; ``after_step`` is called after every round of callbacks.

    There are no sockets, threads or signals: whatever would need them raises. Sets of tasks
    are gone through in the order in which the tasks were made, as addresses would make the
    order another one on every run.
    """

    def __init__(self, after_step: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self._now = 0.0
        self._thread = threading.get_ident()
        self._steps = 0
        self._after_step = after_step
        self._selector = self  # what BaseEventLoop asks for events
        self._task_numbers = itertools.count()
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        """Seconds since the loop was made, all of them virtual."""
        return self._now

    def block(self, seconds: float) -> None:
        """Let time pass in the midst of a step, as code does that does not await."""
        self._now += seconds

    # --- what BaseEventLoop asks of a selector ----------------------------------------

    def select(self, timeout: float | None) -> list[object]:
        """Let time pass instead of waiting; there are never any events."""
        self._after_step()
        self._steps += 1
        if timeout is None:
            raise Stuck(f"at {self._now:.3f} s everything waits for something that never comes")
        if timeout > 0:
            # The timer's own time, since a sum of differences would miss it by a rounding.
            self._now = max(self._now, self._scheduled[0].when())
            self._steps = 0
        elif self._steps > _MOST_STEPS:
            raise Stuck(f"at {self._now:.3f} s {_MOST_STEPS} steps were taken and no time passed")
        return []

    def _process_events(self, event_list: list[object]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    # --- what would make a run another one each time ----------------------------------

    def run_in_executor(self, executor: object, func: object, *args: object) -> NoReturn:
        """Refuse: what a thread does has no place on a virtual clock."""
        raise RuntimeError("there are no threads on a virtual clock")

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, **context: Any
    ) -> asyncio.Handle:
        """Refuse what another thread asks for, for the same reason."""
        if threading.get_ident() != self._thread:
            raise RuntimeError("there are no threads on a virtual clock")
        return super().call_soon_threadsafe(callback, *args, **context)

    def _make_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, Any],
        **options: Any,
    ) -> _Task:
        return _Task(next(self._task_numbers), coro, loop=loop, **options)

    # --- the end of a process ---------------------------------------------------------

    def pending(self, belongs: Callable[[contextvars.Context], bool]) -> list[str]:
        """Describe every task and timer whose context ``belongs`` accepts and that is not over."""
        found = [repr(task) for task in self._tasks_of(belongs)]
        for handle in (*self._ready, *self._scheduled):
            if belongs(handle._context) and not handle._cancelled:
                found.append(repr(handle))
        return found

    def abandon(self, belongs: Callable[[contextvars.Context], bool]) -> None:
        """Let nothing of a part of the program run again, as the death of a process does.

        Tasks and callbacks whose context ``belongs`` accepts are dropped where they stand.
        Their coroutines are closed, so that they end now and not whenever they are collected;
        what their ``finally`` clauses do must have no effect outside of that part.
        """
        for task in self._tasks_of(belongs):
            task.drop()
        for handle in (*self._ready, *self._scheduled):
            if belongs(handle._context):
                handle.cancel()

    def _tasks_of(self, belongs: Callable[[contextvars.Context], bool]) -> list[_Task]:
        return [task for task in self._alive() if belongs(task.context)]

    def _alive(self) -> list[_Task]:
        tasks = [task for task in asyncio.all_tasks(self) if isinstance(task, _Task)]
        return sorted((task for task in tasks if not task.dropped), key=hash)


class _Task(asyncio.Task[Any]):
    """A task that is told from others by its number, and can be dropped."""

    def __init__(self, number: int, coro: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = number
        self.dropped = False
        self.context = options.get("context") or contextvars.copy_context()
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number

    def drop(self) -> None:
        self.dropped = True
        self._log_destroy_pending = False
        coro = self.get_coro()
        assert coro is not None
        for _ in range(_MOST_CLAUSES):
            with contextlib.suppress(RuntimeError):  # a finally clause awaits, which ends it too
                self.context.run(coro.close)
                return


def simulate(main: Coroutine[Any, Any, T], *, after_step: Callable[[], object] = lambda: None) -> T:
    """Run ``main`` on a new virtual loop and return its result; cancels what it leaves behind.

    Raises `Stuck` when ``main`` can never end.
    """
    loop = VirtualLoop(after_step)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        try:
            left = loop._alive()
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
