"""What a user asks of a client on real sockets: history, conversations, other requests."""

from __future__ import annotations

import pytest

from world import ME, running
from xyfast import ChatMessage, SendRefused
from xyfast.testing import FakeServer


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
