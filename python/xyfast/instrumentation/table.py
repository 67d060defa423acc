"""The one table of metrics: names, kinds, labels and meanings, as every exporter has them.

The page of metrics is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from xyfast.events import State
from xyfast.instrumentation.histogram import Latency
from xyfast.instrumentation.snapshot import Snapshot

__all__ = ["TABLE", "Metric", "Sample"]

Sample = tuple[tuple[str, ...], "float | Latency"]
"""Values of the labels, and the value."""

Read = Callable[[Snapshot], Iterable[Sample]]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, named as Prometheus has it; ``read`` takes its samples from a snapshot."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    read: Read


def _each(field: str) -> Read:
    """A number of each account that has it."""
    get = attrgetter(field)

    def read(snapshot: Snapshot) -> Iterable[Sample]:
        found = ((name, get(account)) for name, account in snapshot.accounts.items())
        return [((name,), value) for name, value in found if value is not None]

    return read


def _split(field: str) -> Read:
    """Numbers of each account by class."""
    get = attrgetter(field)

    def read(snapshot: Snapshot) -> Iterable[Sample]:
        return [
            ((name, kind), value)
            for name, account in snapshot.accounts.items()
            for kind, value in get(account).items()
        ]

    return read


def _client(field: str) -> Read:
    """A number of the whole client."""
    get = attrgetter(field)
    return lambda snapshot: [] if snapshot.client is None else [((), get(snapshot.client))]


def _all(field: str) -> Read:
    get = attrgetter(field)
    return lambda snapshot: [((), get(snapshot))]


def _by_state(snapshot: Snapshot) -> Iterable[Sample]:
    states = [account.state for account in snapshot.accounts.values()]
    return [((state.value,), states.count(state.value)) for state in State]


def _state(snapshot: Snapshot) -> Iterable[Sample]:
    accounts = snapshot.accounts.items()
    return [((name, one.state), 1) for name, one in accounts if one.state is not None]


def _errors(snapshot: Snapshot) -> Iterable[Sample]:
    shared = [(("", name), count) for name, count in snapshot.errors.items()]
    return [*shared, *_split("errors")(snapshot)]


def _hops(snapshot: Snapshot) -> Iterable[Sample]:
    return [((hop,), latency) for hop, latency in snapshot.hops.items()]


_ONE = ("account",)

TABLE: tuple[Metric, ...] = (
    # The process
    Metric("xyfast_info", "gauge", ("version",), "1; the version is a label.",
           lambda snapshot: [((snapshot.version,), 1)]),
    Metric("xyfast_counting_since_timestamp_seconds", "gauge", (),
           "When counting began, seconds since 1970.", _all("began")),
    # Accounts and links
    Metric("xyfast_accounts", "gauge", ("state",), "Accounts in each state.", _by_state),
    Metric("xyfast_account_state", "gauge", ("account", "state"),
           "1 for the state in which an account is; the others are left out.", _state),
    Metric("xyfast_state_changes_total", "counter", ("account", "state"),
           "Changes of state, by the new state.", _split("entered")),
    Metric("xyfast_links_registered_total", "counter", _ONE, "Links that were registered.",
           _each("registered")),
    Metric("xyfast_links_ended_total", "counter", ("account", "trouble"),
           "Links that ended or could not be opened, by `Closed.trouble`; `closed` was wanted.",
           _split("ended")),
    Metric("xyfast_links_replaced_total", "counter", _ONE,
           "Links in whose place another one was opened while they were up.", _each("replaced")),
    Metric("xyfast_links_deaf_total", "counter", _ONE,
           "Times that a link was found to hear nothing of what is pushed.", _each("deaf")),
    Metric("xyfast_link_age_seconds", "gauge", _ONE,
           "Time since the account's link was registered; missing without a link.",
           _each("link_age")),
    Metric("xyfast_heartbeats_total", "counter", _ONE, "Heartbeats sent.", _each("beats")),
    Metric("xyfast_heartbeats_answered_total", "counter", _ONE,
           "Heartbeats answered with code 200.", _each("good")),
    Metric("xyfast_heartbeat_round_trip_seconds", "gauge", _ONE,
           "The link's last round trip of a heartbeat, at first of its registration.",
           _each("round_trip")),
    Metric("xyfast_heartbeat_seconds", "histogram", (),
           "Round trips of heartbeats over all accounts; the last one of each look is counted.",
           _all("heartbeat")),
    Metric("xyfast_errors_total", "counter", ("account", "class"),
           "What went wrong, by row of [errors](errors.md); without an account for the store.",
           _errors),
    # Messages
    Metric("xyfast_messages_received_total", "counter", _ONE,
           "Messages that were stored and not known before.", _each("received")),
    Metric("xyfast_messages_known_total", "counter", _ONE,
           "Messages that came again; they are not handled again.", _each("known")),
    Metric("xyfast_messages_handled_total", "counter", _ONE,
           "Messages that were handled, and recorded so.", _each("handled")),
    Metric("xyfast_messages_recovered_total", "counter", _ONE,
           "Messages that no link brought and that were fetched from the server's lists.",
           _each("recovered")),
    Metric("xyfast_gaps_total", "counter", _ONE, "Gaps found.", _each("gaps")),
    Metric("xyfast_gaps_open", "gauge", _ONE, "Gaps whose handlers have not ended.",
           _each("open_gaps")),
    Metric("xyfast_dead_letters_total", "counter", ("account", "cause"),
           "Messages that became dead letters: `payload` cannot be read, or a `handler` failed.",
           _split("dead")),
    Metric("xyfast_inbox_dead_letters", "gauge", _ONE, "Dead letters that the store holds.",
           _each("dead_letters")),
    Metric("xyfast_handler_failures_total", "counter", _ONE,
           "Runs in which a handler of a message failed.", _each("failures")),
    Metric("xyfast_handler_retries_total", "counter", _ONE,
           "Further tries that failed handlers were given.", _each("retries")),
    Metric("xyfast_sends_total", "counter", ("account", "outcome"),
           "Messages to be sent, by outcome: `sent`, `refused`, `not sent`, `unknown` or "
           "`cancelled`.", _split("sends")),
    Metric("xyfast_hop_seconds", "histogram", ("hop",),
           "Time of each hop of a message, over all accounts.", _hops),
    # What waits
    Metric("xyfast_inbox_messages", "gauge", _ONE,
           "Messages in the store that are not handled, those in memory too.",
           _each("unhandled")),
    Metric("xyfast_memory_messages", "gauge", _ONE,
           "Messages in memory that wait for their handlers or are being handled.",
           _each("in_memory")),
    Metric("xyfast_cursor_lag_seconds", "gauge", _ONE,
           "How far handling is behind storing, in time of the server's stream.", _each("lag")),
    Metric("xyfast_outbox_messages", "gauge", _ONE,
           "Messages that wait to go out, or for their answer.", _each("sending")),
    Metric("xyfast_dedup_ids", "gauge", _ONE, "Ids in the dedup window.", _each("dedup")),
    Metric("xyfast_handlers_running", "gauge", (), "Messages whose handlers run.",
           _client("running")),
    Metric("xyfast_lanes_waiting", "gauge", (), "Messages in memory that wait for their turn.",
           _client("waiting")),
    Metric("xyfast_frames_uncommitted", "gauge", (), "Frames that wait for the store.",
           _client("uncommitted")),
    Metric("xyfast_uncommitted_bytes", "gauge", (), "What these frames take.",
           _client("uncommitted_bytes")),
    Metric("xyfast_outcomes_unrecorded", "gauge", (),
           "Messages that are handled, which the store has not recorded yet.",
           _client("unrecorded")),
    # The machine
    Metric("xyfast_loop_blocks_total", "counter", (), "Times that the event loop stood still.",
           _all("blocked")),
    Metric("xyfast_loop_blocked_seconds_total", "counter", (), "For how long, together.",
           _all("blocked_seconds")),
    Metric("xyfast_machine_sleeps_total", "counter", (), "Times that the machine slept.",
           _all("slept")),
    Metric("xyfast_machine_slept_seconds_total", "counter", (), "For how long, together.",
           _all("slept_seconds")),
)  # fmt: skip
"""Every metric, in the order of the page."""
