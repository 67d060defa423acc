"""When a replay is over, and what is surely here then; on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from simulation.loop import simulate
from xyfast.replay import Replay

WAIT = 1.0


def play(story: Callable[[Replay], Awaitable[None]]) -> int:
    """Let a story happen; returns how often a replay was told to be over."""
    told: list[None] = []

    async def main() -> None:
        await story(Replay(WAIT, lambda: told.append(None)))

    simulate(main())
    return len(told)


def test_it_is_over_when_no_package_has_come_for_a_while() -> None:
    async def story(replay: Replay) -> None:
        replay.listed = 50
        replay.begin()
        for position in (10, 20):
            await asyncio.sleep(0.9)
            replay.came(position, more=True)
        await asyncio.sleep(0.9)
        assert (replay.goes_on, replay.here) == (True, None)
        replay.listed = 60  # a comparison has ended: the link brings what it does not have
        await asyncio.sleep(0.2)
        assert (replay.goes_on, replay.here, replay.reached) == (False, 60, 20)

    assert play(story) == 1


def test_its_last_package_ends_it() -> None:
    async def story(replay: Replay) -> None:
        replay.listed = 50
        replay.begin()
        replay.came(10, more=False)
        assert (replay.goes_on, replay.here) == (False, 50)
        replay.came(70, more=False)  # what is live goes on
        assert (replay.here, replay.reached) == (50, 70)

    assert play(story) == 1


def test_of_one_that_is_cut_off_counts_what_came() -> None:
    async def story(replay: Replay) -> None:
        replay.listed = 50
        replay.begin()
        replay.came(20, more=True)
        replay.cut()
        assert replay.here == 20
        replay.begin()
        replay.came(70, more=True)
        replay.cut()
        assert replay.here == 50  # what lists do not have yet is beyond
        replay.cut()

    assert play(story) == 2


def test_the_silence_of_links_that_are_lost_adds_up_to_an_end() -> None:
    """Of what was listed before it began: what has happened since may be replayed yet."""

    async def story(replay: Replay) -> None:
        replay.listed = 50
        for link in range(3):
            replay.reached = None
            replay.begin()
            await asyncio.sleep(0.4)
            if link < 2:
                assert replay.here is None
                replay.cut()
            replay.listed = 60 + link
        assert (replay.goes_on, replay.here) == (False, 50)

    assert play(story) == 3


def test_a_package_breaks_the_silence() -> None:
    async def story(replay: Replay) -> None:
        replay.listed = 50
        replay.begin()
        await asyncio.sleep(0.9)
        replay.cut()
        replay.begin()
        replay.came(20, more=True)
        replay.cut()
        replay.reached = None
        replay.begin()
        await asyncio.sleep(0.9)
        assert (replay.goes_on, replay.here) == (True, 20)

    assert play(story) == 2
