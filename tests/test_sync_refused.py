"""Servers that refuse what catching up asks for; on a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from faraway import ACK_DIFF, CONVERSATIONS, GET_STATE, HISTORY, Far, far
from simulation.loop import simulate
from xyfast.testing import Fault, Replay, ServerSettings
from xyfast.testing.routes import ROUTES, Answer

HOUR = 3600.0
LISTS_ALONE = ServerSettings(replay=Replay.NOTHING)


def told(caplog: pytest.LogCaptureFixture, sentence: str = "not caught up yet") -> int:
    return sum(record.getMessage().startswith(sentence) for record in caplog.records)


def test_what_was_missed_is_handled_though_our_position_is_refused() -> None:
    async def main() -> None:
        async with far(Fault.POSITION_REFUSED, assumed=LISTS_ALONE) as one:
            one.lose("missed")
            await one.until(lambda: one.texts, 40.0)
            one.push("live")
            await one.until(lambda: len(one.texts) == 2, 31.0)
            assert (one.texts, one.gaps, len(one.dials)) == (["missed", "live"], [], 1)

    simulate(main())


def test_a_refused_position_is_told_ever_more_seldom_and_lists_have_all_meanwhile(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with far(Fault.POSITION_REFUSED, assumed=LISTS_ALONE) as one:
            await asyncio.sleep(60.0)
            first = len(one.times(ACK_DIFF))
            assert 4 <= first <= 12
            for number in range(5):
                one.lose(str(number))
                await asyncio.sleep(HOUR)
            assert one.texts == [str(number) for number in range(5)]
            times = one.times(ACK_DIFF)
            assert 90 * 5 < len(times) - first < 160 * 5  # uniform below a minute
            assert len(one.times(CONVERSATIONS)) <= len(times) + 1
            assert len({round(b - a, 1) for a, b in itertools.pairwise(times)}) > 100
            assert told(caplog) <= 1 + 5 * 6 + 1
            assert one.gaps == []
            one.fault()
            await one.until(lambda: one.up, 62.0)

    simulate(main())


def test_the_position_moves_with_the_lists_while_the_server_refuses_it() -> None:
    """Else each comparison would read more than the last."""

    async def main() -> None:
        async with far(Fault.POSITION_REFUSED, assumed=LISTS_ALONE) as one:
            await asyncio.sleep(HOUR)
            one.push("live")
            await asyncio.sleep(HOUR)
            assert one.sync.received is not None
            assert one.server.platform.clock() - one.sync.received // 1000 < 130_000

    simulate(main())


def refusing(lwp: str) -> Callable[[Any, Any], Answer]:
    return lambda context, body: Answer(400, {"reason": f"synthetic refusal of {lwp}"})


@pytest.mark.parametrize("lwp", [GET_STATE, ACK_DIFF])
def test_a_gap_that_is_too_long_is_filled_though_the_server_is_not_moved_on(
    lwp: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with far(assumed=LISTS_ALONE) as one:
            with monkeypatch.context() as patch:
                patch.setitem(ROUTES, lwp, refusing(lwp))
                one.lose("missed")
                announce(one)
                await one.until(lambda: one.texts, 35.0)
                before = len(one.times(lwp))
                await asyncio.sleep(HOUR)
                assert 90 < len(one.times(lwp)) - before < 160
                assert told(caplog) <= 7
                assert not one.up
            await one.until(lambda: one.up, 62.0)
            assert (one.texts, one.gaps) == (["missed"], [])

    simulate(main())


def announce(one: Far) -> None:
    """Let the server say that the gap is too long to replay."""
    [channel] = one.server.service.channels.values()
    channel.announce_gap()


@asynccontextmanager
async def replaying(patch: pytest.MonkeyPatch) -> AsyncIterator[Far]:
    """An account whose next link replays for 30 s, and whose position moves then, not before."""
    async with far(assumed=LISTS_ALONE, replay_wait=30.0) as one:
        with patch.context() as patched:
            patched.setattr(one.sync._patience, "wait", lambda: 10.0)
            announce(one)
            before = one.sync.received
            yield one
            await asyncio.sleep(20.0)
            assert (one.sync.received, one.up, one.texts) == (before, False, [])
            await one.until(lambda: one.up, 40.0)
            assert (one.texts, one.gaps) == (["missed"], [])


def test_a_step_that_was_refused_over_the_last_link_moves_no_position_in_a_replay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A crash would lose what the new link has not brought yet."""

    async def main() -> None:
        monkeypatch.setitem(ROUTES, GET_STATE, refusing(GET_STATE))
        async with replaying(monkeypatch) as one:
            one.lose("missed")
            await one.until(lambda: one.times(HISTORY), 5.0)
            await asyncio.sleep(1.0)
            await one.next_link()

    simulate(main())


def test_a_comparison_that_fails_in_a_replay_is_made_again_when_that_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with replaying(monkeypatch) as one:
            asked, let = asyncio.Event(), asyncio.Event()

            async def fail(*rest: Any, **named: Any) -> Any:
                asked.set()
                await let.wait()
                raise ValueError("words")

            with monkeypatch.context() as patch:
                patch.setattr(one.sync._lists, "compare", fail)
                await one.until(asked.is_set, 5.0)
                one.lose("missed")
                await one.next_link()
                let.set()
                await asyncio.sleep(1.0)

    simulate(main())


def test_what_nobody_foresaw_is_tried_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        tries: list[float] = []

        async def fail(*rest: Any, **named: Any) -> Any:
            tries.append(asyncio.get_running_loop().time())
            raise ValueError("words")

        async with far(assumed=LISTS_ALONE) as one:
            lists = one.sync._lists
            with monkeypatch.context() as patch:
                patch.setattr(lists, "compare", fail)
                one.cut()
                await asyncio.sleep(HOUR)
            assert 90 < len(tries) < 160
            assert told(caplog) <= 7
            await one.until(lambda: one.up, 62.0)

    simulate(main())


def test_flow_control_is_waited_for_and_told_of_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with far(Fault.FLOW_CONTROL) as one:
            await asyncio.sleep(HOUR)
            assert told(caplog) <= 7
            assert one.times(CONVERSATIONS) == []  # lists would be refused as well
            one.push("missed")
            one.fault()
            await one.until(lambda: one.texts, 62.0)

    simulate(main())
