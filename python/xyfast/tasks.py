"""The tasks of one account, which its driver owns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from xyfast.logs import logger, say

__all__ = ["Spawn", "Tasks"]

log = logger(__name__)

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
