"""Links that are lost while they replay what was missed; on a virtual clock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from faraway import ACK_DIFF, far
from simulation.loop import simulate
from xyfast.testing import Replay, ServerSettings


@pytest.mark.parametrize("late", [False, True])
def test_a_replay_whose_end_was_not_seen_moves_no_position(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash would lose what it has not brought; the comparison before it ends late or not."""

    async def main() -> None:
        assumed = ServerSettings(replay=Replay.NOTHING)
        async with far(assumed=assumed, replay_wait=30.0, hold_most=600.0) as one:
            sync = one.client._drivers["9000000000001"].sync
            compare, compared, let = sync._lists.compare, asyncio.Event(), asyncio.Event()

            async def slow(*rest: Any, **named: Any) -> Any:
                recovery = await compare(*rest, **named)
                compared.set()
                await let.wait()
                return recovery

            async def next_link() -> None:
                told = len(one.times(ACK_DIFF))
                one.cut()
                await one.until(lambda: len(one.times(ACK_DIFF)) > told, 20.0)
                await asyncio.sleep(1.0)  # it is answered

            monkeypatch.setattr(sync._lists, "compare", slow)
            await asyncio.sleep(10.0)
            before = sync.received
            one.lose("missed")
            await next_link()
            await one.until(compared.is_set, 60.0)
            await next_link()  # lost while lists are compared
            if not late:
                let.set()
                await asyncio.sleep(1.0)
            await next_link()  # lost while it replays
            let.set()
            await asyncio.sleep(20.0)
            assert (sync.received, one.up, one.texts) == (before, False, [])
            await one.until(lambda: one.up, 40.0)
            await one.until(lambda: one.texts, 1.0)
            assert (one.texts, one.gaps) == (["missed"], [])
            assert sync.received > before

    simulate(main())
