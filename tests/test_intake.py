"""From a push to a handler and back, on a wire in memory and a virtual clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.loop import simulate
from wire import BASE, ME, OTHER, Desk, number, push, sample, working
from xyfast import envelope
from xyfast._core import Frame
from xyfast.errors import StoreError
from xyfast.events import LinkLost
from xyfast.instrumentation import Committed, Finished
from xyfast.messages import ChatMessage, Expired, Undecodable
from xyfast.retry import Trouble
from xyfast.store import DeadLetter, MemoryStore, Outcome, Page, Retention, Row
from xyfast.testing import samples


class Ward(MemoryStore):
    """A store that fails on demand, and writes down what was committed."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.failing: Exception | None = None
        self.tries = 0
        self.stored: set[str] = set()
        self.by_other: list[str] = []

    async def commit(
        self, rows: Sequence[Row] = (), outcomes: Sequence[Outcome] = (), **positions: Any
    ) -> Collection[tuple[str, str]]:
        self.tries += 1
        if self.failing is not None:
            raise self.failing
        new = await super().commit(rows, outcomes, **positions)
        self.stored |= {row.key for row in rows}
        return new

    async def take(self, *args: Any, **options: Any) -> Page:
        if self.failing is not None:
            raise self.failing
        return await super().take(*args, **options)

    async def revived(self) -> Collection[str]:
        found, self.by_other = self.by_other, []
        return found


def test_messages_are_stored_acknowledged_and_handled_in_order() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await desk.connect()
            desk.flood(range(200), 7)
            await desk.until(lambda: len(desk.handled) == 200)
            assert desk.in_order()
            assert len(desk.wire.acked) == 200
            assert len(store.stored) == 200
        kept = await reopened(store)
        assert kept.cursor == kept.received == (BASE + 199) * 1000

    simulate(main())


async def reopened(store: MemoryStore) -> Any:
    await store.open()
    return await store.load(ME)


def test_a_flood_at_stuck_handlers_stays_on_disk_and_loses_nothing() -> None:
    async def main() -> None:
        async with working(backlog=100) as desk:
            await desk.connect()
            desk.gate.clear()
            desk.flood(range(3000), 60)
            await desk.until(lambda: len(desk.wire.acked) == 3000)
            dispatcher = desk.client._dispatcher
            assert dispatcher.waiting + dispatcher.running <= 100
            desk.gate.set()
            await desk.until(lambda: len(desk.handled) == 3000)
            assert desk.in_order()

    simulate(main())


def test_large_messages_are_held_to_the_bound_in_bytes() -> None:
    async def main() -> None:
        async with working(backlog_bytes=20_000) as desk:
            await desk.connect()
            desk.gate.clear()
            desk.flood(range(100), 50, words="x" * 3000)
            await desk.until(lambda: len(desk.wire.acked) == 100)
            dispatcher = desk.client._dispatcher
            assert 0 < dispatcher.waiting + dispatcher.running <= 6
            desk.gate.set()
            await desk.until(lambda: len(desk.handled) == 100)
            assert desk.in_order()

    simulate(main())


def test_a_stuck_conversation_keeps_out_neither_others_nor_other_accounts() -> None:
    async def main() -> None:
        async with working(backlog=50, max_handlers=5) as desk:
            await desk.connect(ME, OTHER)
            stuck = asyncio.Event()

            async def handle(message: Any) -> None:
                if message.conversation_id == "70000000000":
                    await stuck.wait()
                desk.handled.append(message)

            desk.client._router._routes.clear()
            desk.client.on(ChatMessage)(handle)
            desk.flood(range(500), 1)
            desk.give(push(501, sample(501, "70000000001")))
            desk.give(push(1, sample(1, "70000000002")), account=OTHER)
            await desk.until(lambda: len(desk.handled) == 2)
            stuck.set()
            await desk.until(lambda: len(desk.handled) == 502)
            assert desk.in_order()

    simulate(main())


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

    with caplog.at_level(logging.INFO, "xyfast.intake"):
        simulate(main())
    records = [record for record in caplog.records if record.name == "xyfast.intake"]
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


