"""No silent gap: whatever the server does about what was missed, it is handled or told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from world import ME, World, rising, running
from xyfast import Gap, MemoryStore
from xyfast.testing import FakeServer, Redelivery, Replay, ServerSettings

NOTHING = ServerSettings(replay=Replay.NOTHING, redelivery=Redelivery.NEVER)


def sequence(world: World) -> dict[str | None, list[str | None]]:
    """Message ids as the handlers saw them, by conversation."""
    seen: dict[str | None, list[str | None]] = {}
    for chat in world.chats:
        seen.setdefault(chat.conversation_id, []).append(chat.message_id)
    return seen


async def away(server: FakeServer, push: Callable[[], None]) -> None:
    """Cut the link, let ``push`` happen while no link is there, and push more at once after."""
    registrations = len(server.ledger(ME).registrations)
    await server.down()
    push()
    await server.up()
    await server.wait(lambda: len(server.ledger(ME).registrations) > registrations, 20.0)


async def missed(assumed: ServerSettings) -> None:
    """Miss messages between two links and between two runs; check that all are handled once."""
    store = MemoryStore()
    sent: dict[str | None, list[str | None]] = {}

    def push(count: int, conversation: str, **options: Any) -> None:
        for number in range(count):
            name = server.push_text(ME, str(number), conversation=conversation, **options)
            sent.setdefault(conversation, []).append(name)

    def burst() -> None:
        push(22, "1")
        push(3, "2")
        push(1, "2", sender=ME)
        push(2, "new")

    seen: dict[str | None, list[str | None]] = {}
    gaps: list[Gap] = []
    async with FakeServer([ME], settings=assumed, clock=rising()) as server:
        for run in range(2):
            async with running(server, store=store, own=True) as world:

                @world.client.on(Gap)
                async def note(gap: Gap) -> None:
                    gaps.append(gap)

                await world.connect()
                push(2, "1")
                push(2, "3")
                wanted = sum(map(len, sent.values()))
                await world.until(lambda w=world, n=wanted: count(seen, w) >= n)
                await away(server, burst)
                push(2, "1")
                wanted = sum(map(len, sent.values()))
                await world.until(lambda w=world, n=wanted: count(seen, w) >= n)
            for name, ids in sequence(world).items():
                seen.setdefault(name, []).extend(ids)
            if not run:
                burst()
    assert seen == sent
    assert gaps == []


def count(before: dict[str | None, list[str | None]], world: World) -> int:
    return sum(map(len, before.values())) + len(world.chats)


@pytest.mark.parametrize("kept", [500, 5], ids=["kept", "too long"])
@pytest.mark.parametrize("replay", Replay)
async def test_what_was_missed_is_handled_once_and_in_order(replay: Replay, kept: int) -> None:
    assumptions = [
        ServerSettings(
            replay=replay,
            kept=kept,
            redelivery=redelivery,
            redelivery_after=0.5,
            quiet_time=quiet,
            push_before_ack_diff=early,
        )
        for redelivery, (quiet, early) in product(Redelivery, [(0.0, True), (0.2, False)])
    ]
    await asyncio.gather(*map(missed, assumptions))
