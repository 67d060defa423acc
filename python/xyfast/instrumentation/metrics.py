"""Counters, levels and latencies of a client, kept by an observer.

>>> metrics = Metrics()
>>> client = Client(hooks=[metrics])
>>> metrics.snapshot().accounts
{}
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any, NamedTuple, get_args

from xyfast.events import State
from xyfast.instrumentation import (
    AccountMeasured,
    ClientMeasured,
    Committed,
    DeadLettered,
    Fact,
    Finished,
    FoundDeaf,
    GapFound,
    HandlerRan,
    Hook,
    LinkEnded,
    LinkRegistered,
    LinkReplaced,
    LoopBlocked,
    MachineSlept,
    Recovered,
    Retried,
    SendFinished,
    SendOutcome,
    StateChanged,
    Troubled,
)
from xyfast.instrumentation.histogram import MARKS, Histogram
from xyfast.instrumentation.snapshot import (
    AccountSnapshot,
    ClientSnapshot,
    DeadShown,
    GapShown,
    MoveShown,
    Snapshot,
    Transition,
)

__all__ = ["HOPS", "OTHERS", "Brief", "Metrics", "latencies", "metrics_of"]

HOPS = {
    "decoded": "from when the link has read a frame until its messages are decoded; the wait for "
    "the event loop and for room is in it",
    "stored": "from there until the frame is committed to the store, with all tries that it takes",
    "acked": "from there until the acks of that commit are written",
    "started": "from when a message is in its lane in memory until its handlers start; what "
    "waits in the store before that shows in `xyfast_cursor_lag_seconds`",
    "handled": "from there until its handlers have ended, each try by itself",
    "answered": "from when a message was to be sent until the server's answer, or until an echo "
    "or the history showed it; the wait for its turn is in it",
}
"""What is timed on a message's way, and what each hop is. The last one is that of a message that
is sent; the first three are of frames, which may hold several messages."""

OTHERS = "others"
"""The account under which those are counted that are too many."""

_LAST = 20  # of each account's changes of state, and of gaps
_LAST_DEAD = _LAST_MOVES = 50  # of all accounts
# These begin at 0 for each account, or for the client: Prometheus sees no increase in the first
# number of a series, and alerts ask for these.
_CAUSES = ("payload", "handler")
_ERRORS = ("ConfigError", "proxy-refused", "untrusted")
_CLIENT_ERRORS = ("StoreError", "StoreFull")


Timed = tuple[tuple[str, float], ...]


def _of_committed(fact: Committed) -> Timed:
    if fact.decoded is None or fact.stored is None or fact.acked is None:
        return ()
    return ("decoded", fact.decoded), ("stored", fact.stored), ("acked", fact.acked)


def _of_run(fact: HandlerRan) -> Timed:
    if fact.waited is None:
        return (("handled", fact.seconds),)
    return ("started", fact.waited), ("handled", fact.seconds)


def _of_send(fact: SendFinished) -> Timed:
    return (("answered", fact.seconds),) if fact.outcome in ("sent", "refused") else ()


def _of_look(fact: AccountMeasured) -> Timed:
    if not fact.good or fact.round_trip is None:
        return ()
    return (("heartbeat", fact.round_trip),)


# Not a `match`: that would take as long as all else that is done for a fact.
_TIMED: dict[type[Fact], Callable[[Any], Timed]] = {
    Committed: _of_committed,
    HandlerRan: _of_run,
    SendFinished: _of_send,
    AccountMeasured: _of_look,
}


def latencies(fact: Fact, /) -> Timed:
    """What a fact says of how long something took: names of `HOPS` or ``heartbeat``, seconds."""
    times = _TIMED.get(type(fact))
    return () if times is None else times(fact)


class Brief(NamedTuple):
    """Some of what an `AccountSnapshot` has, of the same names, and what was last measured."""

    received: int
    handled: int
    sent: int
    received_rate: float
    handled_rate: float
    sent_rate: float
    registered: int
    replaced: int
    deaf: int
    retries: int
    errors: Mapping[str, int]
    """Not a copy: to be read at once."""
    measured: AccountMeasured | None


def _zeros(names: Iterable[str]) -> Counter[str]:
    return Counter(dict.fromkeys(names, 0))


class _Account:
    """What is counted of one account."""

    def __init__(self) -> None:
        self.state: str | None = None
        self.since: float | None = None
        self.transitions: deque[Transition] = deque(maxlen=_LAST)
        self.entered: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.errors = _zeros(_ERRORS)
        self.dead = _zeros(_CAUSES)
        self.sends = _zeros(get_args(SendOutcome))
        self.registered = self.replaced = self.deaf = 0
        self.beats = self.good = 0
        self.received = self.known = self.handled = self.failures = self.retries = 0
        self.gaps = self.recovered = 0
        self.measured: AccountMeasured | None = None
        self.marks: deque[tuple[float, int, int, int]] = deque(maxlen=MARKS)

    def mark(self, now: float) -> tuple[float, int, int, int]:
        return now, self.received, self.handled, self.sends["sent"]

    def rates(self, now: float) -> tuple[float | None, float | None, float | None]:
        try:
            began, received, handled, sent = self.marks[0]
        except IndexError:  # nobody has looked at it, or nobody does any more
            return None, None, None
        passed = now - began
        if passed <= 0:
            return None, None, None
        return (
            (self.received - received) / passed,
            (self.handled - handled) / passed,
            (self.sends["sent"] - sent) / passed,
        )

    def brief(self, now: float) -> Brief:
        received_rate, handled_rate, sent_rate = self.rates(now)
        return Brief(
            self.received,
            self.handled,
            self.sends["sent"],
            received_rate or 0.0,
            handled_rate or 0.0,
            sent_rate or 0.0,
            self.registered,
            self.replaced,
            self.deaf,
            self.retries,
            self.errors,
            self.measured,
        )

    def read(self, now: float) -> AccountSnapshot:
        rates, level = self.rates(now), self.measured
        return AccountSnapshot(
            state=self.state,
            since=self.since,
            transitions=tuple(self.transitions),
            entered=dict(self.entered),
            registered=self.registered,
            replaced=self.replaced,
            deaf=self.deaf,
            ended=dict(self.ended),
            errors=dict(self.errors),
            beats=self.beats,
            good=self.good,
            received=self.received,
            known=self.known,
            handled=self.handled,
            dead=dict(self.dead),
            failures=self.failures,
            retries=self.retries,
            gaps=self.gaps,
            recovered=self.recovered,
            sends=dict(self.sends),
            received_rate=rates[0],
            handled_rate=rates[1],
            sent_rate=rates[2],
            link_age=None if level is None else level.link_age,
            round_trip=None if level is None else level.round_trip,
            dedup=None if level is None else level.known,
            in_memory=None if level is None else level.in_memory,
            unhandled=None if level is None else level.unhandled,
            dead_letters=None if level is None else level.dead,
            lag=None if level is None else level.lag,
            open_gaps=None if level is None else level.gaps,
            sending=None if level is None else level.sending,
        )


class Metrics:
    """A hook that counts; `snapshot` gives what it has by now, from any thread.

    It holds so much for each account and no more, whatever happens; accounts beyond
    ``most_accounts`` are counted together as `OTHERS`. Nothing of it is a secret or a
    message's text. ``clock`` gives seconds since 1970. One `Metrics` serves one client.
    """

    def __init__(
        self, *, most_accounts: int = 10_000, clock: Callable[[], float] = time.time
    ) -> None:
        self._most = most_accounts
        self._clock = clock
        self._began = clock()
        self._version = version("xyfast")
        self._accounts: dict[str, _Account] = {}
        self._client: ClientMeasured | None = None
        self._timed = {what: Histogram() for what in (*HOPS, "heartbeat")}
        self._errors = _zeros(_CLIENT_ERRORS)
        self._blocked = self._slept = 0
        self._blocked_seconds = self._slept_seconds = 0.0
        self._dead: deque[DeadShown] = deque(maxlen=_LAST_DEAD)
        self._gaps: deque[GapShown] = deque(maxlen=_LAST)
        self._moves: deque[MoveShown] = deque(maxlen=_LAST_MOVES)
        self._takes: dict[type[Fact], Callable[[Any], None]] = {
            Committed: self._on_committed,
            HandlerRan: self._on_ran,
            Finished: self._on_finished,
            SendFinished: self._on_sent,
            StateChanged: self._on_state,
            AccountMeasured: self._on_account,
            ClientMeasured: self._on_client,
            Troubled: self._on_trouble,
            DeadLettered: self._on_dead,
            Retried: self._on_retried,
            GapFound: self._on_gap,
            Recovered: self._on_recovered,
            LinkRegistered: self._on_registered,
            LinkReplaced: self._on_replaced,
            LinkEnded: self._on_ended,
            FoundDeaf: self._on_deaf,
            LoopBlocked: self._on_blocked,
            MachineSlept: self._on_slept,
        }

    def __call__(self, fact: Fact, /) -> None:
        """Count a fact."""
        take = self._takes.get(type(fact))
        if take is not None:
            take(fact)
        for what, seconds in latencies(fact):
            self._timed[what].observe(seconds)

    def brief(self, account_id: str, /) -> Brief | None:
        """What is quickly read of an account, for whoever goes through all of them often."""
        account = self._accounts.get(account_id)
        return None if account is None else account.brief(self._clock())

    def snapshot(self, *, accounts: Iterable[str] | None = None) -> Snapshot:
        """All that was counted by now, of some ``accounts`` if they are named."""
        now, client = self._clock(), self._client
        names = list(self._accounts) if accounts is None else accounts
        read = {name: self._accounts[name].read(now) for name in names if name in self._accounts}
        return Snapshot(
            time=now,
            began=self._began,
            version=self._version,
            accounts=read,
            client=None
            if client is None
            else ClientSnapshot(
                running=client.running,
                waiting=client.waiting,
                uncommitted=client.uncommitted,
                uncommitted_bytes=client.uncommitted_bytes,
                unrecorded=client.unrecorded,
            ),
            hops={hop: self._timed[hop].read() for hop in HOPS},
            heartbeat=self._timed["heartbeat"].read(),
            errors=dict(self._errors),
            blocked=self._blocked,
            blocked_seconds=self._blocked_seconds,
            slept=self._slept,
            slept_seconds=self._slept_seconds,
            dead_letters=tuple(self._dead),
            gaps=tuple(self._gaps),
            moves=tuple(self._moves),
        )

    def _of(self, account_id: str) -> _Account:
        account = self._accounts.get(account_id)
        if account is None:
            if len(self._accounts) >= self._most:
                account_id = OTHERS
            account = self._accounts.setdefault(account_id, _Account())
        return account

    # --- messages -------------------------------------------------------------------

    def _on_committed(self, fact: Committed) -> None:
        account = self._of(fact.account_id)
        account.received += fact.new
        account.known += fact.known

    def _on_ran(self, fact: HandlerRan) -> None:
        if not fact.ok:
            self._of(fact.account_id).failures += 1

    def _on_finished(self, fact: Finished) -> None:
        if fact.failed is None:
            self._of(fact.account_id).handled += 1

    def _on_dead(self, fact: DeadLettered) -> None:
        self._of(fact.account_id).dead[fact.cause] += 1
        self._dead.append(
            DeadShown(self._clock(), fact.account_id, fact.key, fact.cause, fact.reason)
        )

    def _on_retried(self, fact: Retried) -> None:
        self._of(fact.account_id).retries += 1

    def _on_sent(self, fact: SendFinished) -> None:
        self._of(fact.account_id).sends[fact.outcome] += 1

    def _on_gap(self, fact: GapFound) -> None:
        self._of(fact.account_id).gaps += 1
        self._gaps.append(
            GapShown(self._clock(), fact.account_id, fact.start, fact.end, fact.reason)
        )

    def _on_recovered(self, fact: Recovered) -> None:
        self._of(fact.account_id).recovered += fact.messages

    # --- links ----------------------------------------------------------------------

    def _on_state(self, fact: StateChanged) -> None:
        account, now = self._of(fact.account_id), self._clock()
        account.entered[fact.new.value] += 1
        move = fact.old.value, fact.new.value, fact.reason, fact.wait
        self._moves.append(MoveShown(now, fact.account_id, *move))
        if fact.account_id in self._accounts:
            account.state, account.since = fact.new.value, now
            if fact.new is State.CLOSED:  # nobody looks at it any more
                account.measured = None
                account.marks.clear()
            account.transitions.append(Transition(now, *move))

    def _on_registered(self, fact: LinkRegistered) -> None:
        self._of(fact.account_id).registered += 1

    def _on_replaced(self, fact: LinkReplaced) -> None:
        self._of(fact.account_id).replaced += 1

    def _on_ended(self, fact: LinkEnded) -> None:
        account = self._of(fact.account_id)
        account.ended[fact.trouble] += 1
        account.beats += fact.beats
        account.good += fact.good

    def _on_deaf(self, fact: FoundDeaf) -> None:
        self._of(fact.account_id).deaf += 1

    def _on_trouble(self, fact: Troubled) -> None:
        errors = self._errors if fact.account_id is None else self._of(fact.account_id).errors
        errors[fact.name] += 1

    # --- how all stands ---------------------------------------------------------------

    def _on_account(self, fact: AccountMeasured) -> None:
        account = self._of(fact.account_id)
        account.beats += fact.beats
        account.good += fact.good
        if fact.account_id in self._accounts:
            account.measured = fact
            account.marks.append(account.mark(self._clock()))

    def _on_client(self, fact: ClientMeasured) -> None:
        self._client = fact
        for histogram in self._timed.values():
            histogram.mark()

    def _on_blocked(self, fact: LoopBlocked) -> None:
        self._blocked += 1
        self._blocked_seconds += fact.seconds

    def _on_slept(self, fact: MachineSlept) -> None:
        self._slept += 1
        self._slept_seconds += fact.seconds


def metrics_of(hooks: Iterable[Hook], /) -> Metrics | None:
    """The first `Metrics` among hooks, or that one of them feeds in its attribute ``metrics``."""
    for hook in hooks:
        found = getattr(hook, "metrics", hook)
        if isinstance(found, Metrics):
            return found
    return None