def test_records_of_handled_messages_ride_with_the_next_commit_or_wait_for_their_time() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store, outcome_wait=0.05) as desk:

            def recorded() -> int:
                return sum(isinstance(fact, Finished) for fact in desk.facts)

            await desk.connect()
            await asyncio.sleep(1.0)
            before = store.tries
            for each in range(100):
                desk.give(push(each, sample(each, f"7000000000{each % 3}")))
                await asyncio.sleep(0.005)
                assert (store.tries - before, recorded()) == (each + 1, each)
            assert len(desk.handled) == len(desk.wire.acked) == 100
            await asyncio.sleep(0.05)
            assert (store.tries - before, recorded()) == (101, 100)

    simulate(main())


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
        kept = await reopened(store)
        assert kept.cursor == (BASE + 19) * 1000
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
            assert desk.driver().sync.ledger.received == (BASE + 199) * 1000

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


def test_what_comes_while_the_account_holds_is_handed_on_by_its_position() -> None:
    async def main() -> None:
        async with working() as desk:
            await desk.connect()
            desk.give(push(1, sample(1)))
            await desk.until(lambda: desk.numbers == [1])
            desk.intake.hold(ME)
            desk.give(push(9, sample(9)), push(2, sample(2)), push(3, sample(3)))
            desk.give(push(9, sample(8), sample(9)))
            await asyncio.sleep(10.0)
            assert (desk.numbers, len(desk.wire.acked)) == ([1], 5)
            desk.intake.release(ME)
            await desk.until(lambda: len(desk.handled) == 5)
            assert desk.numbers == [1, 2, 3, 8, 9]

    simulate(main())


@given(st.data())
@settings(max_examples=60)
def test_what_comes_again_in_parts_stays_in_its_order(data: st.DataObject) -> None:
    """Messages of one millisecond have no order but that of their coming."""
    times = sorted(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=8)))
    ends = st.integers(0, len(times))
    parts = data.draw(st.lists(st.tuples(ends, ends), max_size=6))

    def package(start: int, end: int) -> Frame:
        entries = [sample(number, time=times[number]) for number in range(start, end)]
        return push(times[end - 1], *entries)

    async def main() -> None:
        async with working(backlog_lane=1, dedup_size=1, commit_batch=1) as desk:
            await desk.connect()
            desk.gate.clear()
            reached = 0
            for one, other in [*parts, (0, len(times))]:
                start, end = sorted((one, other))
                if reached < end:  # what is new comes in its order
                    desk.give(package(reached, end))
                    reached = end
                if start < end:
                    desk.give(package(start, end))
            desk.gate.set()
            await desk.until(lambda: len(desk.handled) == len(times))
            assert desk.numbers == list(range(len(times)))

    simulate(main())


def test_what_was_missing_comes_before_what_follows_it_in_its_package() -> None:
    async def main() -> None:
        async with working(commit_batch=1) as desk:
            await desk.connect()
            first, second, third, fourth = (sample(number, time=1) for number in range(1, 5))
            desk.intake.hold(ME)
            desk.give(push(1, first), push(2, second))
            desk.give(push(2, second), push(4, fourth))
            desk.give(push(4, first, third, fourth))  # it leaves out what this link has brought
            desk.give(push(2, first, second))
            await desk.until(lambda: len(desk.wire.acked) == 6)
            desk.intake.release(ME)
            await desk.until(lambda: len(desk.handled) == 4)
            assert desk.numbers == [1, 2, 3, 4]

    simulate(main())


def test_fetched_messages_are_stored_like_pushed_ones_and_said_to_be_new_once() -> None:
    async def main() -> None:
        async with working() as desk:
            await desk.connect()
            desk.intake.hold(ME)
            desk.give(push(5, sample(5)))
            fetched = [sample(n).payload for n in (3, 4, 5)]
            new = await desk.intake.take_in(desk.driver(), fetched)
            assert list(new) == [sample(3).id, sample(4).id]
            assert await desk.intake.take_in(desk.driver(), fetched) == []
            assert await desk.intake.take_in(desk.driver(), []) == []
            desk.intake.release(ME)
            await desk.until(lambda: len(desk.handled) == 3)
            assert desk.numbers == [3, 4, 5]

    simulate(main())


