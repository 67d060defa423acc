"""One fault wherever there can be one: at each call of the store, each chunk on the wire.

Every sweep goes on until a run has no place left for the fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from faults.bot import acquaint
from faults.proxy import Cut, Direction, Proxy
from world import ME
from xyfast import Account, ChatMessage, Client, StoreError
from xyfast.store import SqliteStore
from xyfast.testing import FakeServer, Redelivery, ServerSettings, fast_settings

pytestmark = pytest.mark.timeout(600)

MESSAGES = 18
# Little of it is in memory, so that there is paging; a small batch makes many commits.
SMALL = {"backlog": 6, "backlog_lane": 2, "commit_batch": 4, "store_retry": 0.01}


class Failing:
    """A store of which one call fails and does nothing."""

    def __init__(self, store: SqliteStore, at: int) -> None:
        self._store = store
        self._at = at
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self._at:
                raise StoreError("as planned")
            return await method(*arguments, **options)

        return call


class Run:
    """A client that is sent messages, loses its link in the middle, and answers some."""

    def __init__(self, server: FakeServer, store: Any, **settings: Any) -> None:
        self.server = server
        self.pushed: list[str] = []
        self.handled: list[ChatMessage] = []
        self.client = Client(store=store, settings=fast_settings(server, **SMALL, **settings))
        self.client.on(ChatMessage)(self._handle)

    async def _handle(self, message: ChatMessage) -> None:
        self.handled.append(message)

    def push(self, numbers: range) -> None:
        for number in numbers:
            conversation = str(70000000011 + number % 3)
            self.pushed.append(self.server.push_text(ME, str(number), conversation=conversation))

    async def whole(self) -> None:
        """Go through it all, from the first message of a known account to a clean end."""
        await self._add()
        await self.server.wait(lambda: self.server.ledger(ME).registrations, 20.0)
        self.push(range(MESSAGES // 2))
        await self.server.wait(lambda: len(self.handled) >= MESSAGES // 4, 20.0)
        self.server.reset(ME)
        self.push(range(MESSAGES // 2, MESSAGES))
        await self.server.wait(self._over, 20.0)
        with contextlib.suppress(StoreError):  # what closes it fails as planned
            await self.client.close()

    async def _add(self) -> None:
        account = Account.from_cookies(self.server.cookies(ME))
        with contextlib.suppress(StoreError):  # as planned; users would try again too
            await self.client.add(account)
            return
        await self.client.add(account)

    def _over(self) -> bool:
        handled = {message.key for message in self.handled}
        return handled >= set(self.pushed) and not self.server.ledger(ME).unacked

    def check(self) -> None:
        """Nothing lost, nothing doubled, in order."""
        assert sorted(message.key for message in self.handled) == sorted(self.pushed)
        last: dict[str | None, int] = {}
        for message in self.handled:
            number = int(message.text)
            assert last.get(message.conversation_id, -1) < number
            last[message.conversation_id] = number


async def check_store(path: Path, *, recorded: bool = True) -> None:
    """All of it is recorded, or else what is not says so."""
    store = SqliteStore(path)
    await store.open()
    try:
        kept = await store.load(ME)
        page = await store.take(ME, 100)
        assert kept.received is not None
        if recorded:
            assert page == ([], None)
        else:
            assert all(row.redelivered for row in page.rows)
    finally:
        await store.close()


async def test_whichever_call_of_the_store_fails(tmp_path: Path) -> None:
    for k in itertools.count(1):
        path = tmp_path / f"{k}.db"
        inner = SqliteStore(path)
        store = Failing(inner, k)
        async with FakeServer([ME]) as server:
            await acquaint(server, path)
            run = Run(server, store)
            await run.whole()
            await inner.close()
            run.check()
        # A record that fails while the client stops is not tried again.
        await check_store(path, recorded=store.calls < k)
        if store.calls < k:
            break
    assert k > 15


@pytest.mark.parametrize(
    ("direction", "delivered", "redelivery"),
    [
        ("up", False, Redelivery.NEVER),
        ("up", True, Redelivery.RECONNECT),
        ("down", False, Redelivery.RECONNECT),
        ("down", True, Redelivery.NEVER),
    ],
)
async def test_whichever_chunk_on_the_wire_is_the_last_of_its_connection(
    direction: Direction, delivered: bool, redelivery: Redelivery, tmp_path: Path
) -> None:
    settings = ServerSettings(redelivery=redelivery)
    for k in itertools.count(1):
        path = tmp_path / f"{k}.db"
        cut = Cut(direction, k, delivered)
        async with FakeServer([ME], settings=settings) as server, contextlib.AsyncExitStack() as at:
            ways = [await at.enter_async_context(Proxy(url, cut)) for url in addresses(server)]
            await acquaint(server, path)
            run = Run(server, path, url=ways[0].url, token_url=ways[1].url)
            await run.whole()
            run.check()
        await check_store(path)
        if cut.seen < k:
            break
    assert k > 10


def addresses(server: FakeServer) -> list[str]:
    return [server.url, server.token_url]


async def test_the_proxy_cuts_where_it_is_told() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    listener = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with Proxy(f"tcp://127.0.0.1:{port}", Cut("up", 2, False)) as proxy:
        way = int(proxy.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", way)
        writer.write(b"one")
        assert await reader.read(100) == b"one"
        writer.write(b"two")
        with pytest.raises(ConnectionResetError):
            await reader.read(100)
        writer.close()
    listener.close()
