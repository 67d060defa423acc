"""What ``/status.json`` and ``/dead.json`` hold: plain JSON, without secrets and message texts.

Times are seconds since 1970 and durations seconds, unless a field says otherwise.
"""

from __future__ import annotations

from typing import TypedDict

__all__ = [
    "AccountStatus",
    "DeadLetters",
    "DeadStatus",
    "GapStatus",
    "HeldLetter",
    "LatencyStatus",
    "MoveStatus",
    "QuantileStatus",
    "Status",
    "Totals",
]


class QuantileStatus(TypedDict):
    """See `xyfast.instrumentation.histogram.Quantiles`."""

    count: int
    p50: float | None
    p90: float | None
    p99: float | None


class LatencyStatus(TypedDict):
    """See `xyfast.instrumentation.histogram.Latency`."""

    count: int
    total: float
    buckets: list[tuple[float, int]]
    recent: QuantileStatus
    ever: QuantileStatus


class MoveStatus(TypedDict):
    """A change of an account's state; ``wait`` is the back-off."""

    time: float
    account: str
    old: str
    new: str
    reason: str
    wait: float | None


class DeadStatus(TypedDict):
    """A message that became a dead letter in this run."""

    time: float
    account: str
    key: str
    cause: str
    reason: str


class GapStatus(TypedDict):
    """A gap; ``start`` and ``end`` are milliseconds since 1970."""

    time: float
    account: str
    start: int
    end: int
    reason: str


class AccountStatus(TypedDict):
    """An account. What was not looked at yet is None; see `AccountSnapshot` for the rest."""

    account: str
    name: str
    state: str
    since: float | None
    reason: str | None
    """Why it came into its state."""
    wait: float | None
    """The back-off of its last change of state."""
    link_age: float | None
    round_trip: float | None
    received: int
    handled: int
    sent: int
    received_rate: float | None
    handled_rate: float | None
    sent_rate: float | None
    unhandled: int | None
    """Messages in its inbox that are not handled."""
    in_memory: int | None
    dead_letters: int | None
    open_gaps: int | None
    lag: float | None
    sending: int | None
    registered: int
    replaced: int
    deaf: int
    retries: int
    errors: dict[str, int]
    """By row of the table of errors; only those that there were."""


class Totals(TypedDict):
    """Sums over all accounts of the client; ``lag`` is the greatest. None is taken for nothing."""

    accounts: int
    states: dict[str, int]
    received: int
    handled: int
    sent: int
    received_rate: float
    handled_rate: float
    sent_rate: float
    unhandled: int
    in_memory: int
    dead_letters: int
    open_gaps: int
    sending: int
    lag: float
    registered: int
    replaced: int
    deaf: int
    retries: int
    errors: dict[str, int]


class Status(TypedDict):
    """How a client stands."""

    version: str
    time: float
    began: float
    ready: bool
    """As ``/readyz`` says, ``reason`` in words."""
    reason: str
    actions: bool
    """Whether write actions are there."""
    totals: Totals
    matching: int
    """Accounts that the query finds, all without one."""
    accounts: list[AccountStatus]
    """The first of these, trouble first."""
    running: int
    """Messages whose handlers run."""
    waiting: int
    """Messages in memory that wait for their turn."""
    uncommitted: int
    """Frames that wait for the store."""
    unrecorded: int
    """Messages that are handled, which the store has not recorded yet."""
    errors: dict[str, int]
    """Of what accounts share, the store; those of accounts are in the totals."""
    blocked: int
    blocked_seconds: float
    slept: int
    slept_seconds: float
    hops: dict[str, LatencyStatus]
    heartbeat: LatencyStatus
    moves: list[MoveStatus]
    """The last ones, the newest last; so are the others."""
    dead: list[DeadStatus]
    gaps: list[GapStatus]


class HeldLetter(TypedDict):
    """A dead letter that the store holds."""

    number: int
    account: str
    key: str
    conversation: str | None
    arrived: int | None
    """The server's time on arrival, milliseconds since 1970."""
    cause: str
    reason: str
    redelivered: int


class DeadLetters(TypedDict):
    """Dead letters of the store, oldest first."""

    letters: list[HeldLetter]
    next: int | None
    """Where the next page begins (``?after=``), None if this is the last one."""
