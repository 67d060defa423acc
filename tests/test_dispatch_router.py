"""Handlers: who gets what, and what cannot be one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from handlers import ME, chat
from xyfast.dispatch import Router
from xyfast.errors import ConfigError
from xyfast.messages import ChatMessage, Expired, Gap, GroupMessage, Message, OrderNotice


def takes(router: Router, message: object) -> list[str]:
    return [handler.__name__ for _, handler in router.handlers(message)]  # type: ignore[attr-defined, arg-type]


def test_a_handler_gets_its_class_and_what_derives_from_it() -> None:
    router = Router()

    @router.on(Message)
    async def all_messages(message: Message) -> None: ...

    @router.on(ChatMessage)
    async def chats(message: ChatMessage) -> None: ...

    assert takes(router, chat("a")) == ["all_messages", "chats"]
    assert takes(router, OrderNotice(account_id=ME, key="o")) == ["all_messages"]
    assert takes(router, GroupMessage(account_id=ME, key="g")) == ["all_messages"]
    assert takes(router, Expired(chat("a"))) == []
    assert takes(router, Gap(account_id=ME, start=1, end=2, reason="r")) == []


def test_own_messages_are_for_those_who_ask() -> None:
    router = Router()

    @router.on(ChatMessage)
    async def peers(message: ChatMessage) -> None: ...

    @router.on(ChatMessage, own=True)
    async def everyone(message: ChatMessage) -> None: ...

    assert takes(router, chat("a")) == ["peers", "everyone"]
    assert takes(router, chat("a", origin="seller")) == ["everyone"]
    assert takes(router, chat("a", origin="client")) == ["everyone"]


def test_what_cannot_be_a_handler_is_refused_at_once() -> None:
    router = Router()
    with pytest.raises(ConfigError, match="message class"):
        router.on(str)  # type: ignore[type-var]
    with pytest.raises(ConfigError, match="must be an async function"):
        router.on(ChatMessage)(lambda message: None)  # type: ignore[arg-type, return-value]


def test_names_of_handlers_stay_when_others_are_added_in_front() -> None:
    async def answer(message: Message) -> None: ...

    async def note(message: Message) -> None: ...

    before, after = Router(), Router()
    for router, handlers in ((before, [answer, answer]), (after, [note, answer, answer])):
        for handler in handlers:
            router.on(ChatMessage)(handler)
    old, new = ([name for name, _ in each.handlers(chat("a"))] for each in (before, after))
    assert new[1:] == old
    assert len(set(new)) == 3


def typed(handler: Callable[[ChatMessage], Awaitable[object]]) -> None:
    """`on` gives the function back as it was, so that it can be called in tests."""
    assert Router().on(ChatMessage)(handler) is handler


def test_the_decorated_function_stays_what_it_was() -> None:
    async def handler(message: ChatMessage) -> None: ...

    typed(handler)


@pytest.mark.parametrize("count", [0, 2])
def test_a_handler_takes_the_message_and_nothing_else(count: int) -> None:
    async def none() -> None: ...

    async def two(message: ChatMessage, more: int) -> None: ...

    with pytest.raises(ConfigError, match=r"(none|two) must take one argument, the message"):
        Router().on(ChatMessage)(two if count else none)  # type: ignore[arg-type]


def test_a_handler_may_have_more_arguments_with_defaults() -> None:
    async def handler(message: ChatMessage, more: int = 1) -> None: ...

    async def anything(*messages: ChatMessage) -> None: ...

    router = Router()
    router.on(ChatMessage)(handler)
    router.on(ChatMessage)(anything)
    assert takes(router, chat("a")) == ["handler", "anything"]
