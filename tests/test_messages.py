"""Messages: what a handler sees, and the way back."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from xyfast import messages
from xyfast.errors import StateError, StoreError
from xyfast.messages import ChatMessage, Expired, Gap, GroupMessage, Message, OrderNotice, Sent

SENT = Sent(message_id="5000000000070.PNM", uuid="-17672256000001", time=1767225600000)


class Recorder:
    """A sender that remembers what it was asked to send."""

    def __init__(self) -> None:
        self.sent: list[tuple[object, ...]] = []
        self.names: list[str | None] = []
        self.fails: list[Exception] = []

    async def send_text(
        self,
        account_id: str,
        conversation_id: str,
        text: str,
        /,
        *,
        peer_id: str,
        durable: bool,
        name: str | None,
    ) -> Sent:
        self.sent.append((account_id, conversation_id, text, peer_id))
        self.names.append(name if durable else "not durable")
        if self.fails:
            raise self.fails.pop()
        return SENT

    async def send_image(
        self,
        account_id: str,
        conversation_id: str,
        url: str,
        /,
        *,
        peer_id: str,
        width: int,
        height: int,
        durable: bool,
        name: str | None,
    ) -> Sent:
        self.sent.append((account_id, conversation_id, url, peer_id, width, height))
        self.names.append(name if durable else "not durable")
        return SENT


def chat(**changes: object) -> ChatMessage:
    fields: dict[str, object] = {
        "account_id": "9000000000001",
        "key": "5000000000001.PNM",
        "conversation_id": "70000000011",
        "peer_id": "9000000000102",
    }
    return ChatMessage(**{**fields, **changes})  # type: ignore[arg-type]


async def test_a_reply_goes_to_the_peer_of_the_same_conversation() -> None:
    sender = Recorder()
    assert await chat(_sender=sender).reply("在的") == SENT
    assert sender.sent == [("9000000000001", "70000000011", "在的", "9000000000102")]


async def test_a_picture_is_answered_with_its_size() -> None:
    sender = Recorder()
    message = chat(_sender=sender)
    assert await message.reply_image("https://img.example.invalid/1.jpg", width=3, height=4) == SENT
    assert sender.sent[0][2:] == ("https://img.example.invalid/1.jpg", "9000000000102", 3, 4)


async def test_durable_replies_have_the_same_names_whenever_the_message_is_handled() -> None:
    sender = Recorder()
    message = messages.for_handler(chat(_sender=sender), "a.1")
    for redelivered in (0, 1):
        tried = dataclasses.replace(message, redelivered=redelivered)
        again = messages.for_handler(tried, "a.1")
        await again.reply("1", durable=True)
        await again.reply("not kept")
        await again.reply_image("https://img.example.invalid/1.jpg", durable=True)
    first, _, other = sender.names[:3]
    assert sender.names == [first, "not durable", other, first, other]
    assert first != other


async def test_a_copy_that_a_handler_makes_counts_on() -> None:
    sender = Recorder()
    message = messages.for_handler(chat(_sender=sender), "a.1")
    await message.reply("1", durable=True)
    await dataclasses.replace(message, text="1").reply("2", durable=True)
    await message.reply("3", durable=True)
    assert len(set(sender.names)) == 3
    await message.reply("x")
    await dataclasses.replace(message, text="1").reply("x")
    assert sender.names[3:] == 2 * ["not durable"]


async def test_a_number_that_nothing_is_kept_by_is_left_to_the_same_words() -> None:
    sender = Recorder()
    message = messages.for_handler(chat(_sender=sender), "a.1")
    sender.fails.append(StoreError("the store is full"))
    with pytest.raises(StoreError):
        await message.reply("1", durable=True)
    await message.reply("2", durable=True)
    await message.reply("1", durable=True)
    failed, other, once_more = sender.names
    assert failed == once_more != other


async def test_durable_replies_of_other_messages_and_handlers_have_other_names() -> None:
    sender = Recorder()
    for message in (chat(), chat(key="5000000000002.PNM"), chat(_handler="b.1")):
        await dataclasses.replace(message, _sender=sender).reply("x", durable=True)
    assert len(set(sender.names)) == 3


async def test_each_handler_counts_its_own_replies_from_none() -> None:
    sender = Recorder()
    message = chat(_sender=sender)
    for name in ("a.1", "a.1", "b.1"):
        given = messages.for_handler(message, name)
        assert given == message
        await given.reply("x", durable=True)
    first, again, other = sender.names
    assert first == again != other


async def test_handlers_of_what_is_too_old_count_their_own_replies_too() -> None:
    sender = Recorder()
    for name in ("a.1", "b.1", "b.1"):
        given = messages.for_handler(Expired(chat(_sender=sender)), name)
        assert isinstance(given.message, ChatMessage)
        await given.message.reply("x", durable=True)
    alone, first, again = sender.names
    assert first == again != alone


async def test_a_message_that_no_client_delivered_cannot_be_answered() -> None:
    with pytest.raises(StateError, match="running client"):
        await chat().reply("在的")


@pytest.mark.parametrize("missing", ["conversation_id", "peer_id"])
async def test_a_message_without_a_way_back_cannot_be_answered(missing: str) -> None:
    sender = Recorder()
    with pytest.raises(StateError, match="names no conversation or no peer"):
        await chat(_sender=sender, **{missing: None}).reply("在的")
    assert sender.sent == []


def test_a_group_message_is_no_chat_message_but_has_its_fields() -> None:
    assert not issubclass(GroupMessage, ChatMessage)
    assert not hasattr(GroupMessage, "reply")
    public = {field.name for field in dataclasses.fields(ChatMessage)}
    public -= {"_sender", "_handler", "_run", "_answered"}
    assert {field.name for field in dataclasses.fields(GroupMessage)} == public


def test_no_repr_shows_what_people_wrote_or_are_called() -> None:
    secret = "secret-words"
    shown = [
        chat(text=secret, sender_name=secret, images=(secret,), tree={"1": secret}),
        GroupMessage(account_id="1", key="k", text=secret, sender_name=secret, tree=secret),
        OrderNotice(account_id="1", key="k", text=secret, red_reminder=secret, tree=secret),
        messages.SystemNotice(account_id="1", key="k", text=secret),
        messages.Unknown(account_id="1", key="k", tree={secret: secret}),
        Expired(chat(text=secret)),
    ]
    for message in shown:
        assert secret not in repr(message)
        assert type(message).__name__ in repr(message)
    for message in shown[:2]:
        assert repr(message).endswith(", text=<12 characters>)")


def test_the_sender_is_in_no_repr_and_in_no_comparison() -> None:
    assert chat(_sender=Recorder()) == chat()
    assert "sender=" not in repr(chat(_sender=Recorder()))


CLASSES = [
    cls for cls in map(vars(messages).get, messages.__all__) if dataclasses.is_dataclass(cls)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_message_class_is_frozen_slotted_and_documented(cls: Any) -> None:
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{cls.__name__}(")
    assert "__slots__" in vars(cls)
    assert cls.__dataclass_params__.frozen


def test_messages_compare_by_value_and_can_be_set_members() -> None:
    assert chat(tree={"a": 1}) == chat(tree={"a": 2})
    assert len({chat(tree={"a": 1}), chat(tree={"a": 2}), chat(key="other")}) == 2


def test_a_stale_message_tells_where_it_belongs() -> None:
    stale = Expired(chat())
    assert not isinstance(stale, Message)
    assert (stale.account_id, stale.conversation_id, stale.key) == (
        "9000000000001",
        "70000000011",
        "5000000000001.PNM",
    )


def test_a_gap_concerns_all_conversations_unless_it_names_one() -> None:
    gap = Gap(account_id="9000000000001", start=1, end=2, reason="history is gone")
    assert gap.conversation_id is None
