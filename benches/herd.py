"""Measures thousands of links in one process: ``python herd.py [--links 5000]``.

A fake server in a process of its own is lost and comes back. Prints what a link takes while
nothing happens, and how soon all were back; with ``--record FOLDER`` also writes that there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from report import facts, this_run
from trial import more_descriptors
from xyfast import Account, Client, Settings, State, _core
from xyfast.instrumentation import StateChanged
from xyfast.testing import FakeServer

LINKS = 5000
IDLE = 60.0
"""Seconds for which heartbeats are watched."""
AWAY = 10.0
"""Seconds for which the server refuses dials."""
PATIENCE = 600.0


async def serve(count: int) -> None:
    """Be the server: a line on stdin takes it away, the next one brings it back."""
    accounts = [str(9_100_000_000_001 + number) for number in range(count)]
    loop = asyncio.get_running_loop()
    async with FakeServer(accounts) as server:
        cookies = {account: server.cookies(account) for account in accounts}
        print(json.dumps({"url": server.url, "token_url": server.token_url, "cookies": cookies}))
        sys.stdout.flush()
        while await loop.run_in_executor(None, sys.stdin.readline):
            await server.down()
            print("down", flush=True)
            if not await loop.run_in_executor(None, sys.stdin.readline):
                return
            await server.up()
            print("up", flush=True)


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Herd:
    """All accounts of a server in one client, and when each was connected."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.cookies = told["cookies"]
        # How they come in at first is not what is measured: token calls do not hold it up.
        self.settings = Settings(
            url=told["url"], token_url=told["token_url"], token_rate=200.0, token_burst=20
        )
        self.client = Client(settings=self.settings, hooks=[self._note])
        self.connected: dict[str, float] = {}
        self.failed = 0
        """Dials that did not end in a link."""
        self._complete = asyncio.Event()

    def _note(self, fact: object) -> None:
        if not isinstance(fact, StateChanged):
            return
        if fact.new is State.CONNECTED:
            self.connected[fact.account_id] = time.monotonic()
        else:
            self.connected.pop(fact.account_id, None)
            self.failed += (fact.old, fact.new) == (State.CONNECTING, State.RECONNECTING)
        if len(self.connected) == len(self.cookies):
            self._complete.set()

    async def complete(self) -> None:
        """Wait until all are connected."""
        self._complete.clear()
        if len(self.connected) < len(self.cookies):
            await asyncio.wait_for(self._complete.wait(), PATIENCE)

    async def measure(self, server: subprocess.Popen[str]) -> dict[str, Any]:
        """Return the figures; times in seconds, sizes in bytes."""
        count = len(self.cookies)
        async with self.client:
            before, began = resident(), time.monotonic()
            for cookies in self.cookies.values():
                await self.client.add(Account.from_cookies(cookies))
            await self.complete()
            came_in = time.monotonic() - began
            await asyncio.sleep(self.settings.hold_most)  # all is caught up
            memory = (resident() - before) / count
            spent = time.process_time()
            await asyncio.sleep(IDLE)
            spent = time.process_time() - spent
            failed = self.failed
            await tell(server)
            await asyncio.sleep(AWAY)
            refused = self.failed - failed
            await tell(server)
            returned = time.monotonic()
            await self.complete()
            back = sorted(moment - returned for moment in self.connected.values())
        return {
            "links": count,
            "seconds until all were connected": round(came_in, 2),
            "bytes of memory a link": round(memory),
            "processor time a second, all links idle": round(spent / IDLE, 4),
            "heartbeats a second": round(count / self.settings.heartbeat, 1),
            "seconds of the server's absence": AWAY,
            "refused dials a link": round(refused / count, 4),
            "dials that failed after its return": self.failed - failed - refused,
            "seconds from its return until half were back": round(back[count // 2], 2),
            "until 99 of 100 were": round(back[count * 99 // 100], 2),
            "until all were": round(back[-1], 2),
        }


async def tell(server: subprocess.Popen[str]) -> None:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("\n")
    server.stdin.flush()
    await asyncio.get_running_loop().run_in_executor(None, server.stdout.readline)


async def measured(server: subprocess.Popen[str]) -> dict[str, Any]:
    assert server.stdout is not None
    return await Herd(json.loads(server.stdout.readline())).measure(server)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=LINKS)
    parser.add_argument("--record", type=Path, metavar="FOLDER")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    more_descriptors()
    if given.serve:
        asyncio.run(serve(given.links))
        return
    if _core.build_profile == "debug":
        raise SystemExit("benchmarks need a release build: use `make bench-links`")
    logging.disable()
    about = {**facts(this_run(), ["xyfast", "websockets"]), "load": f"{os.getloadavg()[0]:.1f}"}
    command = [sys.executable, __file__, "--serve", "--links", str(given.links)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        try:
            figures = asyncio.run(measured(server))
        finally:
            server.kill()
    for name, figure in figures.items():
        print(f"{figure:>12} {name}")
    if given.record is not None:
        path = given.record / f"{about['date']}-links.json"
        path.write_text(json.dumps({"about": about, "figures": figures}, indent=1) + "\n", "utf-8")
        print(f"written: {path}")


if __name__ == "__main__":
    main()
