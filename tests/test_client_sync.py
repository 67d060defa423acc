"""What came while a link was away, on real sockets: replays, gaps and positions."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from world import ME, rising, running
from xyfast import ChatMessage, Gap, SqliteStore
from xyfast.testing import FakeServer, Replay, ServerSettings


async def test_what_came_while_the_account_was_away_is_delivered(
    server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "x.db"
    async with running(server, store=path) as world:
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats and not server.ledger(ME).unacked)
    for number in range(40):
        server.push_text(ME, str(number))
    async with running(server, store=path) as world:
        await world.connect()
        await world.until(lambda: len(world.chats) == 40)
    assert world.texts == [str(n) for n in range(40)]


@pytest.mark.parametrize("replay", [Replay.PUSHES, Replay.ANSWER])
async def test_what_came_between_two_links_is_delivered_wherever_the_server_puts_it(
    replay: Replay,
) -> None:
    assumed = ServerSettings(replay=replay)
    async with FakeServer([ME], settings=assumed) as server, running(server) as world:
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        server.reset()
        server.push_text(ME, "between")
        await world.until(lambda: len(world.chats) == 2)
    assert world.texts == ["before", "between"]


async def test_a_frame_that_cannot_be_read_is_reported_as_a_gap(server: FakeServer) -> None:
    gaps: list[Gap] = []
    async with running(server) as world:

        @world.client.on(Gap)
        async def note(gap: Gap) -> None:
            gaps.append(gap)

        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        server.write(ME, b"\x81\x01{")  # a text frame
        server.push_text(ME, "after")
        await world.until(lambda: gaps and len(world.chats) == 2)
    [gap] = gaps
    assert (gap.account_id, gap.conversation_id, gap.reason) == (
        ME,
        None,
        "a frame could not be read",
    )
    assert gap.start <= gap.end


async def test_a_gap_that_the_server_cannot_fill_is_reported() -> None:
    gaps: list[Gap] = []
    assumed = ServerSettings(kept=5)
    bound = {"history_pages": 1}
    async with (
        FakeServer([ME], settings=assumed, clock=rising()) as server,
        running(server, settings=bound) as world,
    ):

        @world.client.on(Gap)
        async def note(gap: Gap) -> None:
            gaps.append(gap)

        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        await server.down()
        for number in range(50):
            server.push_text(ME, str(number))
        await server.up()
        await world.until(lambda: gaps)
        for _ in range(2):  # it is told once, not after every reconnect
            registrations = len(server.ledger(ME).registrations)
            server.reset()
            await world.until(lambda n=registrations: len(server.ledger(ME).registrations) > n)
            count = len(world.chats)
            server.push_text(ME, "after")
            await world.until(lambda n=count: len(world.chats) > n)
        [gap] = gaps
        assert (gap.account_id, gap.conversation_id) == (ME, world.chats[0].conversation_id)
        assert gap.start < gap.end == world.chats[1].time
        assert world.texts == ["before", *map(str, range(30, 50)), "after", "after"]


async def test_a_live_push_does_not_overtake_what_the_server_replays(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        for number in range(3):
            server.push_text(ME, f"{number} before")
            await world.until(lambda n=number: len(world.chats) == 3 * n + 1)
            server.reset()
            server.push_text(ME, f"{number} missed")
            registrations = len(server.ledger(ME).registrations)
            await world.until(lambda n=registrations: len(server.ledger(ME).registrations) > n)
            server.push_text(ME, f"{number} live")  # before the client has sent its position
            await world.until(lambda n=number: len(world.chats) == 3 * n + 3)
    said = [f"{number} {what}" for number in range(3) for what in ("before", "missed", "live")]
    assert world.texts == said


async def test_live_pushes_are_handed_on_when_the_server_never_answers_the_position() -> None:
    assumed = ServerSettings(quiet_time=60.0)
    patience = {"hold_most": 0.05}
    async with (
        FakeServer([ME], settings=assumed) as server,
        running(server, settings=patience) as world,
    ):
        await world.connect()
        server.push_text(ME, "live")
        await world.until(lambda: world.chats)


async def test_a_server_that_tells_no_time_is_asked_for_its_position() -> None:
    assumed = ServerSettings(registration_time=False)
    ahead = time.time() + 600.0
    clock = {"clock": lambda: ahead}
    async with FakeServer([ME], settings=assumed) as server, running(server, **clock) as world:
        await world.connect()
        await world.until(lambda: len(server.ledger(ME).received) >= 3)
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        server.reset()
        server.push_text(ME, "between")
        await world.until(lambda: len(world.chats) == 2)
    assert not server.ledger(ME).skipped


async def test_the_position_is_stored_as_messages_come(server: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with running(server, store=path) as world:
        await world.connect()
        store = SqliteStore(path)
        server.push_text(ME, "one")
        await world.until(lambda: world.chats and not server.ledger(ME).unacked)
        links = len(server.ledger(ME).received)
        server.reset()
        await world.until(lambda: len(server.ledger(ME).registrations) == 2)
        await world.until(lambda: len(server.ledger(ME).received) > links + 1)
        server.push_text(ME, "two")
        await world.until(lambda: len(world.chats) == 2 and not server.ledger(ME).unacked)
    await store.open()
    received = (await store.load(ME)).received
    await store.close()
    delivered = len(server.ledger(ME).delivered)
    async with running(server, store=path) as world:
        await world.connect()
        server.push_text(ME, "three")
        await world.until(lambda: world.chats)
    assert world.texts == ["three"]
    assert received is not None
    assert len(server.ledger(ME).delivered) == delivered + 1


async def test_a_handler_that_takes_its_time_opens_no_gap() -> None:
    gaps: list[Gap] = []
    gate = asyncio.Event()
    assumed = ServerSettings(kept=20)
    async with FakeServer([ME], settings=assumed) as server, running(server) as world:

        @world.client.on(Gap)
        async def note(gap: Gap) -> None:
            gaps.append(gap)

        @world.client.on(ChatMessage)
        async def slow(message: ChatMessage) -> None:
            if message.conversation_id == "1":
                await gate.wait()

        await world.connect()
        server.push_text(ME, "slow", conversation="1")
        for number in range(60):
            server.push_text(ME, str(number), conversation="2")
            await world.until(lambda n=number: len(world.chats) > n)
        server.reset()
        server.push_text(ME, "between", conversation="2")
        await world.until(lambda: len(world.chats) == 62)
        gate.set()
    assert gaps == []
    assert world.texts[-1] == "between"
