"""What a driver tells the gate of its endpoint, on a wire in memory and a virtual clock."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from simulation.loop import simulate
from simulation.told import SimClosed, SimFrame
from wire import ME, Desk, working
from xyfast.config import way
from xyfast.gates import SharedGate

THEY = [str(9_100_000_000_001 + number) for number in range(3)]


def gate(desk: Desk) -> SharedGate:
    found: SharedGate = desk.client._accounts._environment.link_gate
    return found


async def dialled(desk: Desk) -> int:
    """Let an account dial; returns its link."""
    await desk.add(ME)
    await asyncio.sleep(0.01)
    link: int = desk.driver().session.dialling
    return link


@pytest.mark.parametrize(
    ("trouble", "code", "down"),
    [
        ("network", None, True),
        ("link", 1006, True),
        ("refused", 503, True),
        ("refused", 403, False),
        ("protocol", None, False),
        ("closed", None, False),
    ],
)
def test_an_endpoint_is_down_when_a_dial_does_not_reach_it(
    trouble: str, code: int | None, down: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with working() as desk:
            closed: Any = SimClosed(await dialled(desk), trouble, "synthetic")
            closed.code = code
            with caplog.at_level(logging.INFO):
                desk.client._switchboard.on_events([closed])
            assert gate(desk)._gate.down is down
            server = way(desk.client._settings.url, None)
            assert (f", server={server}, page=" in caplog.text) == (trouble != "closed")

    simulate(main())


def test_a_refusal_of_one_account_says_that_the_endpoint_is_up() -> None:
    async def main() -> None:
        async with working() as desk:
            lost: Any = SimClosed(await dialled(desk), "network", "synthetic")
            desk.client._switchboard.on_events([lost])
            await desk.until(lambda: len(desk.wire.told("dial")) == 2)
            assert gate(desk)._gate.down
            link = desk.driver().session.dialling
            answer = SimFrame(
                link, '{"code":401,"headers":{"mid":"1 0"},"body":{"reason":"token"}}'
            )
            refused: Any = SimClosed(link, "refused", "synthetic", answer)
            desk.client._switchboard.on_events([refused])
            assert not gate(desk)._gate.down

    simulate(main())


def test_who_waits_at_the_gate_leaves_it_when_paused_removed_or_closed() -> None:
    async def main() -> None:
        async with working(close_timeout=0.1) as desk:
            lost: Any = SimClosed(await dialled(desk), "network", "synthetic")
            desk.client._switchboard.on_events([lost])
            desk.client.pause(ME)
            await asyncio.sleep(10.0)
            for account in THEY:  # the first one tries and is not answered
                await desk.add(account)
            await asyncio.sleep(10.0)
            assert len(desk.wire.told("dial")) == 2
            assert gate(desk).waiting == 2
            desk.client.pause(THEY[1])
            assert gate(desk).waiting == 1
            await desk.client.remove(THEY[2])
            assert gate(desk).waiting == 0
            desk.client.resume(THEY[1])
            assert gate(desk).waiting == 1
            held = gate(desk)
        assert held.waiting == 0

    simulate(main())


def test_a_prober_that_is_removed_is_followed_by_the_next_account() -> None:
    async def main() -> None:
        async with working(close_timeout=0.1) as desk:
            lost: Any = SimClosed(await dialled(desk), "network", "synthetic")
            desk.client._switchboard.on_events([lost])
            desk.client.pause(ME)
            await asyncio.sleep(10.0)
            for account in THEY:
                await desk.add(account)
            await asyncio.sleep(10.0)
            for number, account in enumerate(THEY):
                assert len(desk.wire.told("dial")) == 2 + number
                await desk.client.remove(account)
                await asyncio.sleep(10.0)

    simulate(main())


def test_a_dial_that_waits_while_the_store_stalls_takes_what_it_brings_afterwards() -> None:
    async def main() -> None:
        async with working(close_timeout=0.1) as desk:
            lost: Any = SimClosed(await dialled(desk), "network", "synthetic")
            desk.driver().session._dice = lambda: 0.1  # less than the gate rests
            desk.client._switchboard.on_events([lost])
            await desk.until(lambda: gate(desk).waiting)
            waiting = desk.driver().session.dialling
            desk.driver().stall(True)
            await asyncio.sleep(10.0)
            assert len(desk.wire.told("dial")) == 1
            assert gate(desk).waiting == 0
            desk.driver().stall(False)
            await desk.until(lambda: len(desk.wire.told("dial")) == 2)
            assert desk.wire.told("dial")[1] == waiting
            assert desk.driver().cut < waiting

    simulate(main())
