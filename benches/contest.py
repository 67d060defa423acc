"""Lets the bots receive in turns, each in a process of its own: ``python contest.py [FOLDER]``.

Prints what was measured; with a folder, also writes a record there.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bots import BOTS
from pusher import Pusher, packages
from xyfast.testing.link import Link

ROUNDS = 7
RATE = 200.0
PROGRAM = str(Path(__file__).with_name("bots.py"))


@dataclass(frozen=True)
class Case:
    """So many messages, ``size`` in a package; ``rate`` packages a second, or all at once."""

    name: str
    count: int
    size: int = 1
    rate: float | None = None


CASES = [
    Case("flood, one message a package", 10_000),
    Case("flood, ten messages a package", 10_000, 10),
    Case("200 messages a second", 600, rate=RATE),
]


@dataclass(frozen=True)
class Lap:
    """What one bot did with one case; seconds."""

    cpu: float
    """Processor time of a message."""
    wall: float
    """From the first push to the last handler, for a message."""
    acks: list[float]
    """From the push of each package to its ack."""
    handlers: list[float]
    """From the push of each package to the handler of its last message."""


class Contest:
    """A server, and one bot after another that connects to it."""

    def __init__(self, pusher: Pusher, port: int, cores: list[int]) -> None:
        self._pusher = pusher
        self._url = f"ws://127.0.0.1:{port}/"
        self._core = [str(cores[-1])] if cores else []

    async def lap(self, bot: str, case: Case, frames: list[bytes]) -> Lap:
        """Run a bot in a process of its own."""
        pusher = self._pusher
        pusher.begin()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            PROGRAM,
            bot,
            self._url,
            str(case.count),
            *self._core,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        assert process.stdout is not None
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{bot} did not become ready")
        if case.rate is None:
            await pusher.flood(frames)
        else:
            await pusher.drip(frames, case.rate)
        told = json.loads(await process.stdout.readline())
        await process.wait()
        await pusher.gone.wait()
        handled = {int(number): ns for number, ns in told["handled"].items()}
        pushed, acked, last = pusher.pushed, pusher.acked, case.count - 1
        return Lap(
            cpu=told["cpu"] / case.count,
            wall=(max(handled.values()) - pushed[0]) / case.count / 1e9,
            acks=[(acked[number] - ns) / 1e9 for number, ns in pushed.items()],
            handlers=[
                (handled[min((number + 1) * case.size - 1, last)] - ns) / 1e9
                for number, ns in pushed.items()
            ],
        )


Laps = dict[str, list[Lap]]


async def measure(cases: list[Case], rounds: int) -> dict[str, Laps]:
    """Return the laps of every bot in every case, the rounds in order."""
    pusher = Pusher()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if cores:
        os.sched_setaffinity(0, {cores[0]})
    loop, dice = asyncio.get_running_loop(), random.Random(0)
    listener = await loop.create_server(partial(Link, pusher), "127.0.0.1", 0)
    contest = Contest(pusher, listener.sockets[0].getsockname()[1], cores)
    found: dict[str, Laps] = {}
    for case in cases:
        frames = packages(case.count, case.size, pusher.start_ms)
        laps: Laps = {bot: [] for bot in BOTS}
        for _ in range(rounds):
            for bot in dice.sample(list(BOTS), len(BOTS)):
                laps[bot].append(await contest.lap(bot, case, frames))
        found[case.name] = laps
    listener.close()
    return found
