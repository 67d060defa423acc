"""Work that is done once for all who ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["Shared"]

T = TypeVar("T")


class Shared(Generic[T]):
    """Does ``work`` when it is asked for, once for all who ask meanwhile.

    Who asks within ``fresh`` seconds of its end gets the same. What it raises is raised to all.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], fresh: float = 0.0) -> None:
        self._work = work
        self._fresh = fresh
        self._task: asyncio.Task[T] | None = None
        self._good_until = 0.0

    async def __call__(self) -> T:
        """Ask for it."""
        loop = asyncio.get_running_loop()
        if self._task is None or (self._task.done() and loop.time() >= self._good_until):
            self._task = loop.create_task(self._do())
        return await asyncio.shield(self._task)

    async def end(self) -> None:
        """Cancel and await what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.exception()  # else asyncio logs it, if nobody was there to hear it

    async def _do(self) -> T:
        found = await self._work()
        self._good_until = asyncio.get_running_loop().time() + self._fresh
        return found
