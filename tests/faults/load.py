"""Two long runs, counted: ``python -m faults.load order`` or ``flood``, with ``--help``.

``order``: handlers of random length, many conversations; every start is checked. ``flood``:
large pushes at handlers that are stuck; link, heartbeats and memory are watched, then the
handlers are let go and everything is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faults.bot import Bot
from faults.record import write
from world import ME, running
from xyfast import ChatMessage, Gap
from xyfast.testing import FakeServer, ServerSettings

__all__ = ["Flooded", "Ordered", "flood", "order"]

PACKAGE = 32
AHEAD = 2048
"""Messages that the server is ahead of the acks: it would keep all the rest in memory."""

KEPT = ServerSettings(kept=2 * AHEAD)
PATIENT = {"heartbeat": 1.0, "heartbeat_timeout": 30.0}
"""The server shares its thread with the script, and answers late."""


async def pour(server: FakeServer, count: int, conversations: int, words: str = "") -> list[str]:
    """Push so many numbered messages, no faster than they are acknowledged."""
    pushed: list[str] = []
    acked = server.ledger(ME).acked
    while len(pushed) < count:
        numbers = range(len(pushed), min(len(pushed) + PACKAGE, count))
        pushed += server.push(
            ME,
            [
                server.message(
                    ME, f"{n} {words}", conversation=str(70000000000 + n % conversations)
                )
                for n in numbers
            ],
        )
        least = len(pushed) - AHEAD
        await server.wait(lambda least=least: len(acked) >= least, 300.0)
    return pushed


@dataclass
class Ordered:
    """What was counted of ``order``."""

    messages: int
    conversations: int
    most_at_once: int
    inversions: int
    overlaps: int
    lost: int
    doubled: int
    gaps: int
    seconds: float


async def order(count: int, conversations: int, folder: Path, **settings: Any) -> Ordered:
    """Handlers that take 0 to 20 ms, on real sockets and files."""
    dice = random.Random(0)
    last: dict[str | None, int] = {}
    busy: set[str | None] = set()
    seen: Counter[str] = Counter()
    inversions = overlaps = most = gaps = 0
    begun = time.monotonic()
    async with (
        FakeServer([ME], settings=KEPT) as server,
        running(server, store=folder / "x.db", settings=PATIENT | settings) as world,
    ):

        @world.client.on(ChatMessage)
        async def handle(message: ChatMessage) -> None:
            nonlocal inversions, overlaps, most
            lane, number = message.conversation_id, int(message.text.split()[0])
            inversions += last.get(lane, -1) >= number
            overlaps += lane in busy
            last[lane] = number
            busy.add(lane)
            most = max(most, len(busy))
            await asyncio.sleep(dice.random() * 0.02)
            busy.discard(lane)
            seen[message.key] += 1

        @world.client.on(Gap)
        async def miss(gap: Gap) -> None:
            nonlocal gaps
            gaps += 1

        await world.connect()
        pushed = await pour(server, count, conversations)
        await server.wait(lambda: len(seen) == len(pushed), 600.0)
    return Ordered(
        messages=count,
        conversations=conversations,
        most_at_once=most,
        inversions=inversions,
        overlaps=overlaps,
        lost=len(set(pushed) - seen.keys()),
        doubled=sum(times - 1 for times in seen.values()),
        gaps=gaps,
        seconds=round(time.monotonic() - begun, 1),
    )


@dataclass
class Flooded:
    """What was counted of ``flood``; sizes are bytes, times seconds."""

    messages: int
    size: int
    links: int
    grown: int
    """Most memory that the process had more than before."""
    heartbeat: float
    longest_beat: float
    """The longest time between two heartbeats, as the busy server saw it."""
    lost: int
    doubled: int
    seconds: float


async def flood(count: int, size: int, folder: Path, **settings: Any) -> Flooded:
    """Fill the inbox of a bot in a process of its own, whose handlers wait; then let them go."""
    begun = time.monotonic()
    settings = PATIENT | {"handler_timeout": 3600.0} | settings
    async with FakeServer([ME], settings=KEPT) as server, Bot(server, folder, **settings) as bot:
        process = await bot.connected("gated")
        await bot.until(lambda: bot.notes("ready"))
        before = memory(process.pid)
        beats = asyncio.ensure_future(longest_beat(server))
        words = "x" * ((size - 900) * 3 // 16)  # a payload says a text four times, in base64
        pushed = await pour(server, count, 100, words)
        await bot.until(lambda: not server.ledger(ME).unacked)
        stuck = not bot.keys()
        grown = memory(process.pid) - before
        beats.cancel()
        longest = await beats
        links = len(server.ledger(ME).registrations)
        assert stuck
        bot.gate.touch()
        await server.wait(lambda: len(bot.notes("handled")) >= len(pushed), 1800.0)
        await bot.stop(process)
        seen = Counter(bot.keys())
    return Flooded(
        messages=count,
        size=size,
        links=links,
        grown=grown,
        heartbeat=PATIENT["heartbeat"],
        longest_beat=round(longest, 2),
        lost=len(set(pushed) - seen.keys()),
        doubled=sum(times - 1 for times in seen.values()),
        seconds=round(time.monotonic() - begun, 1),
    )


def memory(pid: int) -> int:
    """The most memory that a process ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise ValueError("no VmHWM")


async def longest_beat(server: FakeServer) -> float:
    """Watch heartbeats until cancelled."""
    ledger, longest = server.ledger(ME), 0.0
    try:
        seen, since = ledger.heartbeats, time.monotonic()
        while True:
            await server.wait(lambda seen=seen: ledger.heartbeats > seen, 300.0)
            now = time.monotonic()
            longest = max(longest, now - since)
            seen, since = ledger.heartbeats, now
    except asyncio.CancelledError:
        return max(longest, time.monotonic() - since)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Count what becomes of very many messages.")
    parser.add_argument("what", choices=["order", "flood"])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--record", type=Path, help="folder for a file with the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.what == "order":
            ordered = asyncio.run(order(options.messages, 1000, Path(name)))
            figures = asdict(ordered)
            bad = (
                ordered.inversions,
                ordered.overlaps,
                ordered.lost,
                ordered.doubled,
                ordered.gaps,
            )
            good = not any(bad)
        else:
            flooded = asyncio.run(flood(options.messages, 10_000, Path(name)))
            figures = asdict(flooded)
            good = not (flooded.lost or flooded.doubled) and flooded.links == 1
            good = good and flooded.grown <= 64 << 20
    print(figures)
    write(options.record, options.what, figures)
    sys.exit(not good)
