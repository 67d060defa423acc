"""Someone who writes to an account, and hears what its bot answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

from xyfast import envelope
from xyfast._core import read_payload
from xyfast.testing import samples
from xyfast.testing.ledger import Sent
from xyfast.testing.samples import Message, Sample
from xyfast.testing.server import FakeServer

__all__ = ["Buyer", "Until"]

_BUYERS = 9_000_000_000_000


class Until(Protocol):
    """How a buyer waits; see `Kit.until`."""

    async def __call__(self, condition: Any, /, *, timeout: float = ...) -> None:
        """Wait until ``condition()`` is true."""


class Buyer:
    """One conversation with ``account``, from the other side; `Kit.buyer` makes them.

    What is done returns the key that ``message.key`` has in the handler. It is a plain call:
    the message is on its way when it returns. ``age`` lets a message have lain on the platform
    for so many seconds when it comes.
    """

    def __init__(self, server: FakeServer, account: str, until: Until) -> None:
        self.account = account
        self.conversation_id = server.new_conversation_id()
        self.id = str(_BUYERS + int(self.conversation_id) % 10**9)
        """The buyer's own user id."""
        self.order_id = f"3{int(self.conversation_id):018d}"
        """The order that `order` is about."""
        self._server = server
        self._until = until
        self._heard = 0

    # What a buyer does

    def say(self, text: str, /, *, age: float = 0.0) -> str:
        """Write a text: a `ChatMessage`."""
        return self.send(samples.text_content(text), age=age)

    def show(self, url: str = "https://example.invalid/picture.jpg", /, *, age: float = 0.0) -> str:
        """Send a picture that lies at ``url``: a `ChatMessage` with ``content="image"``."""
        return self.send(samples.image_content(url), age=age)

    def order(self, title: str = "[我已付款，等待你发货]", /, *, age: float = 0.0) -> str:
        """Move the order `order_id` on, as a card of the platform says: an `OrderNotice`."""
        return self.send(samples.order_content(title, self.order_id), age=age)

    def send(self, content: dict[str, Any], /, *, age: float = 0.0) -> str:
        """Send any content JSON (`samples` makes some), for example what no method is for."""
        return self._write(content, self.id, age)

    def read(self, message_ids: Sequence[str], /) -> str:
        """Read messages of the account, such as ``(await buyer.answer()).message_id``."""
        now = self._server.clock()
        return self._mark(samples.read(self.conversation_id, list(message_ids), now))

    def type(self) -> str:
        """Begin to type: `Typing`."""
        return self._mark(samples.typing(self.conversation_id, self.id, self._server.clock()))

    def open(self, item_id: str = "800000000031", /) -> str:
        """Open the conversation about an item, and write nothing yet: `SessionOpened`."""
        now = self._server.clock()
        return self._mark(
            samples.session(self.conversation_id, self.account, self.id, item_id, now)
        )

    # What others do there

    def remind(self, text: str = "等待卖家发货", /) -> str:
        """Let the platform change the order's short state: an `OrderNotice` without order id."""
        now = self._server.clock()
        return self._mark(samples.red_reminder(self.conversation_id, text, now))

    def tip(self, text: str, /, *, age: float = 0.0) -> str:
        """Let the platform put a tip into the conversation, in the buyer's name: `SystemNotice`."""
        return self.send(samples.tip_content(text), age=age)

    def seller(self, text: str, /, *, age: float = 0.0) -> str:
        """Let the account's owner write from a phone: a `ChatMessage` of ``origin="seller"``."""
        return self._write(samples.text_content(text), self.account, age)

    # What the bot does

    @property
    def answers(self) -> list[Sent]:
        """All that was sent into the conversation so far by clients."""
        sent = self._server.ledger(self.account).sent
        return [each for each in sent if each.conversation == self.conversation_id]

    async def answer(self, *, timeout: float = 10.0) -> Sent:
        """Wait for the next answer, the one after that which was returned last.

        Raises `TimeoutError` if none comes within ``timeout`` seconds.
        """
        await self._until(lambda: len(self.answers) > self._heard, timeout=timeout)
        self._heard += 1
        return self.answers[self._heard - 1]

    async def ask(self, text: str, /, *, timeout: float = 10.0) -> str:
        """Write a text and give the text of the next answer; raises as `answer`."""
        self.say(text)
        return (await self.answer(timeout=timeout)).text

    # Inside

    def _write(self, content: dict[str, Any], sender: str, age: float) -> str:
        message = self._server.message(
            self.account, content, conversation=self.conversation_id, sender=self.id
        )
        time = message.time - int(age * 1000)
        return self._push(dataclasses.replace(message, sender=sender, time=time))

    def _push(self, message: Message) -> str:
        return self._server.push(self.account, [message])[0]

    def _mark(self, sample: Sample) -> str:
        name = self._server.push(self.account, [sample])[0]
        # What is no message of its own has a key that is made of its bytes, and where they hold
        # no time, of its place in the stream.
        place = int(name.removeprefix("entry-"))
        facts = envelope.read(read_payload(sample.payload).tree, self.account)
        return envelope.message_key(facts, sample.payload, place)
