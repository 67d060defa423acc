"""What a graceful stop leaves behind: recorded, given back unflagged, or told of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulation.loop import simulate
from stores import Maker, row
from wire import BASE, ME, Desk, number, push, sample, working
from xyfast import ChatMessage
from xyfast._core import read_payload
from xyfast.entries import Entry
from xyfast.errors import StoreError
from xyfast.store import MemoryStore, Page, Row, Store


class Frail(MemoryStore):
    """A store that fails for as long as it is told to."""

    failing = False

    async def commit(self, *args: Any, **positions: Any) -> Collection[tuple[str, str]]:
        self._try()
        return await super().commit(*args, **positions)

    async def untake(self, identities: Collection[tuple[str, str]], *, begun: bool = False) -> None:
        self._try()
        await super().untake(identities, begun=begun)

    def _try(self) -> None:
        if self.failing:
            raise StoreError("the disk is gone")


async def again(store: Store) -> dict[int, int]:
    """What the next run gets, with its flags."""
    async with working(store) as desk:
        await desk.connect()
        await asyncio.sleep(60.0)
        assert desk.in_order()
        return {number(message): message.redelivered for message in desk.handled}


@pytest.mark.parametrize("cancelled", [False, True])
def test_after_a_stop_only_what_a_handler_has_seen_is_flagged(cancelled: bool) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with working(store, max_handlers=2, grace=1.0) as desk:
            await desk.connect()
            desk.gate.clear()
            desk.flood(range(30), 3)
            await desk.until(lambda: len(desk.wire.acked) == 30)
            if cancelled:
                running = asyncio.ensure_future(desk.client.run())
                await asyncio.sleep(0.1)
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
            begun = {number(message) for message in desk.started}
            assert len(begun) == 2
        assert await again(store) == {n: int(n in begun) for n in range(30)}

    simulate(main())


def stored(number: int, **facts: Any) -> Row:
    """Message ``number`` as the inbox has it, in a conversation of its own."""
    payload = read_payload(sample(number, str(70_000_000_000 + number)).payload)
    entry = Entry.pushed(ME, payload, (BASE + number) * 1000, BASE + number)
    return replace(entry.row(), **facts)


def test_what_was_paged_in_is_given_back_too_and_keeps_the_flags_that_it_has() -> None:
    async def main() -> None:
        store = MemoryStore()
        await store.commit([stored(n, taken=True) for n in range(4)])
        for _ in range(3):  # and the run before ended without a stop
            async with working(store, max_handlers=1, grace=1.0) as desk:
                desk.gate.clear()
                await desk.connect()
                await desk.until(lambda desk=desk: desk.client._dispatcher.waiting == 3)
        assert await again(store) == {0: 4, 1: 1, 2: 1, 3: 1}

    simulate(main())


class Slow(MemoryStore):
    """A store whose calls return when they may."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, *args: Any, **positions: Any) -> Collection[tuple[str, str]]:
        new = await super().commit(*args, **positions)
        await self.gate.wait()
        return new

    async def take(self, *args: Any, **options: Any) -> Page:
        page = await super().take(*args, **options)
        await self.gate.wait()
        return page


@pytest.mark.parametrize("paged", [True, False])
def test_what_the_store_is_about_to_give_when_the_stop_comes_is_given_back(paged: bool) -> None:
    async def main() -> None:
        store = Slow()
        if paged:
            await store.commit([stored(n) for n in range(3)])
        async with working(store, grace=1.0) as desk:
            await desk.add(ME)
            await asyncio.sleep(0.1)
            if not paged:
                desk.open()
                await asyncio.sleep(0.1)
            store.gate.clear()
            if paged:
                desk.open()
            else:
                desk.flood(range(3), 3)
            await asyncio.sleep(0.1)
            closing = asyncio.ensure_future(desk.client.close())
            await asyncio.sleep(0.1)
            store.gate.set()
            await closing
            assert desk.started == []
        assert await again(store) == {0: 0, 1: 0, 2: 0}

    simulate(main())


