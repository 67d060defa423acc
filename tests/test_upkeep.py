"""What is done to the store from time to time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

import pytest

from simulation.loop import simulate
from xyfast import upkeep
from xyfast.errors import StoreError
from xyfast.store import MemoryStore


class Old(MemoryStore):
    """A store with three parts to sweep, every time, that fails now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 3
        self.swept: list[float] = []
        self.failures = 0

    async def sweep(self) -> int:
        self.swept.append(asyncio.get_running_loop().time())
        if self.failures:
            self.failures -= 1
            raise StoreError("no")
        self.left = self.left - 1 if self.left else 2
        return self.left

    async def revived(self) -> Collection[str]:
        if self.failures:
            self.failures -= 1
            raise StoreError("no")
        return ["9000000000001"]


async def for_a_while(work: asyncio.Task[None], seconds: float) -> None:
    await asyncio.sleep(seconds)
    assert not work.done()
    work.cancel()


def test_the_store_is_swept_until_nothing_is_left_and_again_after_a_while() -> None:
    async def main() -> list[float]:
        store = Old()
        await for_a_while(asyncio.ensure_future(upkeep.sweep(store, 60.0)), 130.0)
        return store.swept

    assert simulate(main()) == [60.0] * 3 + [120.0] * 3


def test_a_sweep_that_fails_is_logged_and_tried_again_another_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> list[float]:
        store = Old()
        store.failures = 1
        await for_a_while(asyncio.ensure_future(upkeep.sweep(store, 60.0)), 130.0)
        return store.swept

    with caplog.at_level(logging.WARNING, "xyfast.upkeep"):
        assert simulate(main()) == [60.0] + [120.0] * 3
    assert len(caplog.records) == 1


def test_revived_messages_are_looked_for_and_a_failure_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> list[Collection[str]]:
        store, found = Old(), []
        store.failures = 3
        work = asyncio.ensure_future(upkeep.watch(store, 2.0, found.append))
        await for_a_while(work, 11.0)
        return found

    with caplog.at_level(logging.WARNING, "xyfast.upkeep"):
        assert simulate(main()) == [["9000000000001"]] * 2
    assert len(caplog.records) == 1
