"""The intake at a store that fails or is full: nothing is acknowledged, lost or doubled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any

import pytest

from simulation.loop import simulate
from wire import BASE, ME, Desk, Ward, push, reopened, sample, working
from xyfast.errors import StoreError
from xyfast.events import LinkLost
from xyfast.instrumentation import Finished
from xyfast.retry import Trouble
from xyfast.store import Retention


def test_nothing_is_acknowledged_while_the_store_fails_and_all_is_handled_once_it_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await desk.connect()
            desk.flood(range(10), 2)
            await desk.until(lambda: len(desk.handled) == 10)
            store.failing = StoreError("the disk is full")
            desk.flood(range(10, 100), 2)
            await asyncio.sleep(150.5)
            assert len(desk.wire.acked) == len(desk.handled) == 10
            store.failing = None
            await desk.until(lambda: len(desk.handled) == 100)
            assert len(desk.wire.acked) == 100
            assert desk.in_order()
            assert (desk.driver().state.value, desk.wire.told("close")) == ("connected", [])

    with caplog.at_level(logging.INFO, "xyfast.health"):
        simulate(main())
    records = [record for record in caplog.records if record.name == "xyfast.health"]
    said = [record.getMessage().partition(" (")[0] for record in records]
    assert said == ["store failed, nothing new is acknowledged"] * 3 + ["store works again"]


@pytest.mark.parametrize("fails", [1, 3, 100])
def test_what_was_handled_is_recorded_at_the_end_though_the_store_fails_for_a_moment(
    fails: int,
) -> None:
    async def main() -> None:
        class Moody(Ward):
            left = 0

            async def commit(self, *args: Any, **options: Any) -> Collection[tuple[str, str]]:
                if self.left:
                    self.left -= 1
                    raise StoreError("no")
                return await super().commit(*args, **options)

        store = Moody()
        async with working(store) as desk:
            await desk.connect()
            desk.gate.clear()
            desk.flood(range(20), 20)
            await desk.until(lambda: len(desk.started) == 20)
            store.left = fails
            asyncio.get_running_loop().call_later(1.0, desk.gate.set)
        await store.open()
        assert len((await store.take(ME, 100)).rows) == (20 if fails == 100 else 0)

    simulate(main())


def test_the_words_of_a_foreign_exception_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await desk.connect()
            words = "a peer's words"
            store.failing = RuntimeError(words)
            desk.flood(range(1), 1)
            await desk.until(lambda: "store failed" in caplog.text)
            store.failing = None
            await desk.until(lambda: desk.handled)

    simulate(main())
    assert "RuntimeError" in caplog.text
    assert "a peer's words" not in caplog.text


def test_outcomes_that_could_not_be_recorded_are_recorded_later() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await desk.connect()
            desk.gate.clear()
            desk.flood(range(20), 20)
            await desk.until(lambda: len(desk.started) == 20)
            store.failing = StoreError("no")
            desk.gate.set()
            await desk.until(lambda: len(desk.handled) == 20)
            await asyncio.sleep(5.0)
            assert not [fact for fact in desk.facts if isinstance(fact, Finished)]
            store.failing = None
            await desk.until(lambda: sum(isinstance(f, Finished) for f in desk.facts) == 20)
        await store.open()
        assert await store.take(ME, 100) == ([], None)

    simulate(main())


def test_a_full_store_still_records_outcomes_and_takes_more_as_they_make_room() -> None:
    async def main() -> None:
        store = Ward(Retention(max_rows=50))
        async with working(store) as desk:
            await desk.connect()
            desk.gate.clear()
            desk.flood(range(200), 40)
            await asyncio.sleep(10.0)
            assert len(desk.wire.acked) == 50
            desk.gate.set()
            await desk.until(lambda: len(desk.handled) == 200)
            assert len(desk.wire.acked) == 200
            assert desk.in_order()

    simulate(main())


def test_past_the_bound_of_a_failing_store_links_are_closed_until_it_works() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store, intake_bytes=20_000) as desk:
            await desk.connect()
            link = desk.driver().session.link
            store.failing = StoreError("no")
            desk.flood(range(100), 5)
            await desk.until(lambda: desk.wire.told("close"))
            assert desk.wire.told("close") == [link]
            assert not desk.wire.paused  # or the end of the link would not be heard
            waiting = desk.intake.waiting
            desk.flood(range(100, 200), 5)  # what was under way: the server brings it again
            assert desk.intake.waiting == waiting
            lost(desk, link)
            dials = len(desk.wire.told("dial"))
            await asyncio.sleep(100.0)
            assert len(desk.wire.told("dial")) == dials
            store.failing = None
            await desk.until(lambda: len(desk.wire.told("dial")) > dials)
            desk.open()
            desk.flood(range(200), 5)
            await desk.until(lambda: len(desk.handled) == 200)
            assert desk.in_order()
            assert desk.driver().sync.received == (BASE + 199) * 1000

    simulate(main())


def test_tiny_frames_count_for_more_than_their_text() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store, intake_bytes=100_000) as desk:
            await desk.connect()
            store.failing = StoreError("no")
            frames = [push(number) for number in range(100)]
            assert sum(frame.size for frame in frames) < 50_000
            desk.give(*frames)
            await desk.until(lambda: desk.intake.stalled)
            store.failing = None

    simulate(main())


def test_nothing_of_a_link_is_taken_behind_what_was_dropped_of_it() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store, intake_bytes=20_000) as desk:
            await desk.connect()
            link = desk.driver().session.link
            store.failing = StoreError("no")
            desk.flood(range(100), 1)
            await desk.until(lambda: desk.intake.stalled)
            taken = desk.intake.waiting
            desk.flood(range(100, 110), 1)
            store.failing = None
            await desk.until(lambda: not desk.intake.stalled)
            desk.flood(range(110, 120), 1)  # the end of the link is not heard yet
            await desk.until(lambda: len(desk.handled) >= taken)
            await asyncio.sleep(1.0)
            assert desk.numbers == list(range(taken))
            lost(desk, link)
            await desk.until(lambda: desk.driver().session.dialling not in (None, link))
            desk.open()
            desk.flood(range(100, 120), 1)
            await desk.until(lambda: desk.numbers == list(range(120)))

    simulate(main())


def lost(desk: Desk, link: int) -> None:
    desk.driver().calls.lost(link)
    desk.driver().feed(LinkLost(link, Trouble.OTHER, "closed"))


def test_an_account_that_is_stopped_while_its_dial_waits_never_dials() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store, intake_bytes=1000) as desk:
            await desk.connect()
            link = desk.driver().session.link
            store.failing = StoreError("no")
            desk.flood(range(10), 5)
            await desk.until(lambda: desk.wire.told("close"))
            lost(desk, link)
            await asyncio.sleep(30.0)
            assert desk.driver().state.value == "connecting"
            await desk.client.close()
            assert len(desk.wire.told("dial")) == 1

    simulate(main())


def test_fetched_messages_wait_for_a_store_that_fails() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await desk.connect()
            store.failing = StoreError("no")
            taking = asyncio.ensure_future(desk.intake.take_in(desk.driver(), [sample(3).payload]))
            await asyncio.sleep(10.0)
            assert not taking.done()
            store.failing = None
            assert await taking == [sample(3).id]

    simulate(main())


@pytest.mark.parametrize("k", range(1, 25))
def test_whichever_call_of_the_store_fails_nothing_is_lost_doubled_or_out_of_order(k: int) -> None:
    async def main() -> None:
        calls = 0

        class Once(Ward):
            def _check(self) -> None:
                nonlocal calls
                calls += 1
                if calls == k + 4:  # after those of a start
                    raise StoreError("as planned")
                super()._check()

        store = Once()
        async with working(store, backlog=10, commit_batch=4, outcome_wait=0.001) as desk:
            await desk.connect()
            for first in range(0, 60, 6):
                desk.flood(range(first, first + 6), 3)
                await asyncio.sleep(0.01)
            await desk.until(lambda: len(desk.handled) == 60)
            assert desk.in_order()
            assert len(desk.wire.acked) == 60
        assert calls > k + 4
        kept = await reopened(store)
        assert kept.received == (BASE + 59) * 1000
        assert await store.take(ME, 1) == ([], None)

    simulate(main())
