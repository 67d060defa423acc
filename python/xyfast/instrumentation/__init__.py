"""What observers are told: frozen facts, one after the other, on the event loop.

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
    "Committed",
    "Fact",
    "Finished",
    "FoundDeaf",
    "Hook",
    "Hooks",
    "LoopBlocked",
    "MachineSlept",
    "Recovered",
    "Retried",
    "SendFinished",
    "SendOutcome",
    "StateChanged",
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


@dataclass(frozen=True, slots=True)
class Committed(Fact):
    """Messages of one account were stored and their pushes acknowledged.

    ``new`` were not known before, ``known`` were (they are not handled again), ``dead``
    of the new ones could not be decoded.
    """

    account_id: str
    new: int
    known: int
    dead: int


@dataclass(frozen=True, slots=True)
class Finished(Fact):
    """The handlers of a message have ended; ``failed`` names the reason of a dead letter."""

    account_id: str
    key: str
    failed: str | None = None


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


Hook = Callable[[Fact], None]
"""An observer."""


class Hooks:
    """Tells every hook, and survives each."""

    def __init__(self, hooks: Iterable[Hook]) -> None:
        self._hooks = tuple(hooks)

    def __call__(self, fact: Fact) -> None:
        """Tell all."""
        for hook in self._hooks:
            try:
                hook(fact)
            except Exception as error:
                kind = type(fact).__name__
                say(log, logging.ERROR, "hook raised", error=error, fact=kind)