@pytest.mark.parametrize("wrong", [-3600, 3600])
def test_the_age_of_fetched_messages_goes_by_the_servers_clock(wrong: int) -> None:
    async def main() -> None:
        late: list[Expired] = []
        async with working() as desk:

            @desk.client.on(Expired)
            async def note(message: Expired) -> None:
                late.append(message)

            await desk.connect()
            desk.driver().calls.told(BASE + 400_000)
            desk.intake._clock = lambda: BASE / 1000 + wrong
            fetched = [sample(n, "70000000033").payload for n in (0, 200_000)]
            await desk.intake.take_in(desk.driver(), fetched)
            await desk.until(lambda: desk.handled and late)
            assert desk.numbers == [200_000]
            assert [number(each.message) for each in late] == [0]

    simulate(main())


def test_fetched_messages_tell_the_order_of_those_that_wait() -> None:
    async def main() -> None:
        async with working(commit_batch=1) as desk:
            await desk.connect()
            one, two, three = (sample(n, time=1) for n in (1, 2, 3))
            desk.intake.hold(ME)
            desk.give(push(1, two, three))
            await desk.until(lambda: desk.wire.acked)
            await desk.intake.take_in(desk.driver(), [each.payload for each in (one, two, three)])
            desk.intake.release(ME)
            await desk.until(lambda: len(desk.handled) == 3)
            assert desk.numbers == [1, 2, 3]

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


def test_a_message_that_comes_twice_is_handled_once_and_counted_as_known() -> None:
    async def main() -> None:
        async with working() as desk:
            await desk.connect()
            desk.give(push(1, sample(1), sample(1)), push(2, sample(1)))
            await desk.until(lambda: len(desk.wire.acked) == 2)
            desk.give(push(2, sample(1)))
            await desk.until(lambda: len(desk.wire.acked) == 3)
            assert desk.numbers == [1]
            facts = [fact for fact in desk.facts if isinstance(fact, Committed)]
            assert [(fact.new, fact.known) for fact in facts] == [(1, 1), (0, 1), (0, 1)]
            assert desk.intake._window.room == 500  # what was taken for nothing was put back

    simulate(main())


def test_what_an_earlier_run_left_is_handed_out_in_order_and_says_so() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store, grace=0.1, max_handlers=1) as desk:
            await desk.connect()
            desk.gate.clear()
            desk.flood(range(700), 3)
            await desk.until(lambda: len(desk.wire.acked) == 700)
        kept = await reopened(store)
        assert (kept.cursor or 0) < BASE * 1000 < kept.received == (BASE + 699) * 1000
        async with working(store) as desk:
            await desk.connect()
            desk.flood(range(700, 750), 3)
            await desk.until(lambda: len(desk.handled) == 750)
            assert desk.in_order()
            again = {number(m) for m in desk.handled if m.redelivered}
            assert 0 in again
            assert all(m.redelivered <= 1 for m in desk.handled)
            assert again.isdisjoint(range(700, 750))

    simulate(main())


def test_what_another_process_lets_wait_again_is_handed_out() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await desk.connect()
            desk.give(push(1, sample(1)))
            await desk.until(lambda: sum(isinstance(f, Finished) for f in desk.facts) == 1)
            assert await store.revive(ME, [sample(1).id]) == 1
            store.by_other = [ME, "an account of another client"]
            await desk.until(lambda: len(desk.handled) == 2)
            assert [m.redelivered for m in desk.handled] == [0, 1]

    simulate(main())


def test_a_payload_that_cannot_be_read_is_a_dead_letter_and_told_once() -> None:
    async def main() -> None:
        seen: list[Undecodable] = []
        store = Ward()
        async with working(store) as desk:

            @desk.client.on(Undecodable)
            async def note(message: Undecodable) -> None:
                seen.append(message)

            await desk.connect()
            desk.give(push(1, sample(1), samples.bad_msgpack(), sample(2)))
            await desk.until(lambda: len(desk.handled) == 2 and seen)
            [(_, row)] = await store.dead_letters(ME)
            assert isinstance(row.dead, DeadLetter)
            assert row.dead.reason.startswith("msgpack: ")
            await desk.until(lambda: desk.driver().sync.ledger.cursor == (BASE + 1) * 1000)

    simulate(main())


