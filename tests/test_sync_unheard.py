"""Servers that leave requests unanswered while they answer heartbeats; on a virtual clock."""

from __future__ import annotations

import asyncio

import pytest

from faraway import ACK_DIFF, CHAT, CONVERSATIONS, HISTORY, Far, far
from simulation.loop import simulate
from xyfast.instrumentation import FoundDeaf
from xyfast.testing import Fault, Replay, ServerSettings

HOUR = 3600.0
LISTS_ALONE = ServerSettings(replay=Replay.NOTHING)


def test_what_was_missed_is_handled_though_our_position_is_never_answered() -> None:
    async def main() -> None:
        async with far(Fault.POSITION_UNANSWERED, assumed=LISTS_ALONE) as one:
            one.lose("missed")
            assert await one.until(lambda: one.texts) < 35.0
            one.push("live")
            await one.until(lambda: len(one.texts) == 2, 31.0)
            assert (one.texts, one.gaps, len(one.dials)) == (["missed", "live"], [], 1)

    simulate(main())


def test_whatever_is_pushed_to_nobody_then_is_handled_and_the_server_not_hammered() -> None:
    async def main() -> None:
        async with far(Fault.POSITION_UNANSWERED, assumed=LISTS_ALONE) as one:
            for number in range(60):
                one.lose(str(number))
                await asyncio.sleep(60.0)
            await one.until(lambda: len(one.texts) == 60, 120.0)
            assert one.texts == [str(number) for number in range(60)]
            assert one.gaps == []
            assert len(one.times(ACK_DIFF)) < 100
            assert len(one.times(CONVERSATIONS)) < 200
            one.fault()
            await one.until(lambda: one.up, 120.0)

    simulate(main())


def deaf(one: Far) -> list[bool]:
    return [fact.replaced for fact in one.facts if isinstance(fact, FoundDeaf)]


def test_a_link_that_answers_no_request_is_replaced_and_nothing_is_a_gap() -> None:
    async def main() -> None:
        async with far(Fault.MUTE, assumed=LISTS_ALONE) as one:
            one.lose("missed")
            assert await one.until(lambda: len(one.dials) == 2) < 90.0
            assert deaf(one) == [True]
            one.fault()
            await one.until(lambda: one.up, 60.0)
            assert (one.texts, one.gaps) == (["missed"], [])

    simulate(main())


def test_a_server_that_answers_no_request_is_not_hammered() -> None:
    async def main() -> None:
        async with far(Fault.MUTE, assumed=LISTS_ALONE) as one:
            one.lose("missed")
            await asyncio.sleep(6 * HOUR)
            assert len(one.dials) <= 1 + 6 * 6
            assert len(one.requests) < 6 * 120
            one.fault()
            await one.until(lambda: one.up, 120.0)
            assert (one.texts, one.gaps) == (["missed"], [])

    simulate(main())


def test_a_link_that_falls_mute_later_is_replaced_after_a_silence() -> None:
    async def main() -> None:
        async with far(assumed=LISTS_ALONE) as one:
            one.fault(Fault.MUTE)
            one.lose("missed")
            assert await one.until(lambda: one.dials) < 105.0
            one.fault()
            await one.until(lambda: one.texts == ["missed"], 60.0)
            assert one.gaps == []

    simulate(main())


def test_one_list_that_is_never_answered_is_a_gap_and_costs_neither_link_nor_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with far(assumed=LISTS_ALONE) as one:
            service = one.server.service
            monkeypatch.setattr(service, "_swallows", lambda lwp, _: lwp == HISTORY)
            one.cut()
            one.lose("missed")
            await one.until(lambda: one.gaps)
            await one.until(lambda: one.up)
            [gap] = one.gaps
            assert (gap.conversation_id, gap.reason) == (CHAT, "the server does not answer")
            assert (len(one.dials), len(one.times(HISTORY))) == (1, 4)

    simulate(main())
