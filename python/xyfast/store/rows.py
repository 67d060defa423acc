"""What the inbox and the outbox hold, and the protocol of whoever keeps them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

__all__ = [
    "DeadLetter",
    "Depth",
    "Kept",
    "Outcome",
    "Page",
    "PostState",
    "Posted",
    "Row",
    "Standing",
    "Store",
    "cursor",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Why a message could not be decoded or handled.

    ``reason`` is one sentence without message text; ``offset`` is the byte at which
    decoding stopped, None for a handler's failure.
    """

    reason: str
    offset: int | None = None


@dataclass(slots=True, kw_only=True)  # frozen, it would take three times as long to make
class Row:
    """One received message as it is kept.

    ``(account_id, key)`` is unique for as long as the row is kept. ``payload`` is the text
    that came, so that everything else can be read from it again. ``position`` is the place
    in the server's stream, in microseconds: rows are handed out by it. ``arrived`` is the
    server's clock on arrival in milliseconds. ``dead`` is set when the payload could not be
    decoded. ``taken`` says that this process holds the message and may give it to a handler
    at any time; one that is not taken waits. ``follows`` says that it came in one package with
    the row before it, behind it. ``redelivered`` counts how often the message
    was taken before, and neither given back nor recorded as ended: whether a handler had begun
    then, the store does not know.
    """

    account_id: str
    key: str
    payload: str = field(repr=False)
    position: int = 0
    conversation_id: str | None = None
    arrived: int | None = None
    dead: DeadLetter | None = None
    taken: bool = False
    follows: bool = False
    redelivered: int = 0


class Outcome(NamedTuple):
    """The handlers of a message have ended; ``letter`` says why one failed."""

    account_id: str
    key: str
    letter: DeadLetter | None = None


class Page(NamedTuple):
    """Rows that were taken, in order, and the lowest position that still waits, if any does."""

    rows: Sequence[Row]
    waiting: int | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What an account left behind.

    ``received`` is the position of the server (microseconds) up to which all is stored, None
    before the first. ``handled`` is the cursor: the position up to which all that is stored
    has been handled or is a dead letter, None as long as ``received`` is. It is read off the
    inbox and kept nowhere else, so it never passes a message that waits or is taken, and goes
    back when one waits again or comes late. Nothing here needs it: it is for observers, to whom
    ``received - handled`` says how far the handlers are behind.
    ``session`` is what `Store.save_session` got last: a secret.
    """

    received: int | None
    handled: int | None
    session: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an account of a store is, as `SqliteStore.accounts` tells.

    ``received`` and ``handled`` are as in `Kept`, ``waiting`` how many messages wait for their
    handlers or are with them, ``dead`` how many are dead letters, ``unsent`` how many durable
    messages have no outcome. ``saved`` is when its session last changed and was saved
    (milliseconds since 1970), None if it has none.
    """

    account_id: str
    received: int | None
    handled: int | None
    waiting: int
    dead: int
    unsent: int
    saved: int | None


def cursor(received: int | None, unhandled: Iterable[int]) -> int | None:
    """``Kept.handled``, from ``Kept.received`` and the positions of what waits or is taken."""
    return None if received is None else min((received, *(each - 1 for each in unhandled)))


class Depth(NamedTuple):
    """How many of an account's messages wait or are taken, and how many are dead letters."""

    unhandled: int
    dead: int


PostState = Literal["queued", "out", "sent", "refused", "unknown"]
"""Not written yet; written, unanswered; and settled: taken by the server, refused by it, never
to be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One message that was sent, or is to be sent, with ``durable=True``.

    ``(account_id, name)`` is unique: what was asked for twice goes out once. ``content`` is
    the content JSON (``protocol.md`` 9.1), ``uuid`` the id given to the server, ``created``
    milliseconds since 1970. ``time`` is the server's time in milliseconds at which it was first
    written, later the one that the server's answer said; ``message_id`` is from there too.
    """

    account_id: str
    name: str
    conversation_id: str
    peer_id: str
    content: str = field(repr=False)
    uuid: str
    created: int
    state: PostState = "queued"
    message_id: str | None = None
    time: int | None = None


