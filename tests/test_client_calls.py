"""What a user asks of a client on real sockets: sending, history, conversations."""

from __future__ import annotations

import asyncio

import pytest

from world import ME, running
from xyfast import ChatMessage, NotSent, SendRefused, SendUnknown, State
from xyfast.testing import FakeServer, Fault


async def test_a_refused_send_says_why(server: FakeServer) -> None:
    server.fault(ME, Fault.SEND_REFUSED)
    async with running(server) as world:
        await world.connect()
        with pytest.raises(SendRefused) as caught:
            await world.client.send_text(ME, "70000000011", "x", peer_id="9000000000102")
    assert caught.value.account_id == ME
    assert caught.value.error == "rejected"
    assert caught.value.reason


@pytest.mark.parametrize("fault", [Fault.SEND_UNANSWERED, Fault.SEND_LOST])
async def test_an_unanswered_send_is_unknown(server: FakeServer, fault: Fault) -> None:
    server.fault(ME, fault)
    async with running(server, settings={"request_timeout": 0.3}) as world:
        await world.connect()
        with pytest.raises(SendUnknown, match="look at the history"):
            await world.client.send_text(ME, "70000000011", "x", peer_id="9000000000102")


async def test_a_send_whose_link_dies_before_the_answer_is_unknown_at_once(
    server: FakeServer,
) -> None:
    server.fault(ME, Fault.SEND_UNANSWERED)
    async with running(server, settings={"request_timeout": 60.0}) as world:
        await world.connect()
        sending = asyncio.ensure_future(
            world.client.send_text(ME, "70000000011", "x", peer_id="9000000000102")
        )
        await world.until(lambda: server.ledger(ME).sent)
        server.reset()
        with pytest.raises(SendUnknown, match="link was lost"):
            await sending


async def test_a_send_without_a_link_waits_for_one_and_else_was_surely_not_sent(
    server: FakeServer,
) -> None:
    async with running(server, settings={"request_timeout": 0.3}) as world:
        await world.connect()
        await server.down()
        await world.until(lambda: world.client.state(ME) is not State.CONNECTED)
        with pytest.raises(NotSent):
            await world.client.send_text(ME, "70000000011", "x", peer_id="9000000000102")
        await server.up()
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        await world.client.send_text(ME, "70000000011", "y", peer_id="9000000000102")
    assert [sent.text for sent in server.ledger(ME).sent] == ["y"]


async def test_history_and_conversations_can_be_asked_for(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        for number in range(3):
            server.push_text(ME, str(number))
        await world.client.send_text(ME, "70000000011", "mine", peer_id="9000000000102")
        page = await world.client.history(ME, "70000000011", limit=3)
        texts = [m.text for m in page if isinstance(m, ChatMessage)]
        assert texts[:3] == ["mine", "2", "1"]
        assert page[-1].time is not None
        older = await world.client.history(ME, "70000000011", before=page[-1].time)
        assert all(message.time < page[-1].time for message in older if message.time)
        [conversation] = await world.client.conversations(ME)
        assert conversation.conversation_id == "70000000011"
        assert conversation.peer_id == "9000000000102"
        with pytest.raises(SendRefused):
            await world.client.request(ME, "/r/No/such", [])
