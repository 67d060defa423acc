"""What `Metrics` has counted by now: typed, and JSON as it stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from xyfast.instrumentation.histogram import Latency

__all__ = [
    "AccountSnapshot",
    "ClientSnapshot",
    "DeadShown",
    "GapShown",
    "MoveShown",
    "Snapshot",
    "Transition",
]


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state at ``time`` (seconds since 1970); ``wait`` is the back-off in seconds."""

    time: float
    old: str
    new: str
    reason: str
    wait: float | None


@dataclass(frozen=True, slots=True)
class MoveShown:
    """A `Transition`, and whose."""

    time: float
    account: str
    old: str
    new: str
    reason: str
    wait: float | None


@dataclass(frozen=True, slots=True)
class DeadShown:
    """A dead letter that came about at ``time`` (seconds since 1970)."""

    time: float
    account: str
    key: str
    cause: str
    reason: str


@dataclass(frozen=True, slots=True)
class GapShown:
    """A gap that was found at ``time`` (seconds since 1970); its ends are milliseconds."""

    time: float
    account: str
    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSnapshot:
    """One account: counts since the beginning, and how it stood when it was last looked at.

    What was not looked at yet is None. Rates are messages a second over the last twelve looks.
    """

    state: str | None
    since: float | None
    """When it came into its state, seconds since 1970."""
    transitions: tuple[Transition, ...]
    """The last changes of state, the newest last."""

    entered: dict[str, int]
    """Changes of state, by the new state."""
    registered: int
    replaced: int
    deaf: int
    ended: dict[str, int]
    """Ends of links, by trouble."""
    errors: dict[str, int]
    """By row of the table of errors (the page reference/errors of the documentation)."""
    beats: int
    good: int
    received: int
    known: int
    handled: int
    dead: dict[str, int]
    """Dead letters since the beginning, by cause."""
    failures: int
    retries: int
    gaps: int
    recovered: int
    sends: dict[str, int]
    """By outcome."""

    received_rate: float | None
    handled_rate: float | None
    sent_rate: float | None

    link_age: float | None
    round_trip: float | None
    dedup: int | None
    in_memory: int | None
    unhandled: int | None
    dead_letters: int | None
    """Dead letters that the store holds."""
    lag: float | None
    open_gaps: int | None
    sending: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSnapshot:
    """What accounts share, as it stood when it was last looked at."""

    running: int
    waiting: int
    uncommitted: int
    uncommitted_bytes: int
    unrecorded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All of it. ``time`` and ``began`` are seconds since 1970."""

    time: float
    began: float
    version: str
    accounts: dict[str, AccountSnapshot]
    client: ClientSnapshot | None
    hops: dict[str, Latency]
    """By name of the hop: see the page reference/metrics of the documentation."""
    heartbeat: Latency
    """Round trips of heartbeats; one a look and link is counted."""
    errors: dict[str, int]
    """Of what accounts share, by row of the table of errors."""
    blocked: int
    """Times that the event loop stood still, and ``blocked_seconds``."""
    blocked_seconds: float
    slept: int
    """Times that the machine slept, and ``slept_seconds``."""
    slept_seconds: float
    dead_letters: tuple[DeadShown, ...]
    """The last ones, the newest last."""
    gaps: tuple[GapShown, ...]
    """The last ones, the newest last."""
    moves: tuple[MoveShown, ...]
    """The last changes of state of all accounts, the newest last."""

    def as_json(self) -> dict[str, Any]:
        """The same as dicts, lists and plain values."""
        return asdict(self)
