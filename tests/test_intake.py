"""From a push to a handler and back, on a wire in memory and a virtual clock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.loop import simulate
from wire import BASE, ME, OTHER, Desk, Ward, number, push, reopened, sample, working
from xyfast._core import Frame
from xyfast.instrumentation import Committed, Finished
from xyfast.messages import ChatMessage, Expired


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
        assert kept.received == (BASE + 199) * 1000
        assert await store.take(ME, 1) == ([], None)

    simulate(main())


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


def test_what_comes_while_the_account_holds_is_handed_on_by_its_position() -> None:
    async def main() -> None:
        async with working() as desk:
            await desk.connect()
            desk.give(push(1, sample(1)))
            await desk.until(lambda: desk.numbers == [1])
            desk.intake.hold(ME, -1)
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
            desk.intake.hold(ME, -1)
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
            desk.intake.hold(ME, -1)
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


def test_the_servers_time_is_not_trusted_beyond_the_link_that_told_it() -> None:
    """The loop's clock stands still while the machine sleeps."""

    async def main() -> None:
        late: list[Expired] = []
        async with working() as desk:

            @desk.client.on(Expired)
            async def note(message: Expired) -> None:
                late.append(message)

            await desk.connect()
            desk.driver().calls.told(BASE)
            desk.driver().calls.opened(None)
            desk.intake._clock = lambda: BASE / 1000 + 8 * 3600
            await desk.intake.take_in(desk.driver(), [sample(1).payload])
            await desk.until(lambda: late)

    simulate(main())


def test_fetched_messages_tell_the_order_of_those_that_wait() -> None:
    async def main() -> None:
        async with working(commit_batch=1) as desk:
            await desk.connect()
            one, two, three = (sample(n, time=1) for n in (1, 2, 3))
            desk.intake.hold(ME, -1)
            desk.give(push(1, two, three))
            await desk.until(lambda: desk.wire.acked)
            await desk.intake.take_in(desk.driver(), [each.payload for each in (one, two, three)])
            desk.intake.release(ME)
            await desk.until(lambda: len(desk.handled) == 3)
            assert desk.numbers == [1, 2, 3]

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
        assert kept.received == (BASE + 699) * 1000
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
            desk.intake.hold(ME, -1)
            desk.give(push(1, first), push(2, second))
            await desk.until(lambda: len(desk.wire.acked) == 2)
            if not restarted:
                await go_on(desk)
        if restarted:
            async with working(store) as desk:
                desk.intake.hold(ME, -1)
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
