"""What observers are told: facts, which nobody may change, one after the other, on the event loop.

A hook is any callable that takes a `Fact`. It must be quick and must not raise; one that
does is logged and left out of nothing. No fact carries a secret or a message's text.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from xyfast.events import State
from xyfast.logs import logger, say

__all__ = [
    "AccountMeasured",
    "ClientMeasured",
    "Committed",
    "DeadLettered",
    "Fact",
    "Finished",
    "FoundDeaf",
    "GapFound",
    "HandlerRan",
    "Hook",
    "Hooks",
    "LinkEnded",
    "LinkRegistered",
    "LinkReplaced",
    "LoopBlocked",
    "MachineSlept",
    "Recovered",
    "Retried",
    "SendFinished",
    "SendOutcome",
    "StateChanged",
    "Troubled",
]

log = logger(__name__)


class Fact:
    """Something that happened."""


@dataclass(frozen=True, slots=True)
class StateChanged(Fact):
    """An account moved from one state to another; ``wait`` is the back-off in seconds."""

    account_id: str
    old: State
    new: State
    reason: str
    wait: float | None = None


@dataclass(slots=True)  # told for each message: frozen, it would take twice as long
class Committed(Fact):
    """The messages of one frame were stored and the frame was acknowledged.

    ``new`` were not known before, ``known`` were (they are not handled again), ``dead``
    of the new ones could not be decoded. The rest is seconds: from when the link read the frame
    until it was ``decoded``, from there until it was ``stored``, and until its ack was written
    (``acked``). They are None for what was fetched, which comes in no frame.
    """

    account_id: str
    new: int
    known: int
    dead: int
    decoded: float | None = None
    stored: float | None = None
    acked: float | None = None


@dataclass(slots=True)  # told for each message: frozen, it would take twice as long
class HandlerRan(Fact):
    """The handlers of a message ran, one after the other, and ended after ``seconds``.

    ``ok`` says that none of them failed. ``waited`` are the seconds from when the message was
    put into its lane in memory; None for another try, which waits on purpose. What waited in the
    store before that is not counted: `AccountMeasured.lag` tells of it. ``key`` is None for what
    is not in the inbox.
    """

    account_id: str
    key: str | None
    waited: float | None
    seconds: float
    ok: bool


@dataclass(slots=True)  # told for each message: frozen, it would take twice as long
class Finished(Fact):
    """The handlers of a message have ended; ``failed`` names the reason of a dead letter."""

    account_id: str
    key: str
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLettered(Fact):
    """A message became a dead letter: its payload cannot be read, or a handler failed for good.

    ``reason`` is what `DeadLetter.reason` says: no message text.
    """

    account_id: str
    key: str
    cause: Literal["payload", "handler"]
    reason: str


@dataclass(frozen=True, slots=True)
class Retried(Fact):
    """A handler failed for ``reason`` and is tried again after ``wait`` seconds.

    ``tries`` counts its failures up to now. ``key`` is None for what is not in the inbox.
    """

    account_id: str
    key: str | None
    tries: int
    wait: float
    reason: str


@dataclass(frozen=True, slots=True)
class Recovered(Fact):
    """An account was compared with what the server lists, and nothing is missing any more.

    ``messages`` were missing, of so many ``conversations``, and are in the inbox now.
    """

    account_id: str
    messages: int
    conversations: int


@dataclass(frozen=True, slots=True)
class GapFound(Fact):
    """Messages between two times of the server (milliseconds) are missing, and stay so.

    ``reason`` is that of `Gap`.
    """

    account_id: str
    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class LinkRegistered(Fact):
    """A link is registered."""

    account_id: str


@dataclass(frozen=True, slots=True)
class LinkReplaced(Fact):
    """Another link took the place of one that was up: for a new token, a deaf link, or on wish."""

    account_id: str


@dataclass(frozen=True, slots=True)
class LinkEnded(Fact):
    """A link is over, or could not be opened.

    ``trouble`` is that of `Closed.trouble`, ``age`` the seconds since it was registered, None
    if it never was. ``beats`` and ``good`` are the heartbeats, and the good answers to them,
    that no `AccountMeasured` has told of.
    """

    account_id: str
    trouble: str
    age: float | None
    beats: int
    good: int


@dataclass(frozen=True, slots=True)
class Troubled(Fact):
    """Something went wrong: ``name`` is its row in the table of errors.

    ``account_id`` is None for what concerns all of them: the store.
    """

    account_id: str | None
    name: str


@dataclass(frozen=True, slots=True)
class FoundDeaf(Fact):
    """The server has messages that an account's link, which seemed well, has not brought.

    Or it answered that link's request with 401. ``replaced`` says whether another link was
    asked for: not when the last one that was asked for has heard nothing either.
    """

    account_id: str
    replaced: bool


@dataclass(frozen=True, slots=True)
class MachineSlept(Fact):
    """The clock moved on by ``seconds`` in which nothing ran; all links are tested now."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LoopBlocked(Fact):
    """The event loop stood still for ``seconds`` or a little longer, and runs again.

    Links went on beating meanwhile, and nothing else went on.
    """

    seconds: float


SendOutcome = Literal["sent", "refused", "not sent", "unknown", "cancelled"]
"""What became of a message that was to be sent."""


@dataclass(frozen=True, slots=True)
class SendFinished(Fact):
    """A message was sent, or will not be; ``seconds`` is the time since it was asked for.

    One that is durable is told of when it is sent or refused, however long that takes.
    """

    account_id: str
    outcome: SendOutcome
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMeasured(Fact):
    """How an account stands; told every ``Settings.measure_every`` seconds."""

    account_id: str
    state: State
    link_age: float | None
    """Seconds since its link was registered; None without one."""
    round_trip: float | None
    """Seconds of the last heartbeat, at first of the registration."""
    beats: int
    """Heartbeats since the last time."""
    good: int
    """Those that were answered with code 200 since the last time."""
    known: int
    """Ids in its dedup window."""
    in_memory: int
    """Messages that wait for their handlers in memory, or are being handled."""
    unhandled: int | None
    """Messages in the store that are not handled, those in memory too; None if it does not
    answer."""
    dead: int | None
    """Its dead letters in the store."""
    lag: float | None
    """Seconds of the server's stream between what is stored and what is handled
    (`Kept.received` and `Kept.handled`); None if it does not answer."""
    gaps: int
    """Gaps whose handlers have not ended."""
    sending: int
    """Messages that wait to go out, or for their answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMeasured(Fact):
    """How a client stands; told after its accounts, every ``Settings.measure_every`` seconds."""

    time: float
    """Seconds of the event loop's clock."""
    running: int
    """Messages whose handlers run."""
    waiting: int
    """Messages in memory that wait for their turn."""
    uncommitted: int
    """Frames that wait for the store."""
    uncommitted_bytes: int
    """What they take."""
    unrecorded: int
    """Messages that are handled, which the store has not recorded yet."""


Hook = Callable[[Fact], None]
"""An observer."""


class Hooks:
    """Tells every hook, and survives each."""

    def __init__(self, hooks: Iterable[Hook]) -> None:
        self._hooks = tuple(hooks)

    def __bool__(self) -> bool:
        """Whether anybody is told: a fact that nobody hears of need not be made."""
        return bool(self._hooks)

    def __call__(self, fact: Fact) -> None:
        """Tell all."""
        for hook in self._hooks:
            try:
                hook(fact)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # nothing was cancelled here: we await nothing
                kind = type(fact).__name__
                say(log, logging.ERROR, "hook raised", error=error, fact=kind)
