"""The bot that is killed, stopped and starved: ``python process.py OPTIONS``, which is JSON.

It writes a line for every handler that starts or ends, and its log to standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from xyfast import Account, ChatMessage, Client, Settings, XyfastError
from xyfast.store import Retention, SqliteStore


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal(SqliteStore):
    """Takes the process with it right after so many commits."""

    commits = 0

    async def commit(self, *parts: Any, **positions: Any) -> Collection[tuple[str, str]]:
        new = await super().commit(*parts, **positions)
        self.commits -= 1
        if self.commits == 0:
            die()
        return new


class Bot:
    """One account's client, whose handlers do what an option says."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._file = open(options["log"], "a", buffering=1)  # noqa: SIM115
        self._left = options.get("handled", 0)
        self._note("born", pid=os.getpid())
        store = Mortal(options["store"], Retention(max_bytes=1 << 33))
        store.commits = options.get("commits", 0)
        self.client = Client(store=store, settings=Settings(**options["settings"]))
        self._work: Callable[[ChatMessage], Awaitable[None]] = getattr(self, options["handler"])
        self.client.on(ChatMessage)(self._handle)

    def _note(self, what: str, **facts: Any) -> None:
        print(json.dumps({"what": what} | facts), file=self._file)

    async def _handle(self, message: ChatMessage) -> None:
        facts = {
            "key": message.key,
            "conversation": message.conversation_id,
            "number": int(message.text.split()[0]),
            "redelivered": message.redelivered,
        }
        self._note("started", **facts)
        await self._work(message)
        self._note("handled", **facts)
        self._left -= 1
        if self._left == 0:
            die()

    async def brief(self, message: ChatMessage) -> None:
        await asyncio.sleep(0.002)

    async def gated(self, message: ChatMessage) -> None:
        """Wait until somebody makes a file."""
        while not os.path.exists(self._options["gate"]):  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.02)

    async def stubborn(self, message: ChatMessage) -> None:
        """Go on for ever, and once more when cancelled."""
        if not message.redelivered:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.Event().wait()

    async def forking(self, message: ChatMessage) -> None:
        """Have a forked child use everything that is its parent's."""
        context = multiprocessing.get_context("fork")
        child = context.Process(target=self._in_child)
        child.start()
        while child.is_alive():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        self._note("child", code=child.exitcode)

    def _in_child(self) -> None:
        asyncio.events._set_running_loop(None)
        client: Any = self.client
        for name, use in {
            "links": client._transport._links.drain,
            "store": lambda: asyncio.run(client._store.known("1", ["1"])),
        }.items():
            try:
                use()
            except XyfastError:
                self._note("refused", of=name)
        asyncio.run(client._store.close())

    async def main(self) -> None:
        await self.client.add(Account.from_cookies(self._options["cookies"]))
        self._note("ready", resident=resident())
        await self.client.run()


def resident() -> int:
    """The most memory that the process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(Bot(json.loads(sys.argv[1])).main())
