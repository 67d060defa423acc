"""One payload on its way: as it came, as the inbox keeps it, as its handlers get it."""

from __future__ import annotations

from collections.abc import Callable

from xyfast import envelope
from xyfast._core import Payload, read_payload
from xyfast.dispatch import Delivery
from xyfast.facts import Facts
from xyfast.messages import Expired, Message, Sender, Undecodable
from xyfast.store import DeadLetter, Row

__all__ = ["Entry", "Reader"]


class Entry:
    """A payload and what was read from it; ``facts`` is None if it cannot be read.

    ``position`` is its place in the server's stream (microseconds): no later than its
    package, and no later than the time that it bears. ``taken`` says that it is in memory to
    be handled, and does not wait in the store.
    """

    __slots__ = (
        "account_id",
        "arrived",
        "conversation_id",
        "facts",
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
        self.conversation_id: str | None = None
        if payload.error is None:
            self.facts = envelope.read(payload.tree, account_id)
            self.conversation_id = self.facts.conversation_id
        self.arrived = arrived
        self.redelivered = 0
        self.taken = False
        self.key = ""
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
        return entry

    @property
    def dead(self) -> DeadLetter | None:
        """Why it cannot be read, if so."""
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
        return Delivery(message, entry.key, entry.position, size, entry.dead)

    def message(self, entry: Entry) -> Message | Expired:
        """What an entry says."""
        facts, error = entry.facts, entry.payload.error
        if facts is None:
            return Undecodable(
                account_id=entry.account_id,
                key=entry.key,
                redelivered=entry.redelivered,
                stage=entry.payload.stage or "missing",
                reason="missing" if error is None else error.reason,
                offset=0 if error is None else error.offset,
            )
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
