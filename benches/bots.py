"""Bots with the same trivial handler: on our client, and on the loop that scripts have today.

Run as a program, ``python bots.py BOT URL COUNT [CORE]``, a bot prints ``ready`` when it may
be pushed to, and when it has handled so many messages what that took, as JSON: ``cpu`` in
seconds of the whole process, to its orderly end, and ``handled``, the `time.monotonic_ns` at
which the handler got each message.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgpack
from websockets.asyncio.client import ClientConnection, connect

import naive
from messages import respell
from pusher import ACCOUNT, FIRST
from xyfast import Account, ChatMessage, Client, Settings, Token
from xyfast.instrumentation import Fact, Recovered
from xyfast.store import MemoryStore, SqliteStore, Store

Decode = Callable[[str], Any]
Told = Callable[[], None]


class Handler:
    """Notes when each message came; ``finished`` is set with the last one."""

    def __init__(self, count: int) -> None:
        self.finished = asyncio.Event()
        self.times: dict[int, int] = {}
        self._count = count

    def __call__(self, message_id: str, sender_id: str, text: str) -> None:
        number = int(message_id.partition(".")[0]) - FIRST
        if sender_id and text:
            self.times[number] = time.monotonic_ns()
        if len(self.times) == self._count:
            self.finished.set()


# --- our client -----------------------------------------------------------------------


class Tokens:
    """Gives every account a token at once."""

    async def token(self, account: Account, keep: Callable[[Account], None], /) -> Token:
        return Token("synthetic", None)


async def client(store: Store, url: str, handler: Handler, ready: Told) -> None:
    """Receive with all that the client does for a message."""

    def watch(fact: Fact) -> None:
        if isinstance(fact, Recovered):
            ready()

    bot = Client(store=store, settings=Settings(url=url), tokens=Tokens(), hooks=[watch])

    @bot.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        handler(message.message_id or "", message.sender_id or "", message.text)

    async with bot:
        await bot.add(Account.from_cookies(f"unb={ACCOUNT}; _m_h5_tk=synthetic_1; cookie2=b"))
        await handler.finished.wait()


async def durable(url: str, handler: Handler, ready: Told) -> None:
    """Keep every message on disk before it is acknowledged."""
    with tempfile.TemporaryDirectory() as folder:
        await client(SqliteStore(Path(folder) / "inbox.db"), url, handler, ready)


async def memory(url: str, handler: Handler, ready: Told) -> None:
    await client(MemoryStore(), url, handler, ready)


# --- the loop of scripts --------------------------------------------------------------


async def script(decode: Decode, url: str, handler: Handler, ready: Told) -> None:
    """Acknowledge at once and give each message to a task: nothing is kept, nor ordered."""
    tasks: set[asyncio.Task[None]] = set()
    seen: set[str] = set()

    async def handle(entry: dict[str, Any]) -> None:
        try:
            message = decode(entry["data"])["1"]
            fields, message_id = message["10"], message["3"]
        except Exception:
            return
        if message_id in seen or time.time() * 1000 - message["5"] > 300_000:
            return
        seen.add(message_id)
        item = parse_qs(urlsplit(fields["reminderUrl"]).query).get("itemId")
        if item and message["2"].partition("@")[0] and fields["senderUserId"] != ACCOUNT:
            handler(message_id, fields["senderUserId"], fields["reminderContent"])

    async def receive(socket: ClientConnection) -> None:
        async for text in socket:
            frame = json.loads(text)
            if "code" in frame:
                continue
            ack: dict[str, Any] = {"code": 200, "headers": {}}
            for name in ("mid", "sid", "app-key", "ua", "dt"):
                if name in frame["headers"]:
                    ack["headers"][name] = frame["headers"][name]
            await socket.send(json.dumps(ack))
            for entry in frame["body"]["syncPushPackage"]["data"]:
                task = asyncio.create_task(handle(entry))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

    async with connect(url, compression=None, max_size=None, ping_interval=None) as socket:
        for lwp in ("/reg", "/r/SyncStatus/ackDiff"):
            await socket.send(json.dumps({"lwp": lwp, "headers": {"mid": lwp}}))
            await socket.recv()
        ready()
        receiving = asyncio.create_task(receive(socket))
        await handler.finished.wait()
        receiving.cancel()


def decode_in_python(payload: str) -> Any:
    return json.loads(naive.decrypt(payload))


def decode_with_msgpack(payload: str) -> Any:
    return respell(msgpack.unpackb(base64.b64decode(payload), strict_map_key=False))


async def pure_python(url: str, handler: Handler, ready: Told) -> None:
    await script(decode_in_python, url, handler, ready)


async def libraries(url: str, handler: Handler, ready: Told) -> None:
    await script(decode_with_msgpack, url, handler, ready)


BOTS: dict[str, Callable[[str, Handler, Told], Awaitable[None]]] = {
    "durable": durable,
    "memory": memory,
    "script, pure Python": pure_python,
    "script, msgpack": libraries,
}


async def main(name: str, url: str, count: int) -> None:
    handler = Handler(count)
    began = 0.0

    def ready() -> None:
        nonlocal began
        print("ready", flush=True)
        began = time.process_time()

    await BOTS[name](url, handler, ready)
    cpu = time.process_time() - began
    print(json.dumps({"cpu": cpu, "handled": handler.times}), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 4:
        os.sched_setaffinity(0, {int(sys.argv[4])})
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
