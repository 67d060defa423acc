"""Stores that raise what is no `Exception`: they have failed, and nobody was cancelled."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, cast

import pytest

from simulation.loop import simulate
from wire import BASE, ME, Ward, reopened, working
from xyfast.errors import StoreError
from xyfast.store import Kept, MemoryStore, SqliteStore, Store
from xyfast.store.guard import guarded


class Odd(BaseException):
    """What nobody catches, as a group of such exceptions would be."""


class Moody(Ward):
    """A store of which call ``at`` raises; calls are counted from 1."""

    def __init__(self, at: int, error: BaseException) -> None:
        super().__init__()
        self.at = at
        self.calls = 0
        self._error = error

    def _check(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise self._error
        super()._check()


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), Odd("words")], ids=["cancelled", "odd"]
)
@pytest.mark.parametrize("k", range(1, 31))
def test_whichever_call_of_the_store_raises_it_nothing_is_lost_doubled_or_out_of_order(
    k: int, error: BaseException
) -> None:
    async def main() -> None:
        store = Moody(k + 4, error)  # after those of a start
        async with working(store, backlog=10, commit_batch=4, outcome_wait=0.001) as desk:
            await desk.connect()
            for first in range(0, 60, 6):
                desk.flood(range(first, first + 6), 3)
                await asyncio.sleep(0.01)
            await desk.until(lambda: len(desk.handled) == 60)
            assert desk.in_order()
            assert len(desk.wire.acked) == 60
        assert store.calls > store.at
        assert (await reopened(store)).received == (BASE + 59) * 1000
        assert await store.take(ME, 1) == ([], None)

    simulate(main())


class Hanging(MemoryStore):
    """A store that does not answer what it is asked for; ``swallows``: nor to a cancellation."""

    def __init__(self, *, swallows: bool = False) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.cancelled = 0
        self._swallows = swallows

    async def load(self, account_id: str) -> Kept:
        self.asked.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled += 1
            if not self._swallows:
                raise
        return Kept(None, None, None)


@pytest.mark.parametrize("swallows", [False, True])
async def test_who_is_cancelled_is_cancelled_and_so_is_his_call(swallows: bool) -> None:
    store = Hanging(swallows=swallows)
    call = asyncio.ensure_future(guarded(store).load(ME))
    await store.asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert store.cancelled == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_a_store_answers_to_a_cancellation_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Chatty(Hanging):
        async def load(self, account_id: str) -> Kept:
            await super().load(account_id)
            raise ValueError("cookies")

    store = Chatty(swallows=True)
    call = asyncio.ensure_future(guarded(store).load(ME))
    await store.asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gc.collect()  # asyncio logs what nobody has asked for when its task goes
    assert store.cancelled == 1
    assert caplog.records == []


async def test_a_future_of_the_store_that_is_cancelled_cancels_nobody() -> None:
    class Pool(MemoryStore):
        async def load(self, account_id: str) -> Kept:
            future: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
            future.cancel()
            return await future

    with pytest.raises(StoreError, match="load was cancelled within the store"):
        await guarded(Pool()).load(ME)


async def test_what_a_store_says_and_raises_is_passed_on() -> None:
    store = Ward()
    assert (await guarded(store).load(ME)).received is None
    store.failing = ValueError("words")
    with pytest.raises(ValueError, match="words"):
        await guarded(store).commit()
    store.failing = cast("Any", Odd("words"))
    with pytest.raises(StoreError, match="commit raised Odd"):
        await guarded(store).commit()


def test_what_ends_the_program_ends_it() -> None:
    async def main() -> None:
        store = Ward()
        store.failing = cast("Any", KeyboardInterrupt())
        await guarded(store).commit()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())


def test_our_own_stores_are_taken_as_they_are() -> None:
    for store in (MemoryStore(), SqliteStore("x.db")):
        assert guarded(cast("Store", store)) is store
