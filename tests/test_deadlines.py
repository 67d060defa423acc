"""One timer for all that may run for the same time, on a virtual clock."""

from __future__ import annotations

import asyncio
import sys

from simulation.loop import simulate
from xyfast.deadlines import Deadlines


async def bounded(deadlines: Deadlines, seconds: float, stubborn: int = 0) -> tuple[float, int]:
    """Work for so long, and go on after so many cancellations: when it ended, how often late."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    deadlines.begin(task)
    while True:
        try:
            await asyncio.sleep(seconds)
            break
        except asyncio.CancelledError:
            if deadlines.late(task) > stubborn:
                break
    late = deadlines.late(task)
    deadlines.end(task)
    if sys.version_info >= (3, 11):
        assert task.cancelling() == 0
    return loop.time(), late


def test_each_is_cut_off_when_its_own_time_is_over() -> None:
    async def main() -> None:
        deadlines, start = Deadlines(5.0), asyncio.get_running_loop().time()
        tasks = []
        for seconds in (60.0, 1.0, 60.0, 4.5):
            tasks.append(asyncio.create_task(bounded(deadlines, seconds)))
            await asyncio.sleep(1.0)
        ends = [(time - start, late) for time, late in await asyncio.gather(*tasks)]
        assert ends == [(5.0, 1), (2.0, 0), (7.0, 1), (7.5, 0)]

    simulate(main())


def test_what_goes_on_is_cut_off_again_and_others_keep_their_time() -> None:
    async def main() -> None:
        deadlines, start = Deadlines(5.0), asyncio.get_running_loop().time()
        stubborn = asyncio.create_task(bounded(deadlines, 60.0, stubborn=2))
        await asyncio.sleep(7.0)
        after = asyncio.create_task(bounded(deadlines, 60.0))
        ends = [(time - start, late) for time, late in await asyncio.gather(stubborn, after)]
        assert ends == [(15.0, 3), (12.0, 1)]

    simulate(main())


def test_after_a_pause_time_runs_again() -> None:
    async def main() -> None:
        deadlines, loop = Deadlines(5.0), asyncio.get_running_loop()
        assert (await asyncio.create_task(bounded(deadlines, 1.0)))[1] == 0
        await asyncio.sleep(100.0)
        start = loop.time()
        assert await asyncio.create_task(bounded(deadlines, 60.0)) == (start + 5.0, 1)

    simulate(main())
