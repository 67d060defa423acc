"""What handlers are given and may do: a client on real sockets, against the fake server."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from pathlib import Path

import pytest

from world import ME, OTHER, running
from xyfast import Account, ChatMessage, Expired, OrderNotice, SendRefused, State, StateError
from xyfast.instrumentation import Fact, StateChanged
from xyfast.messages import Message
from xyfast.secret import reveal
from xyfast.testing import FakeServer, Fault, samples


async def test_a_message_is_handled_acknowledged_and_answered(server: FakeServer) -> None:
    async with running(server) as world:

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            sent = await message.reply("在的")
            assert sent.message_id == server.ledger(ME).sent[0].message_id

        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: server.ledger(ME).sent and not server.ledger(ME).unacked)
    [sent] = server.ledger(ME).sent
    assert (sent.text, sent.conversation) == ("在的", "70000000011")
    assert world.texts == ["在吗"]


async def test_every_payload_of_a_package_is_a_message(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        server.push(ME, [server.message(ME, str(n)) for n in range(32)])
        await world.until(lambda: len(world.chats) == 32)
    assert world.texts == [str(n) for n in range(32)]


async def test_accounts_are_kept_apart(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect(ME, OTHER)
        server.push_text(ME, "to me")
        server.push_text(OTHER, "to the other")
        await world.until(lambda: len(world.chats) == 2)
        with pytest.raises(StateError, match="added already"):
            await world.client.add(Account.from_cookies(server.cookies(ME)))
        with pytest.raises(StateError, match="never added"):
            world.client.state("1")
    assert {(m.account_id, m.text) for m in world.chats} == {
        (ME, "to me"),
        (OTHER, "to the other"),
    }


async def test_a_message_that_is_old_on_arrival_goes_its_own_way(server: FakeServer) -> None:
    late: list[Expired] = []
    async with running(server) as world:

        @world.client.on(Expired)
        async def note(expired: Expired) -> None:
            late.append(expired)

        await world.connect()
        message = server.message(ME, "from yesterday")
        server.push(ME, [dataclasses.replace(message, time=message.time - 86_400_000)])
        server.push_text(ME, "now")
        await world.until(lambda: late and world.chats)
    assert world.texts == ["now"]
    [expired] = late
    assert isinstance(expired.message, ChatMessage)
    assert expired.message.text == "from yesterday"


async def test_own_echoes_are_for_those_who_ask_and_tell_who_wrote(server: FakeServer) -> None:
    own: list[ChatMessage] = []
    async with running(server) as world:

        @world.client.on(ChatMessage, own=True)
        async def note(message: ChatMessage) -> None:
            own.append(message)

        await world.connect()
        await world.client.send_text(ME, "70000000011", "by the client", peer_id="9000000000102")
        server.push(ME, [server.message(ME, "by the seller", sender=ME)])
        await world.until(lambda: len(own) == 2)
    assert {(m.text, m.origin) for m in own} == {
        ("by the client", "client"),
        ("by the seller", "seller"),
    }
    assert world.chats == []


async def test_one_conversation_is_answered_in_order_and_others_beside_it(
    server: FakeServer,
) -> None:
    async with running(server) as world:
        gate = asyncio.Event()

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            if message.conversation_id == "1":
                await gate.wait()
            await message.reply(message.text)

        await world.connect()
        for number in range(5):
            server.push_text(ME, f"slow {number}", conversation="1")
            server.push_text(ME, f"fast {number}", conversation="2")
        await world.until(lambda: len(server.ledger(ME).sent) == 5)
        gate.set()
        await world.until(lambda: len(server.ledger(ME).sent) == 10)
    sent = [item.text for item in server.ledger(ME).sent]
    assert sent == [f"fast {n}" for n in range(5)] + [f"slow {n}" for n in range(5)]


async def test_a_handler_that_raises_or_hangs_costs_neither_link_nor_other_messages(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"handler_timeout": 0.1}
    async with running(server, settings=settings) as world:

        @world.client.on(ChatMessage)
        async def handler(message: ChatMessage) -> None:
            if message.text == "raise":
                raise RuntimeError("as planned")
            if message.text == "hang":
                await asyncio.Event().wait()
            await message.reply(message.text)

        await world.connect()
        with caplog.at_level(logging.CRITICAL, "xyfast.dispatch"):
            for text in ("raise", "hang", "fine"):
                server.push_text(ME, text)
            await world.until(lambda: server.ledger(ME).sent)
    assert [sent.text for sent in server.ledger(ME).sent] == ["fine"]
    assert len(server.ledger(ME).registrations) == 1


async def test_notices_and_events_reach_their_handlers(server: FakeServer) -> None:
    seen: list[Message] = []
    async with running(server) as world:

        @world.client.on(Message)
        async def note(message: Message) -> None:
            seen.append(message)

        await world.connect()
        now = int(time.time() * 1000)
        order = server.message(ME, samples.order_content("[我已付款，等待你发货]", "6" * 19))
        server.push(
            ME,
            [
                order,
                samples.red_reminder("70000000011", "等待卖家发货", now),
                samples.typing("70000000011", "9000000000102", now),
                samples.read("70000000011", ["5000000000001.PNM"], now),
                samples.session("70000000011", ME, "9000000000102", "800000000031", now),
                samples.unknown(now),
            ],
        )
        await world.until(lambda: len(seen) == 6)
    kinds = [type(message).__name__ for message in seen]
    assert sorted(kinds) == sorted(
        ["OrderNotice", "OrderNotice", "Typing", "ReadReceipt", "SessionOpened", "Unknown"]
    )
    assert any(
        isinstance(message, OrderNotice) and message.order_id == "6" * 19 for message in seen
    )


async def test_states_are_told_in_order_to_hooks_and_a_hook_that_raises_stops_nobody(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    states: list[State] = []

    def broken(fact: Fact) -> None:
        raise RuntimeError("hook")

    def note(fact: Fact) -> None:
        if isinstance(fact, StateChanged):
            states.append(fact.new)

    with caplog.at_level(logging.CRITICAL, "xyfast.instrumentation"):
        async with running(server, hooks=[broken, note]) as world:
            await world.connect()
    assert states == [State.CONNECTING, State.CONNECTED, State.DRAINING, State.CLOSED]


async def test_no_secret_and_no_text_is_logged(
    server: FakeServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(server, store=tmp_path / "x.db") as world:
        await world.connect()
        server.push(ME, [server.message(ME, "canary-text"), samples.bad_msgpack()])
        await world.until(lambda: world.chats)
        server.reset()
        await world.until(lambda: len(server.ledger(ME).registrations) == 2)
        server.fault(ME, Fault.SEND_REFUSED)
        with pytest.raises(SendRefused):
            await world.client.send_text(ME, "70000000011", "canary-sent", peer_id="1")
        [account] = world.client.accounts
        secrets = [value.reveal() for name, value in account.cookies.items() if name != "unb"]
        secrets += [reveal(account.device_id) or "", "canary-text", "canary-sent"]
        shown = repr((account, world.chats, world.client.__dict__))
    records = [record for record in caplog.records if record.name.startswith("xyfast")]
    assert records
    logged = " ".join(str(record.__dict__) for record in records) + shown
    assert [secret for secret in secrets if secret in logged] == []
