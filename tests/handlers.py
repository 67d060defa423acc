"""A dispatcher by itself, and messages for its handlers."""

from __future__ import annotations

import asyncio

from xyfast.dispatch import Delivery, Dispatcher, Router
from xyfast.instrumentation import Fact, Hooks
from xyfast.messages import ChatMessage, Message
from xyfast.store import DeadLetter

ME = "9000000000001"


def chat(key: str, conversation: str = "70000000011", **facts: object) -> ChatMessage:
    return ChatMessage(account_id=ME, key=key, conversation_id=conversation, text=key, **facts)  # type: ignore[arg-type]


class Desk:
    """A dispatcher and the list of what it reported."""

    def __init__(
        self, *, limit: int = 100, timeout: float = 60.0, retries: int = 0, dice: float = 0.5
    ) -> None:
        self.router = Router()
        self.finished: list[tuple[str | None, DeadLetter | None]] = []
        self.news = asyncio.Event()
        self.facts: list[Fact] = []
        self.dispatcher = Dispatcher(
            self.router,
            self._note,
            Hooks([self.facts.append]),
            limit=limit,
            timeout=timeout,
            retries=retries,
            retry_wait=1.0,
            dice=lambda: dice,
        )

    def _note(self, delivery: Delivery, letter: DeadLetter | None) -> None:
        self.finished.append((delivery.key, letter))
        self.news.set()

    def give(self, *messages: Message) -> None:
        for message in messages:
            self.dispatcher.put(Delivery(message, message.key))
        self.dispatcher.start()

    async def until(self, count: int) -> None:
        async def enough() -> None:
            while len(self.finished) < count:
                self.news.clear()
                await self.news.wait()

        await asyncio.wait_for(enough(), 10)
