"""The words between a session and its driver: states, events and actions.

Events and actions are frozen and compare by value. An event is something that happened; an
action is something to do. Neither carries a secret.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from xyfast.retry import Trouble

__all__ = [
    "Action",
    "AskCredentials",
    "CloseLink",
    "Dial",
    "Drained",
    "Event",
    "FetchToken",
    "Kicked",
    "LinkDeaf",
    "LinkLost",
    "LinkOpened",
    "LinkRefused",
    "Moved",
    "NewCredentials",
    "Pause",
    "Resume",
    "RetireLink",
    "Start",
    "State",
    "Stop",
    "Tick",
    "TokenFailed",
    "TokenReady",
]


class State(enum.Enum):
    """Where an account stands."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    FAILED = "failed"
    NEEDS_LOGIN = "needs login"
    KICKED = "kicked"
    DRAINING = "draining"
    CLOSED = "closed"


# --- events: what a session is told -------------------------------------------------


class Event:
    """Something that happened."""


@dataclass(frozen=True, slots=True)
class Start(Event):
    """The user wants the account connected; also the way out of KICKED and of a pause."""


@dataclass(frozen=True, slots=True)
class Pause(Event):
    """The user wants the account to have no link for a while."""


@dataclass(frozen=True, slots=True)
class Stop(Event):
    """The user wants the account closed."""


@dataclass(frozen=True, slots=True)
class Drained(Event):
    """No handler of this account runs any more, or the grace time is over."""


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """The deadline has come."""


@dataclass(frozen=True, slots=True)
class TokenReady(Event):
    """A token was fetched. ``lifetime`` is in seconds, None if the server gave none."""

    lifetime: float | None = None


@dataclass(frozen=True, slots=True)
class TokenFailed(Event):
    """No token. ``human``: the platform wants a human, at ``url`` if it gave one."""

    reason: str
    trouble: Trouble = Trouble.OTHER
    human: bool = False
    url: str | None = None


@dataclass(frozen=True, slots=True)
class LinkOpened(Event):
    """A link is registered."""

    link: int


@dataclass(frozen=True, slots=True)
class LinkDeaf(Event):
    """A link that is up does not hear what is pushed, or is to be replaced for another reason."""

    link: int


@dataclass(frozen=True, slots=True)
class LinkLost(Event):
    """A link is over, or was never reached. ``deaf``: it no longer knows its token."""

    link: int
    trouble: Trouble
    reason: str
    deaf: bool = False


@dataclass(frozen=True, slots=True)
class LinkRefused(Event):
    """The server refused to register a link; ``error`` names a row of `troubles.ANSWERS`."""

    link: int
    error: str
    reason: str


@dataclass(frozen=True, slots=True)
class Kicked(Event):
    """The server ended this session on purpose."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class NewCredentials(Event):
    """The account has new cookies; a token made with the old ones is dropped."""


# --- actions: what a session asks for -----------------------------------------------


class Action:
    """Something to do."""


@dataclass(frozen=True, slots=True)
class FetchToken(Action):
    """Get a token; answer with `TokenReady` or `TokenFailed`."""


@dataclass(frozen=True, slots=True)
class Dial(Action):
    """Open and register a link; answer with `LinkOpened`, `LinkLost` or `LinkRefused`.

    The heartbeat's policy travels along: the link beats by itself.
    """

    link: int
    heartbeat: float
    timeout: float
    misses: int


@dataclass(frozen=True, slots=True)
class Resume(Action):
    """Send the stored position over this link, which is the account's link from now on."""

    link: int


@dataclass(frozen=True, slots=True)
class CloseLink(Action):
    """Close a link with code 1000."""

    link: int


@dataclass(frozen=True, slots=True)
class RetireLink(Action):
    """Let a link that was replaced end what is under way on it, then close it with code 1000."""

    link: int


@dataclass(frozen=True, slots=True)
class AskCredentials(Action):
    """Call the user's hook. ``human``: the platform waits for a human."""

    reason: str
    human: bool = False
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Moved(Action):
    """Tell log and observers of a change of state; ``wait`` is the back-off in seconds."""

    old: State
    new: State
    reason: str
    wait: float | None = None
