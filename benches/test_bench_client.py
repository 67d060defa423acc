"""Every bot handles and acknowledges all that is pushed; `contest.py` says what it takes."""

from __future__ import annotations

import pytest

from bots import BOTS
from contest import Case, Lap, contest, ratio, share, table


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("bot", BOTS)
async def test_a_bot_handles_all_messages(bot: str, size: int) -> None:
    case = Case("a few", 20, size)
    async with contest() as running:
        # Raises if a message was not handled or a package not acknowledged.
        lap = await running.lap(bot, case, running.packages(case))
    assert lap.cpu > 0
    assert lap.wall > 0
    assert len(lap.acks) == len(lap.handlers) == -(-20 // size)
    assert all(0 < time < lap.wall * 21 for time in lap.handlers)


async def test_a_slow_push_is_timed_package_by_package() -> None:
    case = Case("a few", 3, rate=1000.0)
    async with contest() as running:
        lap = await running.lap("memory", case, running.packages(case))
    assert len(lap.acks) == len(lap.handlers) == 3


def test_ratios_are_taken_within_a_round() -> None:
    def laps(*times: float) -> list[Lap]:
        return [Lap(time, time, [time], [time]) for time in times]

    found = dict.fromkeys(BOTS, laps(1.0, 10.0, 4.0)) | {"durable": laps(0.5, 5.0, 1.0)}
    assert ratio(found, "durable", "memory", lambda lap: lap.cpu) == 0.5
    assert "| durable | 1000000 us (0.50, 0.50) | 1 (0.50, 0.50) |" in table(
        Case("flood", 1), found
    )


def test_a_share_of_times() -> None:
    times = [float(time) for time in range(100, 0, -1)]
    assert (share(times, 50), share(times, 99), share([7.0], 99)) == (51.0, 100.0, 7.0)
