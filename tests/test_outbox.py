"""Sending through the whole client, against the fake server."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from world import ME, World, running
from xyfast import (
    ChatMessage,
    ConfigError,
    MemoryStore,
    NotSent,
    SendRefused,
    SendUnknown,
    Sent,
    State,
)
from xyfast.instrumentation import Fact, SendFinished
from xyfast.store import Posted
from xyfast.testing import FakeServer, Fault, RepeatedUuid, ServerSettings

CID, PEER = "70000000011", "9000000000102"

ASSUMED = [
    ServerSettings(repeated_uuid=uuid, echo_before_answer=first)
    for uuid in RepeatedUuid
    for first in (False, True)
]


def send(
    world: World, text: str, conversation: str = CID, *, durable: bool = False
) -> asyncio.Task[Sent]:
    sending = world.client.send_text(ME, conversation, text, peer_id=PEER, durable=durable)
    return asyncio.ensure_future(sending)


def texts(server: FakeServer) -> list[str]:
    return [sent.text for sent in server.ledger(ME).sent]


@pytest.mark.parametrize("assumed", ASSUMED)
async def test_sends_go_out_once_and_in_order_and_their_echoes_are_ours(
    assumed: ServerSettings,
) -> None:
    own: list[ChatMessage] = []

    async def note(message: ChatMessage) -> None:
        own.append(message)

    async with FakeServer([ME], settings=assumed) as server, running(server) as world:
        world.client.on(ChatMessage, own=True)(note)
        await world.connect()
        asked = [(str(number), str(70000000011 + number % 2)) for number in range(10)]
        sent = await asyncio.gather(*(send(world, *each) for each in asked))
        await world.until(lambda: len(own) == 10)
    records = server.ledger(ME).sent
    assert sorted(each.message_id or "" for each in sent) == sorted(r.message_id for r in records)
    assert len({record.uuid for record in records}) == 10
    for conversation in ("70000000011", "70000000012"):
        order = [text for text, where in asked if where == conversation]
        assert [r.text for r in records if r.conversation == conversation] == order
    assert {message.origin for message in own} == {"client"}


async def test_who_debugs_is_told_of_each_send_and_not_what_it_says(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "xyfast.outbox"):
        async with running(server) as world:
            await world.connect()
            sent = await send(world, "synthetic words")
            server.fault(ME, Fault.SEND_REFUSED)
            with pytest.raises(SendRefused):
                await send(world, "other words")
    told = [r for r in caplog.records if r.name.startswith("xyfast.outbox")]
    start = f"send finished (account={ME}, conversation={CID}, post="
    assert told[0].getMessage().startswith(f"{start}{sent.uuid}, outcome=sent, took=")
    assert "outcome=refused" in told[1].getMessage()
    assert "words" not in caplog.text


async def test_a_refused_send_says_why(server: FakeServer) -> None:
    facts: list[Fact] = []
    server.fault(ME, Fault.SEND_REFUSED)
    async with running(server, hooks=[facts.append]) as world:
        await world.connect()
        with pytest.raises(SendRefused) as caught:
            await send(world, "x")
    assert caught.value.account_id == ME
    assert caught.value.error == "rejected"
    assert caught.value.reason
    [fact] = [fact for fact in facts if isinstance(fact, SendFinished)]
    assert (fact.account_id, fact.outcome) == (ME, "refused")


async def test_flow_control_is_waited_out(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        server.fault(ME, Fault.FLOW_CONTROL)
        tries = len(server.ledger(ME).received)
        sending = send(world, "x")
        await world.until(lambda: len(server.ledger(ME).received) > tries)
        server.heal(ME)
        await sending
    assert texts(server) == ["x"]


@pytest.mark.parametrize("fault", [Fault.UNAUTHORISED, Fault.SEND_BUSY])
async def test_a_durable_send_outlives_refusals_that_pass(server: FakeServer, fault: Fault) -> None:
    async with running(server) as world:
        await world.connect()
        server.fault(ME, fault)
        tries = len(server.ledger(ME).received)
        sending = send(world, "x", durable=True)
        await world.until(lambda: "sendByReceiver" in "".join(server.ledger(ME).received[tries:]))
        server.heal(ME)
        sent = await sending
    assert [record.message_id for record in server.ledger(ME).sent] == [sent.message_id]


@pytest.mark.parametrize("durable", [False, True])
async def test_a_text_that_no_frame_holds_is_refused_before_it_is_kept(
    durable: bool, server: FakeServer
) -> None:
    store = MemoryStore()
    async with running(server, store=store) as world:
        await world.connect()
        with pytest.raises(ConfigError, match="text is too long"):
            await send(world, "x" * 1_100_000, durable=durable)
        assert not await store.unsent(ME)


@pytest.mark.parametrize("durable", [False, True])
async def test_a_reply_that_cannot_be_sent_is_refused_where_it_is_asked_for(
    durable: bool, server: FakeServer
) -> None:
    refused: list[str] = []

    async def answer(message: ChatMessage) -> None:
        wrong: list[Any] = [None, 5, ["a"], "", "\ud800"]
        for each in wrong:
            with pytest.raises(ConfigError) as caught:
                await message.reply(each, durable=durable)
            refused.append(str(caught.value))
            with pytest.raises(ConfigError, match="url"):
                await message.reply_image(each, durable=durable)
        await message.reply("在的", durable=durable)

    async with running(server) as world:
        world.client.on(ChatMessage)(answer)
        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: texts(server))
    assert texts(server) == ["在的"]
    assert refused == [
        "text must be a str, not None",
        "text must be a str, not int",
        "text must be a str, not list",
        "text is empty",
        "text has a lone surrogate at 0",
    ]


async def test_without_a_store_nothing_is_promised_to_be_durable(server: FakeServer) -> None:
    async with running(server, store=None) as world:
        await world.connect()
        with pytest.raises(ConfigError, match="durable=True wants a store on disk"):
            await send(world, "x", durable=True)
        with pytest.raises(ConfigError, match="durable=True wants a store on disk"):
            await world.client.send_image(
                ME, CID, "https://img.example.invalid/1.jpg", peer_id=PEER, durable=True
            )
    assert texts(server) == []


async def test_what_can_never_go_out_ends(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An older file may hold what no frame can."""
    store = MemoryStore()
    content = json.dumps({"contentType": 1, "text": {"text": "x" * 1_100_000}})
    too_long = Posted(
        account_id=ME,
        name="n",
        conversation_id=CID,
        peer_id=PEER,
        content=content,
        uuid="-11",
        created=1,
    )
    await store.post(too_long)
    async with running(server, store=store) as world:
        await world.connect()
        await send(world, "next")
        with pytest.raises(SendRefused, match="was refused before"):
            await world.client.send_text(ME, CID, "x", peer_id=PEER, durable=True, name="n")
        assert not await store.unsent(ME)
    assert texts(server) == ["next"]
    lines = [record for record in caplog.records if record.name.startswith("xyfast")]
    assert [line.getMessage() for line in lines if line.levelname in ("WARNING", "ERROR")] == [
        f"refused (account={ME}, reason=rejected)"
    ]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ((5, CID, PEER), "account_id must be a str, not int"),
        ((ME, 70000000011, PEER), "conversation_id must be a str, not int"),
        ((ME, CID, None), "peer_id must be a str, not None"),
        ((ME, "", PEER), "conversation_id is empty"),
    ],
)
async def test_ids_that_are_none_are_refused(
    given: tuple[Any, Any, Any], reason: str, server: FakeServer
) -> None:
    account_id, conversation_id, peer_id = given
    async with running(server) as world:
        await world.connect()
        with pytest.raises(ConfigError, match=reason):
            await world.client.send_text(account_id, conversation_id, "x", peer_id=peer_id)
        if conversation_id != CID:
            with pytest.raises(ConfigError, match=reason):
                await world.client.history(account_id, conversation_id)


