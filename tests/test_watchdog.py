"""A machine that slept and an event loop that is blocked are noticed, told and lived with."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from scripted import until
from simulation.loop import simulate
from wire import ME, Desk, working
from world import running
from xyfast import Client, Settings, State
from xyfast._core import parse_frame
from xyfast.instrumentation import Fact, LoopBlocked, MachineSlept
from xyfast.testing import FakeServer
from xyfast.watchdog import watch_loop, watch_sleep

# --- a machine that slept -----------------------------------------------------------------


def test_a_clock_that_runs_ahead_of_the_loop_means_sleep() -> None:
    async def main() -> list[float]:
        now = asyncio.get_running_loop().time
        ahead = 1000.0
        told: list[float] = []
        watching = asyncio.create_task(watch_sleep(lambda: now() + ahead, told.append))
        for step in (0.0, 4.9, -3600.0, 5.0, 28_800.0):
            await asyncio.sleep(10.0)
            ahead += step
        await asyncio.sleep(10.0)
        watching.cancel()
        return told

    assert simulate(main()) == pytest.approx([5.0, 28_800.0])


def beats(desk: Desk) -> list[dict[str, object]]:
    return [sent for sent in desk.wire.told("send") if sent.get("lwp") == "/!"]


async def sleep_for_an_hour(desk: Desk) -> None:
    await desk.connect()
    desk.slept += 3600.0
    await asyncio.sleep(1.1)
    assert desk.facts[-1] == MachineSlept(pytest.approx(3600.0))
    assert [beat["over"] for beat in beats(desk)] == [1]


def test_a_link_that_answers_after_a_sleep_stays(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with working() as desk:
            await sleep_for_an_hour(desk)
            mid = beats(desk)[0]["headers"]["mid"]  # type: ignore[index]
            desk.give(parse_frame(f'{{"code":200,"headers":{{"mid":"{mid}"}}}}'))
            await asyncio.sleep(20.0)
            assert len(beats(desk)) == 1
            assert desk.wire.told("dial") == [1]

    simulate(main())
    [record] = [r for r in caplog.records if "slept" in r.getMessage()]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "machine slept, links are tested (slept=3.6e+03 s)"


@pytest.mark.parametrize("code", [None, 401])
def test_a_link_that_does_not_answer_after_a_sleep_is_given_up(code: int | None) -> None:
    async def main() -> None:
        async with working() as desk:
            await sleep_for_an_hour(desk)
            if code is not None:
                mid = beats(desk)[0]["headers"]["mid"]  # type: ignore[index]
                desk.give(parse_frame(f'{{"code":{code},"headers":{{"mid":"{mid}"}}}}'))
            else:
                await asyncio.sleep(4.5)
                assert desk.client.state(ME) is State.CONNECTED
                await asyncio.sleep(0.6)
            await asyncio.sleep(0.01)
            assert desk.wire.told("close") == [1]
            assert desk.client.state(ME) is State.RECONNECTING
            await desk.until(lambda: desk.wire.told("dial") == [1, 2])

    simulate(main())


async def test_a_link_that_died_while_the_machine_slept_is_replaced_without_its_heartbeat(
    server: FakeServer,
) -> None:
    slept = 0.0
    settings = {"heartbeat": 1000.0, "heartbeat_timeout": 2000.0}
    async with running(server, settings=settings, clock=lambda: time.time() + slept) as world:
        await world.connect()
        server.half_open()
        server.push_text(ME, "unheard")
        slept = 3600.0
        await world.until(lambda: len(server.ledger(ME).registrations) == 2)
        await world.until(lambda: world.chats)
    assert world.texts == ["unheard"]


# --- a loop that is blocked ---------------------------------------------------------------


class Ear(logging.Handler):
    """Hears when the log says that the loop is blocked."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.heard = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "blocked" in record.getMessage():
            self.records.append(record)
            self.heard.set()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture(autouse=True)
def listening(ear: Ear) -> Iterator[None]:
    logging.getLogger("xyfast").addHandler(ear)
    yield
    logging.getLogger("xyfast").removeHandler(ear)


def block_until(heard: threading.Event, most: float = 20.0) -> bool:
    words = "what a buyer wrote"
    return heard.wait(most) and bool(words)


async def test_where_a_loop_stands_still_is_told_while_it_does(ear: Ear) -> None:
    told: list[float] = []
    end = watch_loop(0.1, told.append)
    try:
        assert block_until(ear.heard)
        await until(lambda: bool(told))
    finally:
        end()
    [record] = ear.records
    assert record.levelno == logging.WARNING
    first, *lines = record.getMessage().splitlines()
    assert first == "event loop is blocked, no message is handled (after=0.1 s)"
    assert any("in block_until" in line for line in lines)
    assert any(
        f"in {test_where_a_loop_stands_still_is_told_while_it_does.__name__}" in line
        for line in lines
    )
    assert "a buyer wrote" not in record.getMessage()
    assert told[0] >= 0.1


async def test_a_loop_that_is_blocked_again_and_again_is_told_of_once_a_minute(ear: Ear) -> None:
    told: list[float] = []
    end = watch_loop(0.05, told.append)
    try:
        assert block_until(ear.heard)
        await until(lambda: bool(told))
        for _ in range(3):
            before = len(told)
            while len(told) == before:
                block_until(threading.Event(), 0.2)
                await asyncio.sleep(0.05)
    finally:
        end()
    assert len(ear.records) == 1
    assert len(told) >= 4


async def test_a_loop_has_one_watchdog_which_ends_with_its_last_watcher() -> None:
    def dogs() -> int:
        return sum(thread.name == "xyfast-watchdog" for thread in threading.enumerate())

    settings = Settings(blocked_after=0.05)
    async with Client(settings=settings):
        async with Client(settings=settings):
            assert dogs() == 1
        assert dogs() == 1
    await until(lambda: dogs() == 0)
    async with Client(settings=Settings(blocked_after=0)):
        assert dogs() == 0


def test_a_loop_that_does_not_run_is_not_blocked(ear: Ear) -> None:
    loop = asyncio.new_event_loop()
    told: list[float] = []

    async def watch() -> Callable[[], None]:
        return watch_loop(0.2, told.append)

    end = loop.run_until_complete(watch())
    time.sleep(0.7)
    loop.run_until_complete(asyncio.sleep(0.01))
    end()
    loop.close()
    assert ear.records == []


async def test_observers_are_told_how_long_a_handler_blocked_the_loop(
    server: FakeServer, ear: Ear
) -> None:
    facts: list[Fact] = []
    settings = {"blocked_after": 0.1}
    async with running(server, settings=settings, hooks=[facts.append]) as world:
        await world.connect()
        assert block_until(ear.heard)
        await world.until(lambda: any(isinstance(fact, LoopBlocked) for fact in facts))
    assert all(fact.seconds >= 0.1 for fact in facts if isinstance(fact, LoopBlocked))
