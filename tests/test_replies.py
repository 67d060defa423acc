"""Replies of a handler that runs again for the same message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from world import ME, World, running
from xyfast import ChatMessage, Expired, NotSent
from xyfast.messages import Sent
from xyfast.testing import FakeServer, Fault


@pytest.fixture
async def world(server: FakeServer) -> AsyncIterator[World]:
    async with running(server) as world:
        yield world


def texts(server: FakeServer) -> list[str]:
    return [sent.text for sent in server.ledger(ME).sent]


async def test_a_reply_that_was_sent_is_not_sent_again_when_its_handler_is_tried_again(
    server: FakeServer, world: World
) -> None:
    told: list[list[Sent]] = []

    @world.client.on(ChatMessage)
    async def answer(message: ChatMessage) -> None:
        told.append([await message.reply("one"), await message.reply("two")])
        told[-1].append(await message.reply("two"))
        if message.redelivered < 2:
            raise ConnectionError

    await world.connect()
    server.push_text(ME, "在吗")
    await world.until(lambda: len(told) == 3)
    assert texts(server) == ["one", "two", "two"]
    assert told[0] == told[1] == told[2]
    assert len({sent.uuid for sent in told[0]}) == 3


async def test_other_words_other_handlers_and_other_messages_have_replies_of_their_own(
    server: FakeServer, world: World
) -> None:
    tries: list[int] = []

    @world.client.on(ChatMessage)
    async def first(message: ChatMessage) -> None:
        await message.reply(f"try {message.redelivered}")
        await message.reply("收到")
        tries.append(message.redelivered)
        if not message.redelivered:
            raise ConnectionError

    @world.client.on(ChatMessage)
    async def second(message: ChatMessage) -> None:
        await message.reply("收到")

    await world.connect()
    server.push_text(ME, "在吗")
    server.push_text(ME, "还在吗")
    await world.until(lambda: len(tries) == 4)
    assert texts(server) == 2 * ["try 0", "收到", "收到", "try 1"]


async def test_a_reply_that_failed_goes_out_with_the_next_try(
    server: FakeServer, world: World
) -> None:
    failed: list[int] = []

    @world.client.on(ChatMessage)
    async def answer(message: ChatMessage) -> None:
        if message.redelivered:
            server.heal(ME)
        try:
            await message.reply("收到")
        except NotSent:
            failed.append(message.redelivered)
            raise

    await world.connect()
    server.fault(ME, Fault.SEND_LOST)
    server.push_text(ME, "在吗")
    await world.until(lambda: texts(server))
    assert (failed, texts(server)) == ([0], ["收到"])


async def test_a_reply_that_went_out_at_the_second_attempt_is_known_at_the_next_try(
    server: FakeServer, world: World
) -> None:
    tries: list[int] = []

    @world.client.on(ChatMessage)
    async def answer(message: ChatMessage) -> None:
        try:
            await message.reply("收到")
        except NotSent:
            server.heal(ME)
            await message.reply("收到")
        tries.append(message.redelivered)
        if not message.redelivered:
            raise ConnectionError

    await world.connect()
    server.fault(ME, Fault.SEND_LOST)
    server.push_text(ME, "在吗")
    await world.until(lambda: len(tries) == 2)
    assert texts(server) == ["收到"]


async def test_plain_and_durable_replies_are_counted_apart(
    server: FakeServer, tmp_path: Path
) -> None:
    async with running(server, store=tmp_path / "x.db") as world:
        tries: list[int] = []

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            if not message.redelivered:
                await message.reply("plain")
            await message.reply(f"durable of try {message.redelivered}", durable=True)
            tries.append(message.redelivered)
            if not message.redelivered:
                raise ConnectionError

        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: len(tries) == 2)
        assert texts(server) == ["plain", "durable of try 0"]


async def test_after_a_restart_a_plain_reply_goes_out_again(
    server: FakeServer, tmp_path: Path
) -> None:
    for _ in range(2):
        async with running(
            server, store=tmp_path / "x.db", settings={"retry_wait": 1000.0}
        ) as world:
            tries: list[int] = []

            @world.client.on(ChatMessage)
            async def answer(message: ChatMessage, tries: list[int] = tries) -> None:
                await message.reply("收到")
                tries.append(message.redelivered)
                raise ConnectionError

            await world.connect()
            if not texts(server):
                server.push_text(ME, "在吗")
            await world.until(lambda tries=tries: tries)
    assert texts(server) == ["收到", "收到"]


async def test_a_late_message_is_answered_once_too(server: FakeServer, world: World) -> None:
    tries: list[int] = []

    @world.client.on(Expired)
    async def answer(expired: Expired) -> None:
        assert isinstance(expired.message, ChatMessage)
        await expired.message.reply("抱歉")
        tries.append(expired.message.redelivered)
        if len(tries) == 1:
            raise ConnectionError

    await world.connect()
    message = server.message(ME, "在吗")
    server.push(ME, [replace(message, time=message.time - 86_400_000)])
    await world.until(lambda: len(tries) == 2)
    assert texts(server) == ["抱歉"]