async def test_an_echo_answers_a_send_without_an_answer(server: FakeServer) -> None:
    server.fault(ME, Fault.SEND_UNANSWERED)
    async with running(server, settings={"request_timeout": 60.0}) as world:
        await world.connect()
        sent = await send(world, "x")
    assert [record.message_id for record in server.ledger(ME).sent] == [sent.message_id]


@pytest.mark.parametrize("assumed", ASSUMED)
async def test_a_send_whose_link_is_cut_before_the_answer_is_found_in_the_history(
    assumed: ServerSettings,
) -> None:
    async with FakeServer([ME], settings=assumed) as server, running(server) as world:
        server.fault(ME, Fault.DEAF, Fault.SEND_UNANSWERED)
        await world.connect()
        sending = send(world, "x")
        await world.until(lambda: server.ledger(ME).sent)
        server.reset()
        sent = await sending
    assert [record.message_id for record in server.ledger(ME).sent] == [sent.message_id]


async def test_a_send_that_was_lost_is_surely_not_sent(server: FakeServer) -> None:
    server.fault(ME, Fault.SEND_LOST)
    async with running(server, settings={"request_timeout": 0.3}) as world:
        await world.connect()
        with pytest.raises(NotSent, match="has not taken it"):
            await send(world, "x")
    assert texts(server) == []


