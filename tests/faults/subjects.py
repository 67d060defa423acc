"""Bots that are put through the same faults: ours, and two loops as users write them today.

All take each message once, acknowledge at once, beat every 15 s and fetch a token for a new link.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import xyfast
from xyfast import Account, ChatMessage, Client, PlatformTokens, Settings
from xyfast.account import make_device_id
from xyfast.events import State
from xyfast.instrumentation import Fact, FoundDeaf, StateChanged
from xyfast.secret import reveal

__all__ = ["SUBJECTS", "Target"]

Note = Callable[[str], None]
"""Is told the text of each message that is handled."""

_NOW = 1_000_000


@dataclass
class Target:
    """Where a bot connects, with what, and what becomes known of it."""

    account: Account
    settings: Settings
    ping: tuple[float, float] = (20.0, 20.0)
    """Seconds between two WebSocket pings and for an answer; the defaults of websockets."""
    slept: float = 0.0
    """Seconds for which the machine has slept."""
    noticed: float | None = None
    """When our client first noticed that something is wrong (monotonic)."""

    def clock(self) -> float:
        return time.time() + self.slept


async def ours(target: Target, note: Note) -> None:
    """Our client; its store is in memory, since no process ends."""

    def watch(fact: Fact) -> None:
        left = isinstance(fact, StateChanged) and fact.new is State.RECONNECTING
        if target.noticed is None and (left or isinstance(fact, FoundDeaf)):
            target.noticed = time.monotonic()

    bot = Client(settings=target.settings, hooks=[watch], clock=target.clock)

    @bot.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        note(message.text)

    async with bot:
        await bot.add(target.account)
        await asyncio.Event().wait()


async def websockets(target: Target, note: Note) -> None:
    """The reconnecting iterator of websockets, which pings by itself."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    script = Script(target, note)
    interval, timeout = target.ping
    async for socket in connect(
        target.settings.url, ping_interval=interval, ping_timeout=timeout, compression=None
    ):
        try:
            async with script.beating(socket.send):
                await script.register(socket.send)
                async for text in socket:
                    await script.take(str(text), socket.send)
        except ConnectionClosed:
            continue
        except Exception:  # no token, say
            await asyncio.sleep(5.0)


async def aiohttp(target: Target, note: Note) -> None:
    """The loop of many scripts, with aiohttp's own heartbeat switched on."""
    from aiohttp import ClientSession, WSMsgType

    script = Script(target, note)
    while True:
        with contextlib.suppress(Exception):
            async with (
                ClientSession() as session,
                session.ws_connect(target.settings.url, heartbeat=sum(target.ping)) as socket,
                script.beating(socket.send_str),
            ):
                await script.register(socket.send_str)
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        await script.take(message.data, socket.send_str)
        await asyncio.sleep(5.0)


SUBJECTS: dict[str, Callable[[Target, Note], Awaitable[None]]] = {
    "xyfast": ours,
    "websockets": websockets,
    "aiohttp": aiohttp,
}


class Script:
    """What both loops do with a socket."""

    def __init__(self, target: Target, note: Note) -> None:
        device_id = make_device_id(target.account.id, random.Random(0))
        self._account = replace(target.account, device_id=device_id)
        self._tokens = PlatformTokens(target.settings)
        self._beat = target.settings.heartbeat
        self._note = note
        self._seen: set[str] = set()
        self._mids = itertools.count(1)

    async def register(self, send: Callable[[str], Awaitable[Any]]) -> None:
        token = await self._tokens.token(self._account, self._keep)
        headers = {
            "app-key": "444e9908a51d1cb236a27862abc769c9",
            "token": token.value.reveal(),
            "did": reveal(self._account.device_id),
            "ua": "synthetic",
        }
        await send(self._request("/reg", headers))
        state = {
            "pipeline": "sync",
            "channel": "sync",
            "topic": "sync",
            "pts": int(time.time() * _NOW),
        }
        await send(self._request("/r/SyncStatus/ackDiff", {}, [state]))

    @contextlib.asynccontextmanager
    async def beating(self, send: Callable[[str], Awaitable[Any]]) -> Any:
        async def beat() -> None:
            while True:
                await asyncio.sleep(self._beat)
                await send(self._request("/!", {}))

        task = asyncio.create_task(beat())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    async def take(self, text: str, send: Callable[[str], Awaitable[Any]]) -> None:
        frame = json.loads(text)
        if "code" in frame:
            return
        echo = ("mid", "sid", "app-key", "ua", "dt")
        headers = {name: frame["headers"][name] for name in echo if name in frame["headers"]}
        await send(json.dumps({"code": 200, "headers": headers}))
        package = (frame.get("body") or {}).get("syncPushPackage") or {}
        for entry in package.get("data", ()):
            message = xyfast.decode(entry["data"])["1"]
            if message["3"] not in self._seen:
                self._seen.add(message["3"])
                self._note(message["10"]["reminderContent"])

    def _keep(self, account: Account) -> None:
        self._account = account

    def _request(self, lwp: str, headers: dict[str, Any], body: Any = None) -> str:
        frame = {"lwp": lwp, "headers": {"mid": f"{next(self._mids)} 0", **headers}}
        if body is not None:
            frame["body"] = body
        return json.dumps(frame)
