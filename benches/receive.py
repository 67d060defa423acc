"""A client in a process of its own.

``python receive.py CLIENT URL LINKS HEARTBEAT SIZE TIMED [BLOCK]`` opens so many links and prints
``ready``. Once the server has closed them all it prints what it has seen, as JSON; if `TIMED` is 1,
when the handler got each push too. With a `BLOCK` its event loop is blocked in turns.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from corpora import PAYLOADS
from link_peers import PEERS
from links import Client, Job, Link, xyfast
from messages import respell, wire

CLIENTS: dict[str, Client] = {"xyfast": xyfast, **PEERS}
OPENING = 1.0
"""Seconds in which links are opened one by one, so that they do not beat together."""
BLOCKED, FREE = 0.5, 0.1
"""Seconds of a blocked event loop, in turns."""


def sleep(seconds: float) -> None:
    """Block the event loop as a synchronous request does: others may have the GIL."""
    time.sleep(seconds)


def spin(seconds: float) -> None:
    """Block the event loop with Python code: others get the GIL now and then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def hold(seconds: float) -> None:
    """Block the event loop in one call of C that keeps the GIL."""
    end = time.monotonic() + seconds
    any(map(end.__lt__, iter(time.monotonic, None)))


BLOCKS: dict[str, Callable[[float], None]] = {"sleep": sleep, "spin": spin, "hold": hold}


async def block(way: str) -> None:
    while True:
        BLOCKS[way](BLOCKED)
        await asyncio.sleep(FREE)


def resident() -> int:
    """Return the bytes that this process has in memory."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    return int(pages) * resource.getpagesize()


async def receive(name: str, job: Job, links: int, way: str | None) -> None:
    running: list[asyncio.Future[None]] = []

    async def open_links(link: Link, count: int, pause: float = 0.0) -> None:
        registered = [asyncio.Event() for _ in range(count)]
        for event in registered:
            running.append(asyncio.ensure_future(link(event.set)))
            await asyncio.sleep(pause)
        for event in registered:
            await event.wait()

    async with CLIENTS[name](job) as link:
        await open_links(link, 1)
        one, others = resident(), links - 1  # with the first comes what is loaded late
        await open_links(link, others, OPENING / links)
        memory = (resident() - one) / others if others else None
        print("ready", flush=True)
        blocking = asyncio.create_task(block(way)) if way else None
        await asyncio.gather(*running)
        if blocking:
            blocking.cancel()
    sent = [int(mid.partition(" ")[0], 16) for mid in job.mids]
    told = {
        "handled": job.handled,
        "times": [(ns - since) / 1e9 for ns, since in zip(job.times, sent, strict=True)],
        "wrong": job.wrong,
        "memory": memory,
        "wakeups": job.wakeups,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    name, url, links, heartbeat, size, timed, *way = sys.argv[1:]
    tree = PAYLOADS[size]()
    length = len(b64encode(wire(tree)))
    job = Job(url, float(heartbeat), respell(tree), length, timed == "1")
    asyncio.run(receive(name, job, int(links), way[0] if way else None))
