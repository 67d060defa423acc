"""Messages on their way, and which of the account's own messages this client has sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from xyfast._core import DedupCache
from xyfast.config import Settings
from xyfast.errors import NotSent, SendUnknown, XyfastError
from xyfast.facts import Facts
from xyfast.messages import Sent
from xyfast.store import Posted

__all__ = ["Letter", "Out", "new_future"]

_MOST_UNKNOWN = 1000  # messages without an outcome that are kept in mind


def new_future() -> asyncio.Future[Any]:
    """A future of the loop that runs."""
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class Letter:
    """A message on its way.

    ``kept`` says that the store has it, ``says`` is what its echo will say. ``turn`` is done
    when it may be written, ``sent`` when the answer or an echo says that the server has it.
    ``since`` and ``until`` are the server's time of the first write and of giving up, ``wrote``
    our loop's of the last one. ``outcome`` is what those are told who wait, ``wanted`` is false
    when nobody does.
    """

    post: Posted
    durable: bool
    kept: bool
    asked: float
    says: Facts
    turn: asyncio.Future[None] = field(default_factory=new_future)
    sent: asyncio.Future[Sent] = field(default_factory=new_future)
    outcome: asyncio.Future[Sent | XyfastError] = field(default_factory=new_future)
    work: asyncio.Task[None] = field(init=False)
    wrote: float | None = None
    since: int | None = None
    until: int | None = None
    wanted: bool = True

    def __post_init__(self) -> None:
        if self.post.state == "out":  # written by an earlier run
            self.since = self.post.created if self.post.time is None else self.post.time

    @property
    def lane(self) -> str:
        """The conversation."""
        return self.post.conversation_id

    def echoes(self, facts: Facts, skew: int) -> bool:
        """Whether a message of our own may be this one; ``skew`` is milliseconds."""
        if self.since is None or facts.time_ms is None or facts.conversation_id != self.lane:
            return False
        if facts.time_ms < self.since - skew:
            return False
        if self.until is not None and facts.time_ms > self.until + skew:
            return False
        if self.says.images:  # the text of a picture is a placeholder
            return facts.images == self.says.images
        # Nobody knows whether the platform keeps blanks at the ends.
        return (facts.text or "").strip() == (self.says.text or "").strip()

    def not_sent(self, why: str) -> NotSent:
        """The error that says so."""
        account_id = self.post.account_id
        return NotSent(f"account {account_id}: not sent: {why}", account_id=account_id)

    def unknown(self, why: str) -> SendUnknown:
        """The error that says so."""
        account_id = self.post.account_id
        return SendUnknown(f"account {account_id}: {why}", account_id=account_id)


class Out:
    """What was written and may be at the server, the last one last; and what surely is."""

    def __init__(self, settings: Settings) -> None:
        self._skew = int(settings.clock_skew * 1000)
        self._letters: dict[str, Letter] = {}
        self._ours = DedupCache(settings.dedup_size, settings.dedup_ttl)

    def __contains__(self, letter: Letter) -> bool:
        return letter.post.uuid in self._letters

    def add(self, letter: Letter) -> None:
        """A message is written."""
        self._letters[letter.post.uuid] = letter

    def discard(self, letter: Letter) -> None:
        """The server has surely not taken a message."""
        self._letters.pop(letter.post.uuid, None)

    def taken(self, letter: Letter, message_id: str | None, time: int | None) -> None:
        """The server has a message."""
        if message_id is not None:
            self.know(message_id)
        self.discard(letter)
        if not letter.sent.done():
            sent = Sent(message_id=message_id, uuid=letter.post.uuid, time=time)
            letter.sent.set_result(sent)

    def know(self, message_id: str) -> None:
        """It names a message that this client sent."""
        self._ours.add(message_id)

    def claims(self, facts: Facts) -> bool:
        """Whether this client sent a message of the account's own.

        One that may be a message still without an answer answers it.
        """
        if not facts.is_self or facts.message_id is None:
            return False
        if facts.message_id in self._ours:
            return True
        fitting = (
            letter
            for letter in reversed(self._letters.values())
            if letter.echoes(facts, self._skew)
        )
        if (letter := next(fitting, None)) is None:
            return False
        self.taken(letter, facts.message_id, facts.time_ms)
        return True

    def give_up(self, letter: Letter, now: int) -> None:
        """Keep in mind, within bounds, what is out without an outcome: its echo may come."""
        letter.until = now
        if len(self._letters) > _MOST_UNKNOWN:
            given_up = (each for each in self._letters.values() if each.until is not None)
            if (oldest := next(given_up, None)) is not None:
                self.discard(oldest)
