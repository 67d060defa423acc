"""Messages that were announced: awaited, looked for, or told of; on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import pytest

from shelf import END, START, Shelf
from simulation.loop import simulate
from world import ME
from xyfast.facts import Facts
from xyfast.markers import Markers
from xyfast.messages import Gap
from xyfast.reconcile import Recovery


class Slow(Shelf):
    """A shelf whose server takes a second for an answer."""

    async def ask(self, build: Callable[..., str]) -> Any:
        await asyncio.sleep(1.0)
        return await super().ask(build)


class Announced:
    """Markers over a shelf, and what was told of them."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        self.shelf = shelf or Shelf()
        self.reconciler = self.shelf.reconciler()
        self.told: list[Recovery] = []
        self.missing: list[Gap] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.caught_up = asyncio.Event()
        self.caught_up.set()
        self.markers = Markers(
            ME,
            self.reconciler,
            wait=10.0,
            caught_up=self.caught_up,
            known=self.shelf.known,
            tell=self.told.append,
            missing=self.missing.extend,
            spawn=self._spawn,
        )

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self.tasks.append(task)
        return task

    def come(self, name: str | None, conversation: str | None = "1", time: int = 5) -> None:
        self.markers.came(
            Facts(
                kind="marker",
                message_id=name,
                conversation_id=conversation,
                time_ms=START + time,
            ),
            START,
        )

    async def end(self) -> Collection[Recovery]:
        await asyncio.gather(*self.tasks)
        return self.told


def test_one_that_comes_in_time_is_not_asked_for() -> None:
    async def main() -> None:
        announced = Announced()
        name = announced.shelf.message("1", 5)
        announced.come(name)
        await asyncio.sleep(9.9)
        announced.shelf.inbox.append(name)
        assert await announced.end() == []
        assert announced.shelf.asked == []

    simulate(main())


def test_one_that_does_not_come_is_fetched_with_its_neighbours() -> None:
    async def main() -> None:
        announced = Announced()
        announced.shelf.message("1", -3000)
        names = [announced.shelf.message("1", time) for time in (-1500, 5, 6)]
        announced.come(names[1])
        announced.come(names[1])
        assert await announced.end() == [Recovery(messages=3, others=3, conversations=1)]
        assert announced.shelf.inbox == names

    simulate(main())


def test_several_of_a_conversation_cost_one_request() -> None:
    async def main() -> None:
        announced = Announced()
        for name in [announced.shelf.message("1", time) for time in range(5)]:
            announced.come(name)
        assert len(await announced.end()) == 1
        assert announced.shelf.histories == ["1"]

    simulate(main())


def test_one_that_is_nowhere_is_a_gap_and_may_be_announced_again() -> None:
    async def main() -> None:
        announced = Announced()
        for _ in range(2):
            announced.come("5000000000099.PNM")
            await announced.end()
        for found in announced.told:
            [gap] = found.gaps
            assert (gap.conversation_id, gap.end) == ("1", START + 5)
        assert len(announced.told) == 2

    simulate(main())


def test_a_flood_is_bounded_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        announced = Announced()
        for number in range(1003):
            announced.come(f"{number}.PNM")
        assert len(announced.tasks) == 1000
        assert [gap.end for gap in announced.missing] == [START + 5] * 3
        announced.caught_up.clear()
        await asyncio.sleep(61.0)
        announced.come("1003.PNM")
        assert len(announced.missing) == 4
        announced.caught_up.set()
        announced.shelf.inbox = [f"{number}.PNM" for number in range(1000)]
        await announced.end()
        announced.come("5000000000099.PNM")
        assert len(announced.tasks) == 1001
        await announced.end()

    simulate(main())
    counts = [each.count for each in caplog.records]  # type: ignore[attr-defined]
    assert counts == [1, 3]  # a line a minute


def test_nothing_from_before_the_account_is_announced_or_fetched() -> None:
    async def main() -> None:
        announced = Announced()
        names = [announced.shelf.message("1", time) for time in (3, 4, 5)]
        for name, time in zip(names, (3, 4, 5), strict=True):
            marker = Facts(
                kind="marker", message_id=name, conversation_id="1", time_ms=START + time
            )
            announced.markers.came(marker, START, START + 4)
        await announced.end()
        assert announced.shelf.inbox == names[1:]

    simulate(main())


def test_what_is_announced_from_long_before_our_position_is_history() -> None:
    async def main() -> None:
        announced = Announced()
        hour = 3_600_000
        names = [announced.shelf.message("1", time) for time in (5, hour + 5)]
        for name, time in zip(names, (5, hour + 5), strict=True):
            marker = Facts(
                kind="marker", message_id=name, conversation_id="1", time_ms=START + time
            )
            announced.markers.came(marker, START, received=START + 2 * hour)
        await announced.end()
        assert announced.shelf.inbox == names[1:]
        assert len(announced.tasks) == 1

    simulate(main())


def test_what_the_lists_bring_is_not_asked_for_again() -> None:
    async def main() -> None:
        announced = Announced()
        announced.caught_up.clear()
        names = [announced.shelf.message(str(number), 5) for number in range(9)]
        for number, name in enumerate(names):
            announced.come(name, str(number))
        await asyncio.sleep(60.0)
        assert announced.shelf.asked == []
        announced.shelf.inbox += names[1:]
        announced.caught_up.set()
        await announced.end()
        assert announced.shelf.histories == ["0"]

    simulate(main())


def test_the_lists_wait_for_one_that_was_announced_and_no_more() -> None:
    async def main() -> None:
        announced = Announced(Slow())
        shelf = announced.shelf
        names = [shelf.message(str(number), 5) for number in range(9)]
        for number, name in enumerate(names):
            announced.come(name, str(number))
        await asyncio.sleep(10.5)
        assert shelf.asked == []  # the first is on its way
        announced.caught_up.clear()
        await announced.reconciler.account(START, END, start=START)
        assert len(shelf.histories) == 1 + len(names)
        announced.caught_up.set()
        await announced.end()
        assert len(shelf.histories) == 1 + len(names)

    simulate(main())


def test_a_marker_without_an_id_announces_nothing() -> None:
    async def main() -> None:
        announced = Announced()
        announced.come(None)
        announced.come("1.PNM", None)
        assert announced.tasks == []

    simulate(main())
