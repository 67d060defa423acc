"""Links that are lost while they replay what was missed; on a virtual clock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from faraway import CHAT, Far, far
from simulation.loop import simulate
from world import ME
from xyfast import OrderNotice
from xyfast.testing import Redelivery, Replay, ServerSettings, samples
from xyfast.testing.sync import Missed, Seat, SyncChannel

NEVER_AGAIN = ServerSettings(redelivery=Redelivery.NEVER)
LISTS_ALONE = ServerSettings(redelivery=Redelivery.NEVER, replay=Replay.NOTHING)


def push_notices(one: Far, *texts: str) -> None:
    """What no list has."""
    now = one.server.platform.clock()
    for number, text in enumerate(texts):
        one.server.push(ME, [samples.red_reminder(CHAT, text, now + number)])


@pytest.mark.parametrize("brought", [0, 1])
def test_what_no_list_has_comes_though_links_are_lost_while_they_replay_it(
    brought: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists have what came after it: told that, the server would not bring it any more."""

    async def main() -> None:
        async with far(assumed=NEVER_AGAIN, replay_wait=30.0) as one:
            notices: list[str] = []

            @one.client.on(OrderNotice)
            async def take(notice: OrderNotice) -> None:
                notices.append(notice.text)

            with monkeypatch.context() as patch:

                def slow(self: SyncChannel, seat: Seat, missed: Missed) -> None:
                    for entry in missed.entries[:brought]:
                        self._push_to(seat, [entry], more=True)

                patch.setattr(SyncChannel, "replay", slow)
                one.cut()
                push_notices(one, "first", "second")
                await asyncio.sleep(10.0)
                one.push("live")
                for _ in range(2):
                    await one.next_link()
            await one.next_link()
            await one.until(lambda: one.up, 60.0)
            assert (notices, one.texts, one.gaps) == (["first", "second"], ["live"], [])

    simulate(main())


def test_the_position_moves_with_the_lists_when_one_replay_after_the_other_was_cut() -> None:
    """Else no message would be handed on in its order where no link lives for long enough."""

    async def main() -> None:
        async with far(assumed=LISTS_ALONE, replay_wait=30.0, hold_most=600.0) as one:
            sync = one.sync
            await asyncio.sleep(10.0)
            before = sync.received
            await one.next_link()
            for number in range(4):
                assert sync.received == before
                one.lose(str(number))
                await one.next_link(10.0)
            assert before < sync.received
            await one.until(lambda: one.texts, 1.0)
            assert "0" in one.texts
            await one.until(lambda: one.up, 40.0)
            await one.until(lambda: len(one.texts) == 4, 1.0)
            assert (sorted(one.texts), one.texts, one.gaps) == (one.texts, list("0123"), [])

    simulate(main())


def test_a_comparison_that_ends_within_the_next_replay_moves_no_position(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with far(assumed=LISTS_ALONE, replay_wait=30.0, hold_most=600.0) as one:
            sync = one.sync
            compare, compared, let = sync._lists.compare, asyncio.Event(), asyncio.Event()

            async def slow(*rest: Any, **named: Any) -> Any:
                recovery = await compare(*rest, **named)
                compared.set()
                await let.wait()
                return recovery

            monkeypatch.setattr(sync._lists, "compare", slow)
            await asyncio.sleep(10.0)
            before = sync.received
            one.lose("missed")
            await one.next_link()
            await one.until(compared.is_set, 60.0)
            await one.next_link()  # lost while lists are compared
            await one.next_link()  # lost while it replays
            let.set()
            await asyncio.sleep(20.0)
            assert (sync.received, one.up, one.texts) == (before, False, [])
            await one.until(lambda: one.up, 40.0)
            await one.until(lambda: one.texts, 1.0)
            assert (one.texts, one.gaps) == (["missed"], [])
            assert sync.received > before

    simulate(main())