async def test_a_send_whose_history_cannot_be_read_is_unknown(server: FakeServer) -> None:
    server.fault(ME, Fault.SEND_LOST)
    async with running(server, settings={"request_timeout": 0.3}) as world:
        await world.connect()
        received = len(server.ledger(ME).received)
        sending = send(world, "x")
        await world.until(
            lambda: "sendByReceiver" in "".join(server.ledger(ME).received[received:])
        )
        server.fault(ME, Fault.FLOW_CONTROL)
        with pytest.raises(SendUnknown, match="look at the history"):
            await sending


async def test_a_send_without_a_link_waits_for_one_and_else_was_surely_not_sent(
    server: FakeServer,
) -> None:
    async with running(server, settings={"send_timeout": 0.3}) as world:
        await world.connect()
        await server.down()
        await world.until(lambda: world.client.state(ME) is not State.CONNECTED)
        with pytest.raises(NotSent):
            await send(world, "x")
        await server.up()
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        await send(world, "y")
    assert texts(server) == ["y"]


@pytest.mark.parametrize("assumed", ASSUMED)
async def test_durable_sends_over_links_that_are_cut_arrive_once_and_in_order(
    assumed: ServerSettings,
) -> None:
    dice = random.Random(1)
    async with FakeServer([ME], settings=assumed) as server, running(server) as world:
        await world.connect()
        sending = [send(world, str(number), durable=True) for number in range(30)]
        for _ in range(4):
            before = len(server.ledger(ME).sent)
            await world.until(
                lambda n=before: len(server.ledger(ME).sent) > n or all(s.done() for s in sending)
            )
            await asyncio.sleep(dice.random() * 0.005)
            server.reset()
        await asyncio.gather(*sending)
    assert texts(server) == [str(number) for number in range(30)]


async def test_a_handler_that_is_tried_again_gives_its_own_durable_answers_once(
    server: FakeServer,
) -> None:
    failures = 1
    async with running(server, settings={"retry_wait": 0.01}) as world:

        @world.client.on(ChatMessage)
        async def first(message: ChatMessage) -> None:
            await message.reply("from the first", durable=True)

        @world.client.on(ChatMessage)
        async def second(message: ChatMessage) -> None:
            nonlocal failures
            await message.reply("from the second", durable=True)
            if failures:
                failures -= 1
                raise ValueError("once")
            await message.reply("and its last word", durable=True)

        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: len(texts(server)) == 3)
    assert texts(server) == ["from the first", "from the second", "and its last word"]


BOT = """
import asyncio, json, sys
from xyfast import Account, ChatMessage, Client, Settings

options = json.loads(sys.argv[1])
client = Client(store=options.pop("store"), settings=Settings(**options["settings"]))

@client.on(ChatMessage)
async def answer(message):
    await message.reply("re " + message.text, durable=True)
    await message.reply("again " + message.text, durable=True)

async def main():
    await client.add(Account.from_cookies(options["cookies"]))
    await client.run()

asyncio.run(main())
"""


@pytest.mark.parametrize("assumed", ASSUMED)
async def test_a_killed_bot_gives_every_durable_answer_once(
    assumed: ServerSettings, tmp_path: Path
) -> None:
    dice = random.Random(1)
    async with FakeServer([ME], settings=assumed) as server:
        settings = {
            "url": server.url,
            "token_url": server.token_url,
            "backoff_scale": 0.02,
            "send_rate": 1000.0,
            "send_burst": 1000,
            "conversation_rate": 1000.0,
            "history_delay": 0.1,
        }
        options = json.dumps(
            {
                "store": str(tmp_path / "x.db"),
                "cookies": server.cookies(ME),
                "settings": settings,
            }
        )
        pushed: list[str] = []
        for round_ in range(4):
            links = len(server.ledger(ME).registrations)
            bot = await asyncio.create_subprocess_exec(sys.executable, "-c", BOT, options)
            await server.wait(lambda n=links: len(server.ledger(ME).registrations) > n, 30)
            for number in range(20 if round_ < 3 else 0):
                pushed.append(f"{round_}.{number}")
                server.push_text(ME, pushed[-1], conversation=str(70000000011 + number % 3))
            if round_ < 3:
                answers = len(texts(server)) + dice.randrange(1, 30)
                await server.wait(lambda n=answers: len(texts(server)) >= n, 30)
                bot.kill()
                await bot.wait()
        wanted = {f"{word} {text}" for text in pushed for word in ("re", "again")}
        await server.wait(lambda: wanted <= set(texts(server)), 30)
        bot.terminate()
        assert await bot.wait() == 0
    assert Counter(texts(server)) == Counter(wanted)
