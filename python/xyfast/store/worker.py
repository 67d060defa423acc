"""The one thread on which a store works, in the order in which it is asked to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Worker"]

T = TypeVar("T")
V = TypeVar("V")


class Worker:
    """Does work on a thread of that name, from the first work on until `end`."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._process = os.getpid()

    @property
    def ours(self) -> bool:
        """Whether it is of this process: a forked child has no such thread and would wait."""
        return self._process == os.getpid()

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` does; it is done also when the caller is cancelled."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            try:
                result = work()
            except BaseException as error:
                loop.call_soon_threadsafe(_tell, done, done.set_exception, error)
            else:
                loop.call_soon_threadsafe(_tell, done, done.set_result, result)

        self._thread.submit(job)
        return await done

    async def end(self, work: Callable[[], None]) -> None:
        """Do what was asked for before, and this at last; the thread is over then."""
        try:
            await self.run(work)
        except BaseException:
            self._thread.shutdown(wait=False)  # it ends when it has done all that
            raise
        self._thread.shutdown()


def _tell(done: asyncio.Future[T], tell: Callable[[V], None], what: V) -> None:
    if not done.cancelled():
        tell(what)
