"""A fake server and a client that is pointed at it, for tests of the whole."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from xyfast import Account, ChatMessage, Client, MemoryStore, State
from xyfast.testing import FakeServer, ServerSettings, fast_settings

ME, OTHER = "9000000000001", "9000000000002"
T = TypeVar("T")


def rising() -> Callable[[], int]:
    """A server's clock (milliseconds) that never shows the same time twice."""
    last = 0

    def clock() -> int:
        nonlocal last
        last = max(time.time_ns() // 1_000_000, last + 1)
        return last

    return clock


class World:
    """A fake server, a client, and what its handlers were given."""

    def __init__(self, server: FakeServer, *, own: bool = False, **options: Any) -> None:
        self.server = server
        settings = options.pop("settings", {})
        options.setdefault("store", MemoryStore())
        self.client = Client(settings=fast_settings(server, **settings), **options)
        self.chats: list[ChatMessage] = []
        self.client.on(ChatMessage, own=own)(self._note)

    async def _note(self, message: ChatMessage) -> None:
        self.chats.append(message)

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.chats]

    async def connect(self, *accounts: str) -> None:
        for account in accounts or (ME,):
            await self.client.add(Account.from_cookies(self.server.cookies(account)))
            await self.until(lambda account=account: self.client.state(account) is State.CONNECTED)

    async def until(self, condition: Callable[[], object]) -> None:
        await self.server.wait(condition, timeout=20.0)


@asynccontextmanager
async def running(server: FakeServer, **options: Any) -> AsyncIterator[World]:
    """A client that is closed at the end, whatever happens."""
    world = World(server, **options)
    async with world.client:
        yield world


class ThreadedServer:
    """A fake server on a thread and event loop of its own, which the test cannot block."""

    def __init__(
        self, *accounts: str, assumed: ServerSettings | None = None, **options: Any
    ) -> None:
        self.loop = asyncio.new_event_loop()
        self.server = FakeServer(accounts or [ME], settings=assumed, **options)
        self._work: set[asyncio.Future[object]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.call(self.server.start)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, work: Callable[[], Awaitable[T] | T]) -> T:
        """Run ``work`` on the server's loop and return what it gives."""

        async def run() -> T:
            result = work()
            return await result if isinstance(result, Awaitable) else result

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30.0)

    def later(self, delay: float, work: Callable[[], Awaitable[object] | object]) -> None:
        """Begin ``work`` on the server's loop after so many seconds."""

        def begin() -> None:
            result = work()
            if isinstance(result, Awaitable):
                self._work.add(asyncio.ensure_future(result, loop=self.loop))

        self.loop.call_soon_threadsafe(self.loop.call_later, delay, begin)

    def close(self) -> None:
        self.call(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        for work in self._work:
            work.result()
