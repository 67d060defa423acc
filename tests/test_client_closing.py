"""Closing a client in every state, on real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from world import ME, World, running
from xyfast import Account, ChatMessage, State, StateError
from xyfast.testing import FakeServer


async def test_closing_lets_handlers_finish_and_their_answers_go_out(server: FakeServer) -> None:
    async with running(server) as world:
        entered = asyncio.Event()

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            entered.set()
            await asyncio.sleep(0.05)
            await message.reply("done")

        await world.connect()
        server.push_text(ME, "在吗")
        await entered.wait()
    assert [sent.text for sent in server.ledger(ME).sent] == ["done"]
    assert world.client.state(ME) is State.CLOSED
    await world.until(lambda: server.links() == 0)


async def test_a_handler_may_close_the_client(server: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with running(server, store=path) as world:

        @world.client.on(ChatMessage)
        async def stop(message: ChatMessage) -> None:
            await world.client.close()

        await world.connect()
        server.push_text(ME, "stop")
        await asyncio.wait_for(world.client.run(), 10.0)
    async with running(server, store=path) as world:
        await world.connect()
        server.push_text(ME, "next")
        await world.until(lambda: world.chats)
    assert world.texts == ["next"]


async def test_closing_while_an_account_is_added_leaves_nothing_behind(
    server: FakeServer, tmp_path: Path
) -> None:
    world = World(server, store=tmp_path / "x.db")
    adding = asyncio.ensure_future(world.client.add(Account.from_cookies(server.cookies(ME))))
    await asyncio.sleep(0)
    await world.client.close()
    with pytest.raises(StateError, match="closed"):
        await adding
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_works_in_every_state_and_twice(server: FakeServer) -> None:
    for wait_for in (None, State.CONNECTING, State.CONNECTED):
        async with running(server) as world:
            if wait_for is not None:
                await world.client.add(Account.from_cookies(server.cookies(ME)))
                await world.until(lambda s=wait_for: world.client.state(ME) is s)
            await world.client.close()
        with pytest.raises(StateError, match="closed"):
            await world.client.add(Account.from_cookies(server.cookies(ME)))
