"""What a handler can receive, and what a reply gives back.

::

    Message
    ├── ChatMessage      someone wrote in a conversation of two; has reply()
    ├── GroupMessage     someone wrote in a group
    ├── OrderNotice      an order moved: placed, paid, shipped, closed, ...
    ├── SystemNotice     the platform's own words, whoever they are signed by
    ├── ReadReceipt      the peer has read messages
    ├── Typing           the peer is typing
    ├── SessionOpened    a conversation about an item was opened
    ├── Marker           the server says that a message exists; the message comes by itself
    ├── Unknown          a shape that we do not know, with its tree
    └── Undecodable      a payload that could not be read at all
    Expired              a message that was too old on arrival
    Gap                  a time for which messages may be missing

All of them are frozen and compare by value. Ids are digits without the wire's ``@goofish``,
times are milliseconds since 1970 on the server's clock. What people wrote and what they are
called is left out of every ``repr``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

from xyfast.arguments import must_be_text
from xyfast.errors import StateError, StoreError

__all__ = [
    "ChatMessage",
    "Content",
    "Conversation",
    "Expired",
    "Gap",
    "GroupMessage",
    "Marker",
    "Message",
    "OrderNotice",
    "Origin",
    "ReadReceipt",
    "Sender",
    "Sent",
    "SessionOpened",
    "SystemNotice",
    "Typing",
    "Undecodable",
    "Unknown",
]

T = TypeVar("T")

Origin = Literal["peer", "seller", "client"]
"""Who wrote: the peer, the account's owner on another device, or this client."""

Content = Literal["text", "image", "audio", "card", "tip", "other"]
"""What a message carries: words, pictures, voice, a trade card, a platform's tip, or else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The server has taken a message.

    ``message_id`` is the id that its echo will carry (None if the answer names none),
    ``uuid`` the id that this client gave it, ``time`` the server's time in milliseconds.
    """

    message_id: str | None
    uuid: str
    time: int | None = None


class Sender(Protocol):
    """What a message replies through; the client puts itself in."""

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
        """Send a text; raises `NotSent`, `SendRefused` or `SendUnknown`."""
        ...

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
        """Send an uploaded picture; raises `NotSent`, `SendRefused` or `SendUnknown`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What every message has.

    ``account_id`` is the account that received it, ``key`` what tells it from every other
    message of that account: a handler that must act only once remembers keys. ``time`` is
    when the server took it, or None where the wire does not say. ``redelivered`` above 0 says
    that it may have been handled before, wholly, partly or not at all: it counts tries that
    failed, restarts and replays, not what the server delivers. ``tree`` is the decoded
    payload, for what has no field of its own.
    """

    account_id: str
    key: str
    conversation_id: str | None = None
    time: int | None = None
    redelivered: int = 0
    tree: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Written(Message):
    message_id: str | None = None
    note_id: str | None = None
    sender_id: str | None = None
    peer_id: str | None = None
    sender_name: str | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    content: Content = "text"
    images: tuple[str, ...] = field(default=(), repr=False)
    item_id: str | None = None
    order_id: str | None = None
    origin: Origin = "peer"

    def __repr__(self) -> str:
        shown = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr]
        text = f"text=<{len(self.text)} characters>"
        return f"{type(self).__name__}({', '.join((*shown, text))})"


