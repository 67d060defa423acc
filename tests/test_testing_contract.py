"""A careful client loses nothing, whichever assumption is true."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import product
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from testing_client import A, PlainClient, get_token, ids, opened
from xyfast.testing import FakeServer, Redelivery, Replay, ServerSettings

MESSAGES = 60


class Careful:
    """Stores, then acks; reports its position; asks history about what may be missing."""

    def __init__(self, server: FakeServer) -> None:
        self.stored: dict[str, None] = {}
        self.links = 0
        self._server = server
        self._position = 1
        self._client: PlainClient | None = None

    async def run(self) -> None:
        while True:
            try:
                async with opened(self._server, close_timeout=0.1) as self._client:
                    await self._live(self._client)
            except ConnectionClosed:
                self.links += 1

    async def _live(self, client: PlainClient) -> None:
        await client.register(await get_token(self._server))
        answer = await client.ack_diff(self._position)
        if "syncPushPackage" in answer["body"]:
            self._store(answer)
        await self._catch_up(client)
        while True:
            push = await client.push()
            if "syncPushPackage" in push.get("body", {}):
                if push["body"].get("syncExtraType", {}).get("type") == 1:
                    await self._catch_up(client)
                self._store(push)
                await client.ack(push)

    def _store(self, frame: dict[str, Any]) -> None:
        names = ids(frame)
        self.stored |= dict.fromkeys(names)
        if names:
            package = frame["body"]["syncPushPackage"]
            self._position = max(self._position, package["maxPts"])

    async def _catch_up(self, client: PlainClient) -> None:
        models = (await client.history(limit=1000)).get("userMessageModels", [])
        self.stored |= dict.fromkeys(model["message"]["messageId"] for model in models)


@pytest.mark.parametrize(
    ("replay", "redelivery", "early"),
    list(product(Replay, Redelivery, [True, False])),
    ids=lambda value: getattr(value, "value", f"early={value}"),
)
@pytest.mark.parametrize("plan", ["reset", "close"])
async def test_nothing_is_lost(
    plan: str, replay: Replay, redelivery: Redelivery, early: bool
) -> None:
    settings = ServerSettings(
        replay=replay,
        redelivery=redelivery,
        redelivery_after=0.2,
        push_before_ack_diff=early,
        kept=10,
    )
    async with FakeServer([A], settings=settings, plan=plan, plan_every=12) as server:
        client = Careful(server)
        task = asyncio.create_task(client.run())
        await server.wait(lambda: server.links(A))
        for number in range(MESSAGES):
            name = server.push_text(A, str(number))
            if number % 7 == 0:
                await server.wait(partial(client.stored.__contains__, name))
        await server.wait(lambda: client.stored.keys() >= set(server.ledger(A).pushed))
        assert client.links >= 1
        task.cancel()
        await asyncio.wait([task])
        assert len(client.stored) == MESSAGES
