"""The tasks of one account, which its driver owns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from xyfast.logs import logger, say

__all__ = ["LAST_WORD", "Spawn", "Tasks", "answered", "retrieve"]

log = logger(__name__)

LAST_WORD = 1.0
"""Seconds that a store gets to answer when all else is over."""

Spawn = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]
"""Starts a task that its owner awaits or cancels."""


class Tasks:
    """Those that run; one that fails is told of in the log."""

    def __init__(self, account_id: str) -> None:
        self._account_id = account_id
        self._running: set[asyncio.Task[Any]] = set()
        self._over = False

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """See `Spawn`; what comes after `end` is cancelled before it begins."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._reap)
        if self._over:
            task.cancel()
        return task

    async def end(self) -> None:
        """Cancel and await them."""
        self._over = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            say(log, logging.ERROR, "a task failed", error=error, account=self._account_id)


async def answered(
    work: asyncio.Future[Any], what: str, by: float, account_id: str | None = None
) -> bool:
    """Wait for what a store is asked to do, until ``by`` (the loop's time); whether it is over.

    If not, it is cancelled, and left behind if it does not hear that; ``what`` says in the log
    what is missing then. So it is if the caller is cancelled.
    """
    work.add_done_callback(retrieve)
    left = by - asyncio.get_running_loop().time()
    try:
        await asyncio.wait({work}, timeout=max(left, 0.0))
    except asyncio.CancelledError:
        work.cancel()
        raise
    if work.done():
        return True
    work.cancel()
    sentence = "store does not answer, going on without"
    say(log, logging.ERROR, sentence, account=account_id, what=what)
    return False


def retrieve(work: asyncio.Future[Any]) -> None:
    """Let asyncio not log what it raised when nobody asks for it any more."""
    if not work.cancelled():
        work.exception()
