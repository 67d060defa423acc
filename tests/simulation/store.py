"""A store that is slow, fails, and outlives the process that uses it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from xyfast.errors import StoreError, StoreFull

__all__ = ["Disk", "SimStore"]

_TIME = 0.005  # most seconds for each half of a call when all is well


class Disk:
    """What survives a crash: a store, and how long and how well it works."""

    def __init__(self, store: Any, dice: random.Random) -> None:
        self.store = store
        self.dice = dice
        self.slow = 0.0
        """Most seconds that each half of a call takes beside its usual time."""
        self.down = False
        """Whether calls fail."""
        self.full = False
        """Whether there is no room for new rows."""
        self.fail_at: set[int] = set()
        """Numbers of calls that fail."""
        self.calls = 0
        self.failures = 0
        """Calls that failed, or took longer than they do when all is well."""
        self.free_at = 0.0
        """When the writer has done what it was given: calls happen in their order."""


class SimStore:
    """One process's hand on the disk; every verb of the store is passed on by its name.

    A call happens at one instant between its begin and its end. One that raises has not
    happened. ``before`` and ``after`` are told of each at that instant; ``alive`` is asked
    then, for what a dead process has begun does not happen any more.
    """

    def __init__(self, disk: Disk, alive: Callable[[], bool], watch: Any) -> None:
        self._disk = disk
        self._alive = alive
        self._watch = watch

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        verb = getattr(self._disk.store, name)

        async def call(*args: Any, **options: Any) -> Any:
            loop = asyncio.get_running_loop()
            begun = loop.time()
            try:
                return await self._call(name, verb, args, options)
            finally:  # who waited for it may have given it up
                self._disk.failures += loop.time() - begun > 4 * _TIME

        return call

    async def _call(
        self, name: str, verb: Callable[..., Awaitable[Any]], args: Any, options: Any
    ) -> Any:
        disk = self._disk
        disk.calls += 1
        places = self._watch.places()
        fails = disk.down or disk.calls in disk.fail_at
        now = asyncio.get_running_loop().time()
        disk.free_at = max(disk.free_at + 1e-6, now + self._time())
        await asyncio.sleep(disk.free_at - now)
        if fails and name != "close":
            disk.failures += 1
            self._watch.failed()
            raise StoreError("the simulated disk failed")
        if disk.full and name == "commit" and args and args[0]:
            self._watch.failed()
            raise StoreFull("the simulated disk is full")
        if not self._alive():
            await asyncio.get_running_loop().create_future()
        result = await verb(*args, **options)
        self._watch.stored(name, args, options, result)
        for account, place in places.items() if name != "close" else ():
            self._watch.kept(account, await disk.store.load(account), place)
        if disk.dice.random() < 0.7:
            await asyncio.sleep(self._time())
        return result

    def _time(self) -> float:
        return self._disk.dice.random() * (_TIME + self._disk.slow)
