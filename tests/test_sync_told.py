"""What is told, and asked, while what came is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from simulation.loop import simulate
from test_sync import ACK_DIFF, CONVERSATIONS, GET_STATE, answer, asked, connect
from wire import BASE, ME, Ward, push, sample, working
from xyfast.errors import StoreError
from xyfast.store import Row


class Picky(Ward):
    """A store that takes positions and no messages while it is ``picky``."""

    picky = True

    async def commit(self, rows: Sequence[Row] = (), *rest: Any, **named: Any) -> Any:
        if rows and self.picky:
            raise StoreError("no")
        return await super().commit(rows, *rest, **named)


@pytest.mark.parametrize("received", [None, (BASE + 5000) * 1000])
@pytest.mark.parametrize("server_time", [None, BASE + 5000])
def test_no_position_is_told_before_what_came_earlier_is_stored(
    server_time: int | None, received: int | None
) -> None:
    """The server counts what it has pushed below that position as received."""

    async def main() -> None:
        store = Picky()
        if received is not None:
            await store.commit(received={ME: received})
        async with working(store) as desk:
            await connect(desk, server_time=server_time)
            desk.give(push(1, sample(1)))
            if server_time is received is None:
                await answer(desk, GET_STATE, {"pts": (BASE + 5000) * 1000})
            await asyncio.sleep(10.0)
            assert not asked(desk, ACK_DIFF)
            store.picky = False
            await desk.until(lambda: asked(desk, ACK_DIFF))
            assert store.stored == {sample(1).id}

    simulate(main())


@pytest.mark.parametrize("state", [False, True], ids=["position", "state"])
def test_no_position_is_told_before_what_came_while_the_store_was_waited_for_is_stored(
    state: bool,
) -> None:
    """Another link may have been given it, whose place this one takes."""

    class Slow(Picky):
        def __init__(self) -> None:
            super().__init__()
            self.let: asyncio.Future[None] | None = None

        async def commit(self, rows: Sequence[Row] = (), *rest: Any, **named: Any) -> Any:
            if not (rows or named.get("received")) and self.let is not None:
                await self.let
            return await super().commit(rows, *rest, **named)

    async def main() -> None:
        store = Slow()
        await store.commit(received={ME: (BASE + 5000) * 1000})
        async with working(store) as desk:
            if not state:
                store.let = asyncio.get_running_loop().create_future()
            await connect(desk, server_time=BASE + 6000)
            if state:
                await answer(desk, ACK_DIFF, {})
                sync = desk.driver().sync
                sync.skip(sync._link)
                await answer(desk, GET_STATE, {"pts": (BASE + 5000) * 1000})
                await desk.until(lambda: asked(desk, CONVERSATIONS))
                store.let = asyncio.get_running_loop().create_future()
                await answer(desk, CONVERSATIONS, {"hasMore": 0})
            told = len(asked(desk, ACK_DIFF))
            await asyncio.sleep(1.0)
            desk.give(push(1, sample(1)))
            store.let.set_result(None)
            await asyncio.sleep(10.0)
            assert len(asked(desk, ACK_DIFF)) == told
            store.picky = False
            await desk.until(lambda: len(asked(desk, ACK_DIFF)) > told)
            assert store.stored == {sample(1).id}

    simulate(main())


def test_a_gap_that_is_announced_while_the_last_of_it_is_stored_is_filled() -> None:
    """Nothing else would say so again: the server may have announced it once for all."""

    async def main() -> None:
        store = Picky()
        store.picky = False
        async with working(store) as desk:
            await connect(desk, server_time=BASE)
            await answer(desk, ACK_DIFF, {})
            await desk.until(lambda: asked(desk, CONVERSATIONS))
            store.picky = True
            desk.give(push(1, sample(1)))  # what must be stored before positions count
            await answer(desk, CONVERSATIONS, {"hasMore": 0})
            await asyncio.sleep(1.0)
            sync = desk.driver().sync
            sync.skip(sync._link)
            store.picky = False
            await desk.until(lambda: asked(desk, GET_STATE))
            assert desk.handled == []
            await answer(desk, GET_STATE, {"pts": (BASE + 5000) * 1000})
            await desk.until(lambda: len(asked(desk, CONVERSATIONS)) == 2)
            await answer(desk, CONVERSATIONS, {"hasMore": 0})
            await desk.until(lambda: len(asked(desk, ACK_DIFF)) == 2)
            await answer(desk, ACK_DIFF, {})
            await desk.until(lambda: desk.handled)

    simulate(main())
