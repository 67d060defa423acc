"""Lets the bots receive in turns, each in a process of its own: ``python contest.py [FOLDER]``.

Prints what was measured; with a folder, also writes a record there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path

from bots import BOTS
from pusher import Pusher, packages
from report import facts, this_run
from xyfast import _core
from xyfast.testing.link import Link

ROUNDS = 5
RATE = 200.0
SCRIPTS = ["script, pure Python", "script, msgpack"]
PACKAGES = ["xyfast", "websockets", "msgpack"]
INTRODUCTION = """\
Bots with the same trivial handler took turns, each in a process of its own with one core, at a
server in another process on loopback; messages have 1.4 KB and go to 1 000 conversations.
`durable` and `memory` are the client with its SQLite store (a commit reaches the disk before the
ack) and with its store in memory. The scripts are `benches/bots.py`: a loop on websockets that
acknowledges at once and starts a task for each message; they keep nothing and promise nothing.

A figure is the median of the rounds. In brackets stand the ratios of our time to that of the
script in pure Python and of the one with msgpack, the medians of ratios within a round: below
1.00 we take less. CPU is of the whole process, from the first push to its orderly end; a
message's time in a flood is that from the first push to the last handler, shared out.
"""
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

    def packages(self, case: Case) -> list[bytes]:
        """Make what is pushed."""
        return packages(case.count, case.size, self._pusher.start_ms)

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
        if handled.keys() != set(range(case.count)):
            raise RuntimeError(f"{bot} handled {len(handled)} messages of {case.count}")
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
Figure = Callable[[Lap], float]


@contextlib.asynccontextmanager
async def contest() -> AsyncIterator[Contest]:
    """Open the server, on a core of its own if there are two."""
    pusher = Pusher()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})
    listener = await asyncio.get_running_loop().create_server(partial(Link, pusher), "127.0.0.1", 0)
    try:
        yield Contest(pusher, listener.sockets[0].getsockname()[1], cores)
    finally:
        listener.close()
        if cores:
            os.sched_setaffinity(0, cores)


async def measure(case: Case, rounds: int) -> Laps:
    """Return the laps of every bot, the rounds in order."""
    dice = random.Random(0)
    laps: Laps = {bot: [] for bot in BOTS}
    async with contest() as running:
        frames = running.packages(case)
        for _ in range(rounds):
            for bot in dice.sample(list(BOTS), len(BOTS)):
                laps[bot].append(await running.lap(bot, case, frames))
    return laps


def share(values: list[float], part: float) -> float:
    """Return the value that so many of a hundred do not pass."""
    return sorted(values)[min(int(len(values) * part / 100), len(values) - 1)]


def median(laps: list[Lap], figure: Figure) -> float:
    return statistics.median(figure(lap) for lap in laps)


def ratio(laps: Laps, bot: str, to: str, figure: Figure) -> float:
    """Return the median over the rounds of a bot's figure divided by another's."""
    rounds = zip(laps[bot], laps[to], strict=True)
    return statistics.median(figure(ours) / figure(theirs) for ours, theirs in rounds)


def columns(case: Case) -> dict[str, tuple[Figure, Callable[[float], str]]]:
    """Return what is told of a case: the figure, and how it is written."""
    found: dict[str, tuple[Figure, Callable[[float], str]]] = {
        "CPU a message": (attrgetter("cpu"), lambda value: f"{value * 1e6:.0f} us")
    }
    if case.rate is None:
        found["messages a second"] = (attrgetter("wall"), lambda value: f"{1 / value:.0f}")
        return found
    for part in (50, 99):
        found[f"push to ack, p{part}"] = (partial(_ack, part), _milliseconds)
        found[f"push to handler, p{part}"] = (partial(_handler, part), _milliseconds)
    return found


def _ack(part: float, lap: Lap) -> float:
    return share(lap.acks, part)


def _handler(part: float, lap: Lap) -> float:
    return share(lap.handlers, part)


def _milliseconds(value: float) -> str:
    return f"{value * 1e3:.2f} ms"


def table(case: Case, laps: Laps) -> str:
    """Write what a case has shown, the ratios of times to each script in brackets."""
    told = columns(case)
    rows = [["", *told], ["---"] * (len(told) + 1)]
    for bot in BOTS:
        row = [bot]
        for figure, shown in told.values():
            text = shown(median(laps[bot], figure))
            if bot not in SCRIPTS:
                ratios = (f"{ratio(laps, bot, to, figure):.2f}" for to in SCRIPTS)
                text += f" ({', '.join(ratios)})"
            row.append(text)
        rows.append(row)
    return f"## {case.name}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def sync_time(count: int = 50) -> float:
    """Return the median time for a small write to reach the disk that the durable bot uses."""
    times = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(count):
            start = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def about() -> dict[str, str]:
    """Return what the figures depend on."""
    return {
        **facts(this_run(), PACKAGES),
        "write and fsync of 4 KiB": _milliseconds(sync_time()),
        "load at the start": f"{os.getloadavg()[0]:.1f}",
        "rounds": str(ROUNDS),
    }


def record(folder: Path, told: dict[str, str], tables: list[str]) -> None:
    """Write the page of a record."""
    version = ".".join(map(str, sys.version_info[:2]))
    rows = "".join(f"| {name} | {value} |\n" for name, value in told.items())
    head = f"# {told['date']}, the whole client on {told['Python']}\n"
    parts = [head, INTRODUCTION, f"| | |\n| --- | --- |\n{rows}", *tables]
    page = folder / f"{told['date']}-python{version}-client.md"
    page.write_text("\n".join(parts), encoding="utf-8")


def main(folder: str | None = None) -> None:
    if _core.build_profile == "debug":
        raise SystemExit("benchmarks need a release build: use `make bench-client`")
    told, tables = about(), []
    for case in CASES:
        tables.append(table(case, asyncio.run(measure(case, ROUNDS))))
        print(tables[-1], flush=True)
    if folder is not None:
        record(Path(folder), told, tables)


if __name__ == "__main__":
    main(*sys.argv[1:2])
