"""When a replay is over, and how far that lets the position move; on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from simulation.loop import simulate
from xyfast.replay import Replay

WAIT = 1.0


def play(story: Callable[[Replay], Awaitable[None]]) -> int:
    """Let a story happen; returns how often it was told that nothing more comes."""
    told: list[None] = []

    async def main() -> None:
        await story(Replay(WAIT, lambda: told.append(None)))

    simulate(main())
    return len(told)


def begin(replay: Replay) -> None:
    replay.reached = None
    replay.begin()


def test_it_is_over_when_nothing_has_come_for_a_while() -> None:
    async def story(replay: Replay) -> None:
        replay.listed = 50
        begin(replay)
        for position in (10, 20):
            await asyncio.sleep(0.9)
            replay.came()
            replay.stored(position, more=True)
        await asyncio.sleep(0.9)
        assert (replay.goes_on, replay.here) == (True, None)
        replay.listed = 60  # a comparison has ended: the link brings what it does not have
        await asyncio.sleep(0.2)
        assert (replay.goes_on, replay.here, replay.reached) == (False, 60, 20)

    assert play(story) == 1


def test_a_store_that_is_slow_does_not_end_it() -> None:
    """What follows may lie unread behind what waits for its commit."""

    async def story(replay: Replay) -> None:
        replay.listed = 50
        begin(replay)
        replay.came()
        replay.came()
        await asyncio.sleep(5.0)
        replay.stored(10, more=True)
        await asyncio.sleep(5.0)
        assert replay.goes_on
        replay.stored(20, more=True)
        await asyncio.sleep(0.9)
        assert replay.goes_on
        await asyncio.sleep(0.2)
        assert not replay.goes_on

    assert play(story) == 1


def test_its_last_package_ends_it() -> None:
    async def story(replay: Replay) -> None:
        replay.listed = 50
        begin(replay)
        replay.came()
        replay.stored(10, more=False)
        assert (replay.goes_on, replay.here) == (False, 50)
        replay.came()
        replay.stored(70, more=False)  # what is live goes on
        assert (replay.here, replay.reached) == (50, 70)

    assert play(story) == 1


def test_one_that_is_cut_off_counts_as_far_as_it_came() -> None:
    async def story(replay: Replay) -> None:
        replay.listed = 50
        begin(replay)
        replay.came()
        replay.stored(20, more=True)
        replay.cut()
        assert replay.here == 20
        begin(replay)
        replay.came()
        replay.stored(70, more=True)
        replay.cut()
        assert replay.here == 50  # what lists do not have yet is beyond
        replay.cut()

    assert play(story) == 2


def test_when_one_after_the_other_is_cut_off_before_anything_came_lists_alone_must_do() -> None:
    async def story(replay: Replay) -> None:
        replay.listed = 50
        for _ in range(3):
            begin(replay)
            await asyncio.sleep(0.9)
            replay.cut()
        assert replay.here is None
        begin(replay)
        replay.came()
        replay.stored(20, more=True)
        replay.cut()
        assert replay.here == 20  # some came, so the next may bring the rest
        for _ in range(3):
            begin(replay)
            replay.cut()
        assert replay.here == 20
        begin(replay)
        replay.cut()
        assert replay.here == 50

    assert play(story) == 8


def test_a_position_that_is_not_taken_counts_as_one_of_which_nothing_came() -> None:
    async def story(replay: Replay) -> None:
        replay.listed = 50
        begin(replay)
        replay.cut()
        replay.fail()
        replay.fail()
        assert replay.here is None
        replay.fail()
        assert replay.here == 50

    assert play(story) == 1