def test_what_waits_for_its_next_try_is_flagged() -> None:
    async def main() -> None:
        store = MemoryStore()
        desk = Desk(store, retry_wait=1000.0)

        async def fail(message: ChatMessage) -> None:
            desk.started.append(message)
            raise OSError

        desk.client._router._routes.clear()
        desk.client.on(ChatMessage)(fail)
        async with desk.client:
            await desk.connect()
            desk.flood(range(2), 1)
            await desk.until(lambda: desk.started)
            await asyncio.sleep(0.01)
        assert [number(message) for message in desk.started] == [0]
        assert await again(store) == {0: 1, 1: 0}

    simulate(main())


def test_nothing_is_given_back_late_if_a_handler_takes_all_the_grace_time() -> None:
    """Whoever stops the process may kill it when that time is over."""

    async def main() -> None:
        store = MemoryStore()
        async with working(store, max_handlers=1, grace=10.0) as desk:
            await desk.connect()
            desk.gate.clear()
            desk.flood(range(3), 3)
            await desk.until(lambda: len(desk.wire.acked) == 3)
            closing = asyncio.ensure_future(desk.client.close())
            await asyncio.sleep(1.0)
            rows = (await store.take(ME, 9)).rows
            assert [each.redelivered for each in rows] == [0, 0]
            assert not closing.done()
            await closing

    simulate(main())


def test_a_record_that_fails_is_tried_again_until_the_grace_time_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main(works_again: bool) -> None:
        store = Frail()
        async with working(store, max_handlers=1, grace=10.0, store_retry=3.0) as desk:
            await desk.connect()
            desk.gate.clear()
            desk.flood(range(3), 3)
            await desk.until(lambda: len(desk.wire.acked) == 3)
            store.failing = True
            loop = asyncio.get_running_loop()
            begin = loop.time()
            closing = asyncio.ensure_future(desk.client.close())
            await asyncio.sleep(0.1)
            desk.gate.set()
            if works_again:
                await asyncio.sleep(9.5)
                store.failing = False
            await closing
            assert loop.time() - begin >= 10.0
            assert [number(message) for message in desk.handled] == [0]
            key = desk.handled[0].key
        store.failing = False
        lines = [r.getMessage() for r in caplog.records if "redelivered" in r.getMessage()]
        if works_again:
            assert lines == []
            assert await again(store) == {1: 0, 2: 0}
        else:
            assert lines == [
                f"handled and not recorded, will be redelivered (account={ME}, key={key})",
                "not begun, will count as redelivered (count=2)",
            ]
            assert await again(store) == {0: 1, 1: 1, 2: 1}

    for works_again in (True, False):
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            simulate(main(works_again))


def test_a_store_is_tried_once_more_when_handlers_took_all_the_grace_time() -> None:
    async def main() -> None:
        store = Frail()
        async with working(store, grace=1.0) as desk:
            await desk.connect()
            desk.gate.clear()
            desk.flood(range(1), 1)
            await desk.until(lambda: desk.started)
            store.failing = True
            desk.give(push(1, sample(1)))
            asyncio.get_running_loop().call_later(0.999, desk.gate.set)
            asyncio.get_running_loop().call_later(1.0, setattr, store, "failing", False)
            await desk.client.close()
            assert [number(message) for message in desk.handled] == [0]
        assert await again(store) == {}

    simulate(main())


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_rows_that_are_given_back_wait_in_their_old_place(kind: str, tmp_path: Path) -> None:
    store = Maker(kind, tmp_path / "x.db")()
    await store.open()
    names = ["a", "b", "c", "d"]
    await store.commit([row(name, position=n, taken=name != "d") for n, name in enumerate(names)])
    await store.untake([(ME, "b"), (ME, "a"), (ME, "d"), (ME, "unknown"), ("1", "c")])
    rows = (await store.take(ME, 9)).rows
    assert [(each.key, each.redelivered) for each in rows] == [("a", 0), ("b", 0), ("d", 0)]
    await store.untake([(ME, "d")])
    await store.untake([(ME, "a"), (ME, "unknown")], begun=True)
    await store.close()
    await store.open()
    rows = (await store.take(ME, 9)).rows
    assert [(each.key, each.redelivered) for each in rows] == [
        ("a", 1),
        ("b", 1),
        ("c", 1),
        ("d", 0),
    ]
    await store.close()
