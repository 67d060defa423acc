"""What happened to one account, written down by the server's side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Call", "Changes", "Ledger", "Registration", "Sent"]


class Registration(NamedTuple):
    """One ``/reg``: who asked and how it was answered."""

    device_id: str
    code: int


class Call(NamedTuple):
    """One HTTP call: which api and the first word of its ``ret``."""

    api: str
    code: str


class Sent(NamedTuple):
    """One message that a client sent and the server took."""

    uuid: str
    conversation: str
    text: str
    receivers: tuple[str, ...]
    message_id: str
    content: dict[str, Any]
    """The content JSON, as `samples` makes it."""


@dataclass(kw_only=True, slots=True)
class Ledger:
    """Counts and lists of one account; read them freely, the server writes them.

    An entry that is no message is known by ``entry-<pts>``.
    """

    pushed: list[str] = field(default_factory=list)
    """Ids given to `FakeServer.push`, in order, whether or not a link heard them."""
    echoed: list[str] = field(default_factory=list)
    """Ids of the account's own messages that were pushed back to it."""
    delivered: Counter[str] = field(default_factory=Counter)
    """How often each entry was written to a link."""
    acked: set[str] = field(default_factory=set)
    """Ids acked in a push, or confirmed by an ackDiff after they were delivered."""
    skipped: set[str] = field(default_factory=set)
    """Ids that an ackDiff passed over before any link was given them."""
    acks: int = 0
    """Acks of packages, repeated ones not counted."""
    repeated_acks: int = 0
    """Acks of a package that was acked before."""
    heartbeats: int = 0
    received: list[str] = field(default_factory=list)
    """Every text frame from the account's registered links."""
    invalid: int = 0
    """Frames that were no envelope."""
    sent: list[Sent] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    """Message ids that were marked read."""
    registrations: list[Registration] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    """HTTP calls, in order."""

    @property
    def unacked(self) -> set[str]:
        """Pushed ids that nobody acked yet."""
        return set(self.pushed) - self.acked

    @property
    def repeated(self) -> int:
        """Writes of an entry beyond its first."""
        return self.delivered.total() - len(self.delivered)


class Changes:
    """Tells waiting tests that some ledger has changed."""

    def __init__(self) -> None:
        self._listeners: set[Callable[[], None]] = set()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` on every change."""
        self._listeners.add(listener)

    def unsubscribe(self, listener: Callable[[], None]) -> None:
        """Stop calling ``listener``."""
        self._listeners.discard(listener)

    def notify(self) -> None:
        """Tell every listener."""
        for listener in tuple(self._listeners):
            listener()
