"""What keeps a whole process from hearing: a machine that slept, an event loop that is blocked."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable

from xyfast.logs import logger, say, seconds

__all__ = ["watch_loop", "watch_sleep"]

log = logger(__name__)

_LOOK = 1.0  # seconds between two looks at the clocks
_SLEPT = 5.0  # seconds by which they must have parted: less harms no link
_QUIET = 60.0  # seconds between two log lines about a loop
_DEEPEST = 30  # lines of a stack


async def watch_sleep(clock: Callable[[], float], woke: Callable[[float], None]) -> None:
    """Call ``woke(seconds)`` each time the machine has slept, without end.

    While it sleeps ``clock`` (seconds since the epoch) moves on and the loop's clock does not.
    A clock that is put forward looks the same.
    """
    now = asyncio.get_running_loop().time
    apart = clock() - now()
    while True:
        await asyncio.sleep(_LOOK)
        before, apart = apart, clock() - now()
        if apart - before >= _SLEPT:
            woke(apart - before)


def watch_loop(after: float, told: Callable[[float], None]) -> Callable[[], None]:
    """Watch the running event loop, until the function that this returns is called.

    When it has stood still for ``after`` seconds the log says where it stands. When it goes on
    ``told(seconds)`` is called. A loop has one watchdog, however many watch it: ``after`` is
    that of the first.
    """
    loop = asyncio.get_running_loop()
    watchdog = _watchdogs.get(loop)
    if watchdog is None:
        watchdog = _watchdogs[loop] = _Watchdog(loop, after)
    watchdog.watchers.append(told)

    def end() -> None:
        if told in watchdog.watchers:
            watchdog.watchers.remove(told)
        if not watchdog.watchers and _watchdogs.get(loop) is watchdog:
            del _watchdogs[loop]
            watchdog.stop()

    return end


class _Watchdog:
    """A thread that asks a loop again and again to answer, and looks where it is if it does not.

    Asking costs the loop one callback each ``after`` / 2 seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, after: float) -> None:
        self.watchers: list[Callable[[float], None]] = []
        self._loop = loop
        self._after = after
        self._ident = threading.get_ident()
        self._answered = threading.Event()
        self._over = threading.Event()
        self._quiet_until = -_QUIET
        threading.Thread(target=self._run, name="xyfast-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end, which it does at once."""
        self._over.set()
        self._answered.set()

    def _run(self) -> None:
        while not self._over.wait(self._after / 2):
            self._answered.clear()
            try:
                self._loop.call_soon_threadsafe(self._answer, time.monotonic())
            except RuntimeError:
                return  # the loop is closed
            patience = self._after
            while not self._answered.wait(patience) and not self._over.is_set():
                if self._loop.is_closed():
                    return
                if self._loop.is_running():
                    self._tell()
                patience = _QUIET

    def _answer(self, asked: float) -> None:
        blocked = time.monotonic() - asked
        self._answered.set()
        if blocked >= self._after:
            for told in tuple(self.watchers):
                told(blocked)

    def _tell(self) -> None:
        now = time.monotonic()
        frame = sys._current_frames().get(self._ident)
        if now < self._quiet_until or frame is None:
            return
        self._quiet_until = now + _QUIET
        stack = traceback.StackSummary.extract(traceback.walk_stack(frame), limit=_DEEPEST)
        stack.reverse()
        sentence = "event loop is blocked, no message is handled"
        say(log, logging.WARNING, sentence, stack=stack, after=seconds(self._after))


_watchdogs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watchdog]
_watchdogs = weakref.WeakKeyDictionary()
