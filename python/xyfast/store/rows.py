"""What the inbox holds, and the protocol of whoever keeps it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

__all__ = ["DeadLetter", "Row", "Store"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Why a message could not be decoded or handled.

    ``reason`` is one sentence without message text; ``offset`` is the byte at which
    decoding stopped, None for a handler's failure.
    """

    reason: str
    offset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One received message as it is kept.

    ``(account_id, key)`` is unique for ever. ``payload`` is the text that came, so that
    everything else can be read from it again. ``arrived`` is the server's clock on
    arrival in milliseconds. ``dead`` is set when the payload could not be decoded.
    ``redelivered`` counts the restarts since which its handler may have run before.
    """

    account_id: str
    key: str
    payload: str = field(repr=False)
    conversation_id: str | None = None
    arrived: int | None = None
    dead: DeadLetter | None = None
    redelivered: int = 0


@runtime_checkable
class Store(Protocol):
    """Keeps received messages until they are handled, and remembers them after.

    Every method raises `StoreError` when it could not do its work; nothing of a call
    that raised has happened. Calls of one store may overlap; each is atomic.
    """

    async def open(self) -> None:
        """Make ready; messages left unhandled by an earlier run count as redelivered."""

    async def append(self, rows: Sequence[Row]) -> Collection[tuple[str, str]]:
        """Commit ``rows``; returns the ``(account_id, key)`` of those that are new.

        A row whose identity is known, or comes twice in the batch, changes nothing. When
        this returns, the new rows survive whatever the store promises to survive.
        """

    async def handled(self, account_id: str, keys: Sequence[str], cursor: int | None) -> None:
        """Record that messages are done, and the cursor that follows (None: unchanged)."""

    async def dead(self, account_id: str, key: str, letter: DeadLetter) -> None:
        """Record that a message could not be handled."""

    async def pending(self, account_id: str) -> Sequence[Row]:
        """Messages stored and neither handled nor dead, oldest first."""

    async def cursor(self, account_id: str) -> int | None:
        """The stored cursor of an account; None if there is none yet."""

    async def save_session(self, account_id: str, blob: str) -> None:
        """Keep an account's session material (device id, rotated cookies): a secret."""

    async def load_session(self, account_id: str) -> str | None:
        """What `save_session` kept; None if nothing."""

    async def close(self) -> None:
        """Finish and let go of everything; further calls raise `StoreError`."""