@pytest.mark.parametrize("reader", ["read", "to_message"])
@pytest.mark.parametrize("backlog", [1000, 2])
def test_what_raises_on_reading_is_a_dead_letter_and_keeps_nothing_else_back(
    reader: str, backlog: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = getattr(envelope, reader)

    def read(what: Any, *args: Any, **options: Any) -> Any:
        if "synthetic secret" in str(what):
            raise LookupError(str(what))
        return real(what, *args, **options)

    async def main() -> None:
        store, seen = Ward(), []
        async with working(store, backlog=backlog) as desk:

            @desk.client.on(Undecodable)
            async def note(message: Undecodable) -> None:
                seen.append((message.stage, message.reason))
                raise ValueError

            await desk.connect(ME, OTHER)
            monkeypatch.setattr(envelope, reader, read)
            bad = sample(2, words="synthetic secret")
            desk.give(push(3, sample(1), bad, sample(3)))
            desk.give(push(4, sample(4)), account=OTHER)
            await desk.until(lambda: len(desk.handled) == 3 and len(desk.wire.acked) == 2 and seen)
            await desk.until(lambda: desk.driver().sync.ledger.cursor == (BASE + 3) * 1000)
            assert desk.in_order()
            assert set(seen) == {("read", "LookupError")}
        await store.open()
        assert [row.dead.reason for _, row in await store.dead_letters() if row.dead] == [
            "read: LookupError"
        ]
        assert not (await store.take(ME, 10)).rows

    simulate(main())
    assert "synthetic secret" not in caplog.text
    assert "payload not read" in caplog.text


@pytest.mark.parametrize("handler", ["none", "fails", "takes it"])
def test_a_dead_letter_that_still_cannot_be_read_stays_one_unless_a_handler_takes_it(
    handler: str,
) -> None:
    async def main() -> None:
        store = Ward()
        async with working(store, handler_retries=0) as desk:
            await desk.connect()
            desk.give(push(1, samples.bad_msgpack()))
            await desk.until(lambda: desk.wire.acked)
            [(_, before)] = await store.dead_letters(ME)
            if handler != "none":

                @desk.client.on(Undecodable)
                async def look(message: Undecodable) -> None:
                    if handler == "fails":
                        raise ValueError

            await store.revive(ME, [before.key])
            store.by_other = [ME]
            await desk.until(lambda: any(isinstance(fact, Finished) for fact in desk.facts))
            after = [row.dead for _, row in await store.dead_letters(ME)]
            assert after == ([] if handler == "takes it" else [before.dead])

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
        assert kept.cursor == (BASE + 59) * 1000

    simulate(main())


@pytest.mark.parametrize("restarted", [False, True])
def test_a_replay_that_leaves_out_what_its_link_has_brought_keeps_the_order(
    restarted: bool,
) -> None:
    """All of the same millisecond, so that nothing but their coming tells the order."""
    first, second, third, fourth = (sample(number, time=0) for number in range(1, 5))

    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await desk.connect()
            desk.intake.hold(ME)
            desk.give(push(1, first), push(2, second))
            await desk.until(lambda: len(desk.wire.acked) == 2)
            if not restarted:
                await go_on(desk)
        if restarted:
            async with working(store) as desk:
                desk.intake.hold(ME)
                await desk.add(ME)
                await go_on(desk)

    async def go_on(desk: Desk) -> None:
        desk.give(push(2, second), push(4, fourth))  # what was not acknowledged, and what is new
        await desk.until(lambda: desk.intake.waiting == 0)
        desk.give(push(3, first, third, fourth))  # the replay
        await desk.until(lambda: desk.intake.waiting == 0)
        desk.intake.release(ME)
        await desk.until(lambda: len(desk.handled) == 4)
        assert desk.numbers == [1, 2, 3, 4]

    simulate(main())
