"""What a signal leaves to the next process."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from faults.bot import Bot
from world import ME
from xyfast.testing import FakeServer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has other signals")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_after_a_signal_only_what_a_handler_may_have_seen_is_flagged(
    server: FakeServer, tmp_path: Path, number: signal.Signals
) -> None:
    async with Bot(server, tmp_path, grace=0.2) as bot:
        process = await bot.connected("gated")
        pushed = [server.push_text(ME, str(n)) for n in range(5)]
        await bot.until(lambda: bot.keys("started") and not server.ledger(ME).unacked)
        process.send_signal(number)
        killed = number is signal.SIGKILL
        assert await process.wait() == (-number if killed else 0)
        assert (bot.keys("started"), bot.keys()) == (pushed[:1], [])
        bot.gate.touch()
        process = await bot.start("gated")
        await bot.until(lambda: bot.handled(pushed))
        await bot.stop(process)
        again = [(note["key"], note["redelivered"]) for note in bot.notes("handled")]
        # Of a process that was killed nobody knows how far it had come.
        flags = [1, 1, 1, 1, 1] if killed else [1, 0, 0, 0, 0]
        assert again == list(zip(pushed, flags, strict=True))
