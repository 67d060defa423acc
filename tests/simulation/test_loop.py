"""The virtual clock itself."""

from __future__ import annotations

import asyncio
import contextvars
import time

import pytest

from simulation.loop import Stuck, VirtualLoop, simulate

PART: contextvars.ContextVar[str] = contextvars.ContextVar("part", default="")


def now() -> float:
    return asyncio.get_running_loop().time()


def test_an_hour_passes_at_once_and_to_the_second() -> None:
    async def main() -> float:
        await asyncio.sleep(3600.0)
        return now()

    started = time.monotonic()
    assert simulate(main()) == 3600.0
    assert time.monotonic() - started < 3600.0


def test_timers_fire_at_their_own_times() -> None:
    fired: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for delay in (0.3, 0.1, 1e6 + 0.1, 0.2):
            loop.call_later(delay, lambda: fired.append(now()))
        await asyncio.sleep(2e6)

    simulate(main())
    assert fired == [0.1, 0.2, 0.3, 1e6 + 0.1]


def test_timeouts_and_locks_work_as_on_any_loop() -> None:
    async def main() -> float:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 5.0)
        lock = asyncio.Lock()

        async def hold() -> None:
            async with lock:
                await asyncio.sleep(10.0)

        await asyncio.gather(hold(), hold())
        return now()

    assert simulate(main()) == 25.0


def test_waiting_for_ever_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match="never comes"):
        simulate(main())


def test_a_loop_that_stands_still_is_an_error() -> None:
    async def main() -> None:
        def again() -> None:
            asyncio.get_running_loop().call_soon(again)

        again()
        await asyncio.sleep(1.0)

    with pytest.raises(Stuck, match="no time passed"):
        simulate(main())


def test_threads_are_refused() -> None:
    async def main() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(RuntimeError, match="no threads"):
        simulate(main())


def test_sets_of_tasks_have_an_order() -> None:
    order: list[int] = []

    async def note(number: int) -> None:
        try:
            await asyncio.sleep(1.0)
        except asyncio.CancelledError:
            order.append(number)

    async def main() -> None:
        padding = [object() for _ in range(100)]
        tasks = {asyncio.ensure_future(note(number)) for number in range(50)}
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        del padding

    simulate(main())
    assert order == sorted(order)
    assert len(order) == 50


def test_every_step_is_seen() -> None:
    seen: list[float] = []

    async def main() -> None:
        await asyncio.sleep(1.0)
        await asyncio.sleep(1.0)

    loop = VirtualLoop(lambda: seen.append(loop.time()))
    loop.run_until_complete(main())
    loop.close()
    assert seen[0] == 0.0
    assert {1.0, 2.0} <= set(seen)


def test_a_dead_part_of_the_program_does_nothing_more() -> None:
    done: list[str] = []

    async def work() -> None:
        asyncio.get_running_loop().call_later(2.0, done.append, PART.get() + " timer")
        try:
            await asyncio.sleep(1.0)
            done.append(PART.get() + " slept")
            await asyncio.Event().wait()
        finally:
            done.append(PART.get() + " ended")

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        for part in ("first", "second"):
            context = contextvars.copy_context()
            context.run(PART.set, part)
            context.run(loop.create_task, work())
        await asyncio.sleep(0.5)

        def first(context: contextvars.Context) -> bool:
            return context.get(PART) == "first"

        assert len(loop.pending(first)) == 3
        loop.abandon(first)
        assert loop.pending(first) == []
        await asyncio.sleep(5.0)
        return list(done)

    assert simulate(main()) == ["first ended", "second slept", "second timer"]


def test_a_dead_part_that_waits_in_its_last_clauses_ends_too() -> None:
    done: list[str] = []

    async def work() -> None:
        try:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(1.0)
                done.append("slept")
        finally:
            await asyncio.sleep(1.0)
            done.append("slept")

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        context = contextvars.copy_context()
        context.run(PART.set, "first")
        task = context.run(loop.create_task, work())
        await asyncio.sleep(0.5)
        loop.abandon(lambda context: context.get(PART) == "first")
        coroutine = task.get_coro()
        assert coroutine is not None
        assert coroutine.cr_frame is None
        await asyncio.sleep(5.0)
        return list(done)

    assert simulate(main()) == []
