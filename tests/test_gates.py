"""Gates of a process: turns in several event loops, and what becomes of those that vanish."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from simulation.loop import simulate
from xyfast.gate import LONGEST_REST, Pace
from xyfast.gates import PROCESS, Gates, SharedGate, Turn
from xyfast.retry import Trouble

PACE = Pace(rate=8.0, burst=2)
QUICK = Pace(rate=10_000.0, burst=1000, scale=0.01)


def virtual(pace: Pace = PACE) -> SharedGate:
    """A gate on the running loop's clock."""
    return Gates(clock=asyncio.get_running_loop().time, dice=lambda: 0.5).at("ws://x/", pace)


def turn(gate: SharedGate, went: list[float]) -> Turn:
    loop = asyncio.get_running_loop()
    asked = Turn(gate, lambda: went.append(loop.time()))
    asked.ask()
    return asked


def test_a_turn_at_a_quiet_gate_comes_before_ask_returns() -> None:
    async def main() -> None:
        went: list[float] = []
        turn(virtual(), went).reached()
        assert went == [0.0]

    simulate(main())


def test_turns_come_at_the_pace_and_leave_no_timer() -> None:
    async def main() -> None:
        gate, went = virtual(), list[float]()
        turns = [turn(gate, went) for _ in range(5)]
        assert gate.waiting == 3
        await asyncio.sleep(1.0)
        assert went == pytest.approx([0.0, 0.0, 0.125, 0.25, 0.375], abs=0.002)
        for each in turns:
            each.reached()
        assert not asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]

    simulate(main())


def test_who_leaves_is_not_called_and_leaves_no_timer() -> None:
    async def main() -> None:
        gate, went = virtual(), list[float]()
        turn(gate, went).missed(Trouble.LINK)
        waiting = turn(gate, went)
        waiting.leave()
        assert gate.waiting == 0
        await asyncio.sleep(10.0)
        assert len(went) == 1
        assert not asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]

    simulate(main())


def test_who_leaves_between_the_call_and_its_turn_is_not_called() -> None:
    async def main() -> None:
        gate, went = virtual(Pace(1.0, 1)), list[float]()
        first = turn(gate, went)
        waiting = turn(gate, went)
        await asyncio.sleep(0.5)
        asyncio.get_running_loop().call_later(0.5, first.leave)  # lets `waiting` through, soon
        asyncio.get_running_loop().call_later(0.5, waiting.leave)
        await asyncio.sleep(5.0)
        assert len(went) == 1

    simulate(main())


def test_a_cancelled_task_gives_its_turn_up() -> None:
    async def main() -> None:
        gate, went = virtual(), list[float]()
        turn(gate, went).missed(Trouble.NETWORK)

        async def probe() -> None:
            async with gate.turn():
                await asyncio.sleep(1000.0)

        prober, in_line = asyncio.ensure_future(probe()), asyncio.ensure_future(probe())
        await asyncio.sleep(10.0)
        turn(gate, went)
        prober.cancel()
        in_line.cancel()
        await asyncio.sleep(LONGEST_REST)
        assert len(went) == 2

    simulate(main())


def test_a_block_that_told_nothing_has_left() -> None:
    async def main() -> None:
        gate, loop = virtual(Pace(1.0, 1)), asyncio.get_running_loop()
        async with gate.turn():
            assert loop.time() == 0.0
        async with gate.turn():  # the first one is not under way any more
            assert loop.time() == pytest.approx(1.0, abs=0.002)
        assert not loop._scheduled  # type: ignore[attr-defined]

    simulate(main())


def test_what_is_told_first_counts() -> None:
    async def main() -> None:
        gate, went = virtual(), list[float]()
        first = turn(gate, went)
        first.missed(Trouble.LINK)
        first.reached()
        turn(gate, went)
        assert len(went) == 1

    simulate(main())


def test_an_endpoint_is_scheme_host_and_port_and_is_forgotten_with_its_last_holder() -> None:
    gates = Gates()
    gate = gates.at("ws://Host:1/a?b", PACE)
    assert gates.at("ws://host:1/", QUICK) is gate
    assert gates.at("ws://host:2/", PACE) is not gate
    assert gates.at("wss://host:1/", PACE) is not gate
    held = weakref.ref(gate)
    del gate
    gc.collect()
    assert held() is None


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def call(self, work: Callable[[], object]) -> object:
        async def run() -> object:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20.0)

    def stop(self) -> None:
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()

    def close(self) -> None:
        self.stop()
        self.loop.close()


@pytest.fixture
def loops() -> Iterator[list[Loop]]:
    made = [Loop(), Loop()]
    yield made
    for each in made:
        each.close()


class Going:
    """Whose turn came, seen from any thread."""

    def __init__(self, gate: SharedGate) -> None:
        self.gate = gate
        self.names: list[str] = []
        self.turns: dict[str, Turn] = {}
        self._changed = threading.Condition()

    def ask(self, name: str) -> None:
        def go() -> None:
            with self._changed:
                self.names.append(name)
                self._changed.notify_all()

        self.turns[name] = Turn(self.gate, go)
        self.turns[name].ask()

    def wait(self, count: int) -> list[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.names) >= count, 20.0), self.names
            return self.names


def test_one_prober_over_all_loops_and_all_are_woken_when_it_arrives(loops: list[Loop]) -> None:
    going = Going(Gates().at("ws://x/", QUICK))
    first, second = loops
    first.call(lambda: going.ask("a"))
    first.call(lambda: going.turns["a"].missed(Trouble.NETWORK))
    for name, loop in (("b", second), ("c", first), ("d", second)):
        loop.call(lambda name=name: going.ask(name))
    assert going.wait(2) == ["a", "b"]
    for loop in loops:
        loop.call(lambda: None)
    assert going.gate.waiting == 2
    second.call(lambda: going.turns["b"].reached())
    assert sorted(going.wait(4)) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("end", ["close", "stop"])
def test_a_loop_that_is_over_keeps_nobody_waiting(loops: list[Loop], end: str) -> None:
    going = Going(Gates().at("ws://x/", QUICK))
    first, second = loops
    first.call(lambda: going.ask("a"))
    first.call(lambda: going.turns["a"].missed(Trouble.NETWORK))
    if end == "close":  # even while its probe is out
        first.call(lambda: going.ask("b"))
        going.wait(2)
    first.call(lambda: going.ask("c"))
    getattr(first, end)()
    second.call(lambda: going.ask("d"))
    assert going.wait(2 + (end == "close"))[-1] == "d"


def test_a_blocked_loop_keeps_nobody_of_another_waiting(loops: list[Loop]) -> None:
    going = Going(Gates().at("ws://x/", Pace(rate=50.0, burst=1, scale=0.01)))
    first, second = loops
    release = threading.Event()

    def ask_and_block() -> None:
        going.ask("b")
        release.wait(20.0)

    first.call(lambda: going.ask("a"))
    first.loop.call_soon_threadsafe(ask_and_block)
    try:
        second.call(lambda: going.ask("c"))
        assert going.wait(2) == ["a", "c"]
    finally:
        release.set()
    assert going.wait(3) == ["a", "c", "b"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_stand_in_its_parents_line() -> None:
    with PROCESS._lock:  # as another thread may have it at the fork
        child = os.fork()
        if child == 0:
            gate = PROCESS.at("ws://x/", PACE)
            os._exit(0 if gate.waiting == 0 else 1)
    deadline = time.monotonic() + 20.0
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ended == (child, 0)
