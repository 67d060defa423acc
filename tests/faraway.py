"""A client and the fake server's own service, far from sockets: on a virtual clock."""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from simulation.network import Network, SimTransport
from simulation.server import EPOCH_MS, SimServer, SimTokens
from world import ME
from xyfast import Account, ChatMessage, Client, Expired, Gap, Settings
from xyfast.gates import Gates
from xyfast.instrumentation import Fact
from xyfast.store import MemoryStore, Store
from xyfast.sync import Sync
from xyfast.testing import Fault, ServerSettings

__all__ = ["ACK_DIFF", "CONVERSATIONS", "GET_STATE", "HISTORY", "Far", "far"]

ACK_DIFF, GET_STATE = "/r/SyncStatus/ackDiff", "/r/SyncStatus/getState"
CONVERSATIONS = "/r/Conversation/listNewestPagination"
HISTORY = "/r/MessageManager/listUserMessages"
CHAT = "70000000011"


class Far:
    """One account, what its handlers were given, and what it has asked for and when."""

    def __init__(self, store: Store | None, assumed: ServerSettings, **settings: Any) -> None:
        loop = asyncio.get_running_loop()
        self.server = SimServer([ME], assumed)
        self.requests: list[tuple[float, str]] = []
        self.dials: list[float] = []
        self.facts: list[Fact] = []
        self.texts: list[str] = []
        self.gaps: list[Gap] = []
        self.began = 0.0
        """When its link was lost."""
        values = Settings(**settings)
        self._network = Network(self.server.service, random.Random(0))
        self.client = Client(
            store=MemoryStore() if store is None else store,
            settings=values,
            tokens=SimTokens(self.server, random.Random(1), lambda: True, {}),
            hooks=[self.facts.append],
            transport=SimTransport(
                self._network, values, lambda: True, self, contextvars.copy_context()
            ),
            gates=Gates(clock=loop.time, dice=random.Random(2).random),
            clock=lambda: EPOCH_MS / 1000 + loop.time(),
            dice=random.Random(3),
        )
        self.client.on(ChatMessage)(self._hear)
        self.client.on(Expired)(self._hear_late)
        self.client.on(Gap)(self._miss)

    async def _hear(self, message: ChatMessage) -> None:
        self.texts.append(message.text)

    async def _hear_late(self, expired: Expired) -> None:
        assert isinstance(expired.message, ChatMessage)
        self.texts.append(expired.message.text)

    async def _miss(self, gap: Gap) -> None:
        self.gaps.append(gap)

    async def add(self) -> None:
        cookies = self.server.platform.accounts[ME].cookies()
        await self.client.add(Account.from_cookies(cookies))

    @property
    def sync(self) -> Sync:
        """What catches the account up."""
        return self.client._drivers[ME].sync

    @property
    def up(self) -> bool:
        """Whether the account is caught up over a link."""
        return self.sync.confirmed is not None

    def fault(self, *faults: Fault) -> None:
        """Let these be the faults of the server from now on."""
        self.server.platform.accounts[ME].faults = {*faults}

    def cut(self) -> None:
        """Break the connection."""
        for wire in self._network.wires:
            wire.reset()

    async def next_link(self, wait: float = 1.0) -> None:
        """Break the connection, and wait until the next one has had our position answered."""
        told = len(self.times(ACK_DIFF))
        self.cut()
        await self.until(lambda: len(self.times(ACK_DIFF)) > told, 20.0)
        await asyncio.sleep(wait)

    def push(self, text: str, conversation: str = CHAT) -> None:
        self.server.push(ME, [self.server.message(ME, text, conversation)])

    def lose(self, text: str, conversation: str = CHAT) -> None:
        """Let the server have a message that no link is given."""
        message = self.server.message(ME, text, conversation)
        self.server.platform.accounts[ME].remember(message)

    def times(self, lwp: str) -> list[float]:
        """When a request was written."""
        return [time for time, what in self.requests if what == lwp]

    async def until(self, condition: Callable[[], object], most: float = 1000.0) -> float:
        """Wait for so many seconds at most; returns how many it is since the link was lost."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + most
        while not condition():
            assert loop.time() < deadline, "it never came to that"
            await asyncio.sleep(0.1)
        return loop.time() - self.began

    # --- what the transport tells -------------------------------------------------------

    def dialled(self, *_: object) -> None:
        self.dials.append(asyncio.get_running_loop().time())

    def asked(self, _: object, text: str) -> None:
        self.requests.append((asyncio.get_running_loop().time(), json.loads(text)["lwp"]))

    def acked(self, *_: object) -> None:
        pass

    def told(self, *_: object) -> None:
        pass

    def took(self) -> None:
        pass


@asynccontextmanager
async def far(
    *faults: Fault,
    store: Store | None = None,
    assumed: ServerSettings | None = None,
    **settings: Any,
) -> AsyncIterator[Far]:
    """An account that was caught up; if the server has faults since, the link was lost then."""
    one = Far(store, ServerSettings() if assumed is None else assumed, **settings)
    async with one.client:
        await one.add()
        await one.until(lambda: one.up)
        one.push("before")
        await one.until(lambda: one.texts)
        one.texts.clear()
        one.requests.clear()
        one.dials.clear()
        if faults:
            one.fault(*faults)
            one.cut()
        one.began = asyncio.get_running_loop().time()
        yield one