@dataclass(slots=True)
class _Run:
    """The replies of one run of a handler, whichever copies of its message gave them."""

    durable: int = 0  # how many have a number
    unkept: dict[str, int] = field(default_factory=dict)  # numbers that nothing is kept by
    given: list[Sent] = field(default_factory=list)  # results of those that are not durable


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ChatMessage(_Written):
    """Someone wrote in a conversation of two.

    ``message_id`` is the message's id in the chat service, the one that history, read marks
    and recall use; ``note_id`` is the id of its notification. ``text`` is whole; for
    pictures, voice and cards it is a placeholder such as ``[图片]``, and ``images`` holds
    the pictures' addresses. ``item_id`` is the item that the conversation is about.
    ``order_id`` is an order that the message links to: the peer may have typed it, so look
    the order up before acting on it. ``origin`` is ``"client"`` for the echo of what this
    client sent, ``"seller"`` for what the owner wrote elsewhere, else ``"peer"``.
    """

    _sender: Sender | None = field(default=None, repr=False, compare=False)
    _handler: str = field(default="", repr=False, compare=False)
    _run: _Run = field(default_factory=_Run, repr=False, compare=False)
    _answered: dict[tuple[str, str], list[Sent]] = field(
        default_factory=dict, repr=False, compare=False
    )

    async def reply(self, text: str, /, *, durable: bool = False) -> Sent:
        """Answer with a text in the same conversation.

        Returns once the server has it. Raises `NotSent` if the text surely did not go out,
        `SendRefused` if the server refused it, `SendUnknown` if only the confirmation is
        missing, `ConfigError` for a text that cannot be sent (see `Client.send_text`), and
        `StateError` if the message cannot be answered: it did not come from a running client,
        or it names no conversation or peer. When the handler fails and runs again, the same
        words get the result of the first time and go out once. What it was not told to be sent
        goes out again, and after a restart all of it does.

        A ``durable`` reply survives a restart. It stays in the outbox, and goes out when
        that is possible, when the handler is cut off or is told `NotSent` or `SendUnknown`;
        only a refusal for good ends it. `StoreError` says that it was not kept,
        `ConfigError` that the client has no store. A handler that
        runs again for the same message gets the result of the first time for its first
        durable reply, for its second, and so on, and answers nothing twice, even if its
        words are others this time.
        """
        must_be_text(text=text)
        sender, conversation_id, peer_id = self._way_back()
        send = partial(sender.send_text, self.account_id, conversation_id, text, peer_id=peer_id)
        return await self._once(text, send, durable=durable)

    async def reply_image(
        self, url: str, /, *, width: int = 800, height: int = 600, durable: bool = False
    ) -> Sent:
        """Answer with a picture that was uploaded to ``url``; its size is in pixels.

        Returns and raises as `reply`.
        """
        must_be_text(url=url)
        sender, conversation_id, peer_id = self._way_back()
        send = partial(
            sender.send_image,
            self.account_id,
            conversation_id,
            url,
            peer_id=peer_id,
            width=width,
            height=height,
        )
        return await self._once(url, send, durable=durable)

    async def _once(
        self, content: str, send: Callable[..., Awaitable[Sent]], *, durable: bool
    ) -> Sent:
        """Send, unless the handler has been told of this reply in an earlier run.

        A durable reply is known by its number among those of a run: a number that nothing is
        kept by is left to the same content. Of the others the results are known, by content,
        and each is given once in a run.
        """
        run = self._run
        if durable:
            number = run.unkept.pop(content, run.durable)
            run.durable = max(run.durable, number + 1)
            try:
                return await send(durable=True, name=f"reply:{self.key}:{self._handler}.{number}")
            except StoreError:
                run.unkept[content] = number
                raise
        results = self._answered.setdefault((self._handler, content), [])
        result = next((each for each in results if each not in run.given), None)
        if result is None:
            result = await send(durable=False, name=None)
            results.append(result)
        run.given.append(result)
        return result

    def _way_back(self) -> tuple[Sender, str, str]:
        if self._sender is None:
            raise StateError("only a message that a running client delivered can be answered")
        if self.conversation_id is None or self.peer_id is None:
            raise StateError("the message names no conversation or no peer to answer")
        return self._sender, self.conversation_id, self.peer_id


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GroupMessage(_Written):
    """Someone wrote in a group; the fields are those of `ChatMessage`.

    It is not a `ChatMessage`, so that no bot answers groups by mistake, and it has no
    ``reply``: how the platform wants a group to be answered is not known.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNotice(Message):
    """An order moved on.

    ``text`` is the notice as the app shows it, ``red_reminder`` its short state in the list
    of conversations (``等待卖家发货``). Only some notices name their ``order_id`` and
    ``item_id``. Wordings change with the platform: compare loosely, expect new ones. A notice
    is told by its shape or its wording, and a wording can be typed by a person too (then
    ``content`` is ``"text"``): look the order up before shipping anything.
    """

    message_id: str | None = None
    note_id: str | None = None
    sender_id: str | None = None
    peer_id: str | None = None
    order_id: str | None = None
    item_id: str | None = None
    text: str = field(default="", repr=False)
    red_reminder: str | None = field(default=None, repr=False)
    content: Content | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemNotice(Message):
    """The platform's own words: tips, adverts, requests for a review.

    ``sender_id`` is whom the platform lets them come from, often the peer or the account.
    """

    message_id: str | None = None
    note_id: str | None = None
    sender_id: str | None = None
    peer_id: str | None = None
    order_id: str | None = None
    item_id: str | None = None
    text: str = field(default="", repr=False)
    content: Content | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReceipt(Message):
    """The peer has read the messages ``message_ids``."""

    message_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Typing(Message):
    """The peer is typing in ``conversation_id``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened(Message):
    """A conversation with ``peer_id`` about ``item_id`` was opened; nothing is written yet."""

    peer_id: str | None = None
    item_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker(Message):
    """The server says that message ``message_id`` exists, without its content."""

    message_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Message):
    """A payload of a shape that we do not know; look at ``tree``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecodable(Message):
    """A payload that could not be decoded; the payload itself is kept as a dead letter.

    ``stage`` is the step that failed: ``"missing"`` (an entry without payload),
    ``"base64"``, ``"msgpack"``, ``"json"`` or ``"read"`` (a tree of which no message could
    be made). ``reason`` is the word of `DecodeError` for it, or the class of what was raised
    on reading, ``offset`` the place, counted from 0.
    """

    reason: str
    offset: int = 0
    stage: str


@dataclass(frozen=True, slots=True)
class Expired:
    """A message that was older than the allowed age when it arrived.

    ``message`` is what a handler would have received otherwise.
    """

    message: Message

    @property
    def account_id(self) -> str:
        """The account that received the message."""
        return self.message.account_id

    @property
    def conversation_id(self) -> str | None:
        """The conversation of the message."""
        return self.message.conversation_id

    @property
    def key(self) -> str:
        """The key of the message."""
        return self.message.key


def for_handler(message: T, name: str, /) -> T:
    """Give the copy of a message that the handler of that name gets.

    Each handler counts its own replies, from none at every try: so a reply is known whenever
    that handler runs again, whichever others do. What was answered is known to all copies, and
    those that a handler makes count on.
    The first handler gets a fresh message itself, since a copy takes longer than to make one.
    """
    if isinstance(message, Expired):
        return replace(message, message=for_handler(message.message, name))
    if not isinstance(message, ChatMessage):
        return message
    if message._handler:
        return replace(message, _handler=name, _run=_Run())
    object.__setattr__(message, "_handler", name)
    return message


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Messages between ``start`` and ``end`` (milliseconds) may be missing.

    ``reason`` says why they could not be fetched. ``conversation_id`` is the one
    conversation that is concerned, or None for all of the account.
    """

    account_id: str
    start: int
    end: int
    reason: str
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One entry of the account's list of conversations.

    ``seller_id`` is the seller of the item: equal to the account's id if the account sells.
    ``unread`` counts unread messages, ``modified`` is the time of the last change in
    milliseconds, ``last_message_id`` the id of the newest message.
    """

    conversation_id: str
    peer_id: str | None = None
    item_id: str | None = None
    seller_id: str | None = None
    unread: int = 0
    modified: int | None = None
    last_message_id: str | None = None
