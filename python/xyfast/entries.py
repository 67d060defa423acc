"""One payload on its way: as it came, as the inbox keeps it, as its handlers get it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from xyfast import envelope
from xyfast._core import Payload, read_payload
from xyfast.dispatch import Delivery
from xyfast.facts import Facts
from xyfast.logs import logger, say
from xyfast.messages import Expired, Message, Sender, Undecodable
from xyfast.store import DeadLetter, Row

__all__ = ["Entry", "Reader"]

log = logger(__name__)


class Entry:
    """A payload and what was read from it; ``facts`` is None if it cannot be read.

    Whatever a payload does to its readers stays with its entry: one that raised would be
    tried again for ever, with all that came after it.

    ``position`` is its place in the server's stream (microseconds): no later than its
    package, and no later than the time that it bears. ``taken`` says that it is in memory to
    be handled, and does not wait in the store.
    """

    __slots__ = (
        "account_id",
        "arrived",
        "conversation_id",
        "facts",
        "failure",
        "key",
        "payload",
        "position",
        "redelivered",
        "taken",
        "text",
    )

    def __init__(self, account_id: str, payload: Payload, arrived: int | None) -> None:
        self.account_id = account_id
        self.payload = payload
        self.text = payload.text or ""
        self.facts: Facts | None = None
        self.failure: str | None = None  # what was raised on reading its tree
        self.conversation_id: str | None = None
        self.key = ""
        if payload.error is None:
            try:
                self.facts = envelope.read(payload.tree, account_id)
                self.conversation_id = self.facts.conversation_id
            except Exception as error:
                self.fails(error)
        self.arrived = arrived
        self.redelivered = 0
        self.taken = False
        self.position = 0

    @classmethod
    def pushed(cls, account_id: str, payload: Payload, max_pts: int | None, arrived: int) -> Entry:
        """An entry of a package that ends at ``max_pts``, and arrived then (milliseconds)."""
        entry = cls(account_id, payload, arrived)
        facts = entry.facts
        entry.key = envelope.message_key(facts, payload.text, max_pts)
        entry.position = max_pts or 0
        if facts is not None and facts.time_ms is not None:
            time = facts.time_ms * 1000
            entry.position = time if max_pts is None else min(max_pts, time)
        return entry

    @classmethod
    def kept(cls, row: Row) -> Entry:
        """What a row of the inbox holds."""
        entry = cls(row.account_id, read_payload(row.payload), row.arrived)
        entry.key, entry.position, entry.redelivered = row.key, row.position, row.redelivered
        entry.conversation_id = row.conversation_id
        return entry

    def fails(self, error: Exception) -> None:
        """Its tree cannot be read."""
        self.failure = type(error).__name__
        account_id = self.account_id
        say(log, logging.ERROR, "payload not read", error=error, account=account_id)

    @property
    def dead(self) -> DeadLetter | None:
        """Why it cannot be read, if so."""
        if self.failure is not None:
            return DeadLetter(reason=f"read: {self.failure}")
        stage, error = self.payload.stage, self.payload.error
        if error is None:
            return None
        return DeadLetter(reason=f"{stage}: {error}", offset=error.offset)

    def row(self, *, follows: bool = False) -> Row:
        """The entry as it is kept; what cannot be read is a dead letter. See `Row.follows`."""
        return Row(
            account_id=self.account_id,
            key=self.key,
            payload=self.text,
            position=self.position,
            conversation_id=self.conversation_id,
            arrived=self.arrived,
            dead=self.dead,
            taken=self.taken,
            follows=follows,
        )


class Reader:
    """Makes the messages of entries.

    ``expiry_ms`` is the age on arrival past which a message is `Expired`, ``ours`` says
    whether this client sent what an account's facts tell of. Without a ``sender`` they
    cannot be answered.
    """

    def __init__(
        self, sender: Sender | None, ours: Callable[[str, Facts], bool], expiry_ms: int
    ) -> None:
        self._sender = sender
        self._ours = ours
        self._expiry_ms = expiry_ms

    def delivery(self, entry: Entry) -> Delivery:
        """What handlers are given of an entry that waits in the inbox."""
        message, size = self.message(entry), len(entry.text)
        return Delivery(message, entry.key, size, entry.dead)

    def message(self, entry: Entry) -> Message | Expired:
        """What an entry says."""
        if entry.facts is not None:
            try:
                return self._said(entry, entry.facts)
            except Exception as error:
                entry.fails(error)
        if entry.failure is not None:
            stage, reason, offset = "read", entry.failure, 0
        elif (wrong := entry.payload.error) is not None:
            stage, reason, offset = entry.payload.stage or "missing", wrong.reason, wrong.offset
        else:
            stage, reason, offset = "missing", "missing", 0
        return Undecodable(
            account_id=entry.account_id,
            key=entry.key,
            conversation_id=entry.conversation_id,
            redelivered=entry.redelivered,
            stage=stage,
            reason=reason,
            offset=offset,
        )

    def _said(self, entry: Entry, facts: Facts) -> Message | Expired:
        message = envelope.to_message(
            facts,
            account_id=entry.account_id,
            key=entry.key,
            tree=entry.payload.tree,
            redelivered=entry.redelivered,
            ours=self._ours(entry.account_id, facts),
            sender=self._sender,
        )
        late = (
            entry.arrived is not None
            and message.time is not None
            and entry.arrived - message.time > self._expiry_ms
        )
        return Expired(message) if late else message
