"""The kit for tests of bots, used as its page says."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from world import ME, OTHER
from xyfast import (
    ChatMessage,
    Client,
    ConfigError,
    Expired,
    MemoryStore,
    Message,
    OrderNotice,
    ReadReceipt,
    Router,
    SessionOpened,
    Settings,
    State,
    StateError,
    StoreError,
    SystemNotice,
    Typing,
)
from xyfast.instrumentation import Retried, StateChanged
from xyfast.testing import FakeServer, Fault, Kit, samples

pytest_plugins = ["xyfast.testing.plugin"]


def add_handlers(client: Client) -> None:
    @client.on(ChatMessage)
    async def answer(message: ChatMessage) -> None:
        if message.text == "发图":
            await message.reply_image("https://example.invalid/a.jpg", width=3, height=4)
        elif "在吗" in message.text:
            await message.reply("在的", durable=True)
        elif message.text == "错":
            raise ValueError(message.text)


class Notes:
    """A bot that notes all it is given."""

    def __init__(self) -> None:
        self.messages: dict[str, Message | Expired] = {}

    def __call__(self, client: Client) -> None:
        client.on(ChatMessage, own=True)(self.note)
        for kind in (OrderNotice, SystemNotice, ReadReceipt, Typing, SessionOpened, Expired):
            client.on(kind)(self.note)

    async def note(self, message: Message | Expired) -> None:
        self.messages[message.key] = message


async def test_a_bot_answers_its_buyers(kit: Kit) -> None:
    await kit.start(add_handlers)
    buyer, another = kit.buyer(), kit.buyer()
    assert await buyer.ask("在吗") == "在的"
    assert await another.ask("还在吗") == "在的"
    buyer.say("发图")
    picture = await buyer.answer()
    assert picture.content == samples.image_content("https://example.invalid/a.jpg", 3, 4)
    assert [sent.text for sent in buyer.answers] == ["在的", "[图片]"]
    assert [sent.text for sent in another.answers] == ["在的"]
    assert buyer.id in picture.receivers


async def test_a_router_is_a_bot_too_and_what_is_none_is_told_so(kit: Kit) -> None:
    router = Router()

    @router.on(ChatMessage)
    async def answer(message: ChatMessage) -> None:
        await message.reply("在的")

    with pytest.raises(ConfigError, match=r"bot must be a Router, or a function .*, not Settings"):
        await kit.start(Settings())  # type: ignore[arg-type]
    client = await kit.start(router)
    assert await kit.buyer().ask("在吗") == "在的"
    await client.close()
    await kit.start(router)
    assert await kit.buyer().ask("还在吗") == "在的"


async def test_silence_is_known_without_waiting_for_it(kit: Kit) -> None:
    await kit.start(add_handlers)
    buyer = kit.buyer()
    assert await kit.handled(buyer.say("多少钱")) is None
    assert buyer.answers == []


async def test_a_failed_handler_is_told(kit: Kit) -> None:
    await kit.start(add_handlers, settings={"handler_retries": 1})
    buyer = kit.buyer()
    reason = await kit.handled(buyer.say("错"))
    assert reason == "add_handlers.<locals>.answer raised ValueError: 错"
    assert sum(isinstance(fact, Retried) for fact in kit.facts) == 1
    with pytest.raises(TimeoutError, match="dead letters: add_handlers"):
        await buyer.answer(timeout=0.01)


async def test_every_kind_of_message_comes_with_its_key(kit: Kit) -> None:
    notes = Notes()
    await kit.start(notes)
    buyer = kit.buyer()
    kinds = {
        buyer.say("在吗"): ChatMessage,
        buyer.show(): ChatMessage,
        buyer.order(): OrderNotice,
        buyer.remind(): OrderNotice,
        buyer.tip("对方已开启安全保障"): SystemNotice,
        buyer.seller("我来回答"): ChatMessage,
        buyer.read(["5000000000001.PNM"]): ReadReceipt,
        buyer.type(): Typing,
        buyer.open(): SessionOpened,
        buyer.say("很久以前", age=400.0): Expired,
    }
    for key in kinds:
        assert await kit.handled(key) is None
    assert {key: type(message) for key, message in notes.messages.items()} == kinds
    assert {message.conversation_id for message in notes.messages.values()} == {
        buyer.conversation_id
    }
    written = [each for each in notes.messages.values() if isinstance(each, ChatMessage)]
    assert [message.origin for message in written] == ["peer", "peer", "seller"]
    assert {message.peer_id for message in written} == {buyer.id}
    [card] = [m for m in notes.messages.values() if isinstance(m, OrderNotice) and m.order_id]
    assert card.order_id == buyer.order_id


async def test_the_next_run_has_the_store_of_the_last_one(kit: Kit) -> None:
    client = await kit.start(add_handlers)
    with pytest.raises(StoreError):
        await kit.start(add_handlers)
    buyer = kit.buyer()
    await buyer.ask("在吗")
    await client.close()
    missed = buyer.say("下班了，在吗")
    await kit.start(add_handlers)
    assert (await buyer.answer()).text == "在的"
    assert await kit.handled(missed) is None
    assert len(buyer.answers) == 2


async def test_a_store_and_accounts_can_be_named(tmp_path: Path) -> None:
    async with Kit(FakeServer([ME, OTHER]), folder=tmp_path) as kit:
        first = await kit.start(add_handlers, accounts=[ME], store=MemoryStore())
        second = await kit.start(add_handlers, accounts=[OTHER])
        assert [account.id for account in (*first.accounts, *second.accounts)] == [ME, OTHER]
        assert await kit.buyer(OTHER).ask("在吗") == "在的"
    assert kit.server.ledger(ME).sent == []
    assert "xyfast.db" in os.listdir(tmp_path)
    with pytest.raises(StateError, match="closed"):
        await first.add(first.accounts[0])


async def test_faults_are_the_servers(kit: Kit) -> None:
    kit.server.fault(ME, Fault.SESSION_EXPIRED)
    client = await kit.start(add_handlers, wait=False)
    await kit.until(lambda: client.state(ME) is State.NEEDS_LOGIN)
    kit.server.log_in(ME)
    await client.close()
    client = await kit.start(add_handlers)
    buyer = kit.buyer()
    kit.server.fault(ME, Fault.DUPLICATE)
    kit.server.reset()
    assert await buyer.ask("在吗") == "在的"
    await kit.until(lambda: not kit.server.ledger(ME).unacked)
    assert len(buyer.answers) == 1
    assert any(isinstance(f, StateChanged) and f.new is State.RECONNECTING for f in kit.facts)


async def test_the_kit_says_where_it_cannot_work(kit: Kit) -> None:
    with pytest.raises(StateError, match="not entered"):
        Kit().buyer()

    async def elsewhere() -> None:
        kit.buyer()

    with pytest.raises(StateError, match="loop scope"):
        await asyncio.to_thread(asyncio.run, elsewhere())
    with pytest.raises(StateError, match="async tests"):
        await asyncio.to_thread(kit.buyer)