@runtime_checkable
class Store(Protocol):
    """Keeps received messages until they are handled, and remembers them after.

    Every method raises `StoreError` when it could not do its work; nothing of a call
    that raised has happened. Calls of one store may overlap; each is atomic.
    """

    async def open(self) -> None:
        """Make ready; what an earlier run had taken waits again, counted as redelivered.

        That holds for all that it had not given back, whether a handler had begun or not.
        """

    async def commit(
        self,
        rows: Sequence[Row] = (),
        outcomes: Sequence[Outcome] = (),
        *,
        received: Mapping[str, int] | None = None,
    ) -> Collection[tuple[str, str]]:
        """Commit all of it at once; returns the ``(account_id, key)`` of rows that are new.

        A row whose identity is known changes nothing, except that one which still waits and
        comes behind a new one of its package and of its position stands behind that from then
        on, with all that waits behind it at that position. ``outcomes`` make messages handled
        or dead that wait or are taken, those of ``rows`` included; others stay as they are.
        ``received`` are positions by account; they never go back.
        When this returns, everything survives whatever the store promises to survive.
        Raises `StoreFull` when new rows would exceed the store's bounds.
        """

    async def take(
        self,
        account_id: str,
        limit: int,
        *,
        size: int | None = None,
        skip: Collection[str | None] = (),
        until: int | None = None,
    ) -> Page:
        """Take the waiting rows that are first in line: ``limit``, or fewer if they are large.

        No more are taken once their payloads come to ``size`` characters, so that a page is
        larger than that by less than its last row. The line is ordered by position, then by
        the order of coming. Rows of the conversations in ``skip`` stay where they are, as do
        those whose position is beyond ``until``; ``waiting`` of the page counts them.
        """

    async def untake(self, identities: Collection[tuple[str, str]], *, begun: bool = False) -> None:
        """Let taken rows wait again: as though they had not been taken, if no handler has begun.

        Those that handlers had ``begun`` are counted as redelivered. ``identities`` are
        ``(account_id, key)``; rows that are not taken stay as they are.
        """

    async def load(self, account_id: str) -> Kept:
        """What is kept of an account; all None for a new one."""

    async def save_session(self, account_id: str, blob: str) -> None:
        """Keep an account's session material (device id, rotated cookies): a secret."""

    async def known(self, account_id: str, keys: Collection[str]) -> Collection[str]:
        """Those of ``keys`` that have a row, in whatever state."""

    async def dead_letters(
        self, account_id: str | None = None, *, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, Row]]:
        """Dead letters with their numbers, oldest first; ``after`` is the last number seen."""

    async def depth(self) -> Mapping[str, Depth]:
        """How much there is by account; accounts without any are left out. For observers."""

    async def revive(self, account_id: str, keys: Collection[str]) -> int:
        """Let handled or dead messages wait again, counted as redelivered; returns how many."""

    async def revived(self) -> Collection[str]:
        """Accounts with rows that another process let wait again since the last call."""

    async def sweep(self) -> int:
        """Forget what was kept for long enough; returns how many rows went.

        A call looks at a bounded part of the store and the next one goes on from there, so
        that nobody waits long for it; to be called again and again, say once a minute.
        """

    async def post(self, letter: Posted) -> Posted:
        """Keep a message that is to be sent; returns what is kept by that name.

        Raises `StoreFull` if too much waits to go out already.
        """

    async def mark(
        self,
        account_id: str,
        name: str,
        state: PostState,
        *,
        message_id: str | None = None,
        time: int | None = None,
    ) -> None:
        """Record what became of a posted message; one that is not kept stays unknown."""

    async def unsent(self, account_id: str) -> Sequence[Posted]:
        """Posted messages that are queued or out, in the order in which they were posted."""

    async def settled(self, account_id: str, limit: int) -> Sequence[Posted]:
        """The ``limit`` posted messages with an outcome that were posted last, in that order."""

    async def close(self) -> None:
        """Finish and let go of everything; further calls raise `StoreError`."""
