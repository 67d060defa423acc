"""The invariants, and what must be remembered to check them.

Whatever the client does passes through a seam: its store, its links, its handlers, its hooks
and its log. `Watch` is told there and compares with what the server knows. A broken invariant
is kept, since the client might swallow an exception, and raised after the step.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from simulation.network import SimTransport, Wire
from simulation.positions import Place, Positions, covers
from simulation.server import Pushed, SimServer
from simulation.told import SimFrame
from xyfast.config import Settings
from xyfast.events import State
from xyfast.instrumentation import FoundDeaf, StateChanged
from xyfast.messages import Expired, Gap, Message, Undecodable
from xyfast.session import TRANSITIONS
from xyfast.store import Kept

__all__ = ["Broken", "Watch"]

_MOVES = {
    (old, new)
    for old, events in TRANSITIONS.items()
    for targets in events.values()
    for new in targets
}
_OVER = (State.CLOSED, State.DRAINING)
_WORRYING = ("link event failed", "a task failed", "hook raised", "token provider raised")
_SLACK = 1e-3

Identity = tuple[str, str]


class Broken(AssertionError):
    """An invariant does not hold."""


class Watch:
    """What one simulation has seen; see the module for how it works.

    ``note`` writes a line of the trace. ``seam`` is called at every effect of the client, and
    may end its process there.
    """

    def __init__(
        self,
        server: SimServer,
        settings: Settings,
        now: Callable[[], float],
        note: Callable[..., None],
        seam: Callable[[], None],
    ) -> None:
        self.rows: dict[Identity, str] = {}
        """Every committed message: ``"open"``, ``"handled"`` or ``"dead"``."""
        self.gaps: list[Gap] = []
        """Gaps that a handler was told of."""
        self.positions = Positions(server, self.rows, self.gaps, self.must)
        self.secrets: set[str] = set()
        self.words: list[str] = []
        """Log records and facts, as text."""
        self._server = server
        self._settings = settings
        self._now = now
        self._note = note
        self._seam = seam
        self._broken: list[str] = []
        self._looked = -1.0
        self._order: dict[Identity, int] = {}  # in which messages were stored
        self._payloads: set[tuple[str, str]] = set()
        self._open: dict[Identity, int] = {}  # positions of what is not handled
        self._held: set[Identity] = set()  # what the process has taken
        self._sizes: dict[Identity, int] = {}  # of what waits in its memory, or runs
        self._tries: Counter[Identity] = Counter()
        self._unflagged: Counter[Identity] = Counter()
        self._touched: set[Identity] = set()  # what handlers of this process were given
        self._suspect: Counter[Identity] = Counter()  # processes whose handlers may have had it
        self._states: dict[str, State] = {}
        self._beside: dict[int, float] = {}  # since when links are up beside newer ones
        self._earliest: dict[str, tuple[float, float]] = {}
        self._patience = 5 * settings.token_timeout  # until a dial: a token may be fetched first
        self._store_failed = float("-inf")
        self._replaced: dict[str, float] = {}  # when deaf links were, by account
        self._silent: set[str] = set()  # accounts that were told of nothing since
        self._started: dict[Identity, int] = {}
        self._done: set[Identity] = set()
        self._running: dict[Identity, str | None] = {}
        self._overtaken: defaultdict[Identity, list[Pushed]] = defaultdict(list)
        """By a message that was not here in time, newer ones of which handlers were told."""
        self.transport: SimTransport | None = None

    # --- what is broken -------------------------------------------------------------------

    def must(self, holds: object, invariant: str, *facts: object) -> None:
        """Keep a broken invariant, to be raised after the step."""
        if not holds:
            self._broken.append(f"{invariant}: {' '.join(map(str, facts))}")
            self._note("BROKEN", invariant, *facts)

    def step(self) -> None:
        """Raise what was broken since the last step, and look at what must hold at any time."""
        now = self._now()
        if self.transport is not None:
            self.positions.step()
        if self.transport is not None and now != self._looked:
            self._looked = now
            self._links(now)
        if self._broken:
            raise Broken("; ".join(self._broken))

    # --- the process ----------------------------------------------------------------------

    def born(self, transport: SimTransport, place: Callable[[str], Place]) -> None:
        """A client starts: what only memory knew is forgotten."""
        self.transport = transport
        self.positions.born(place)
        self._states.clear()
        self._beside.clear()
        self._earliest.clear()
        self._replaced.clear()
        self._silent.clear()
        self._started.clear()
        self._held.clear()
        self._sizes.clear()
        self._touched.clear()
        self._tries.clear()
        self._done.clear()
        self._running.clear()

    def closed(self) -> None:
        """The client was closed, and its store worked in time: all is recorded or given back."""
        for identity in sorted(self._done):
            recorded = self.rows[identity] != "open"
            self.must(recorded, "a clean stop records what was handled", *identity)
        self._held &= self._touched

    def died(self) -> None:
        """The client's process is gone."""
        self.transport = None
        self._suspect.update(self._held)

    def spares(self, account: str) -> float:
        """Seconds for which the client may leave a deaf link, since one was just replaced."""
        since = self._replaced.get(account, float("-inf"))
        return max(since + 10 * self._settings.probe_after - self._now(), 0.0)

    # --- the store ------------------------------------------------------------------------

    def stored(self, verb: str, args: Any, options: dict[str, Any], result: Any) -> None:
        """A call of the store has happened."""
        match verb:
            case "commit":
                given = dict(zip(("rows", "outcomes"), args, strict=False)) | options
                self._committed(given.get("rows", ()), set(result))
                for outcome in given.get("outcomes", ()):
                    self._ended(outcome)
                for account, position in (given.get("received") or {}).items():
                    self.positions.committed(account, position)
                self._bounded()
            case "take":
                for row in result.rows:
                    self._taken(row)
                self._bounded()
            case "untake":
                for identity in args[0]:
                    self.must(identity not in self._touched, "given back unbegun", *identity)
                    self._held.discard(identity)
                    self._sizes.pop(identity, None)
        self._seam()

    def failed(self) -> None:
        """A call of the store has failed."""
        self._store_failed = self._now()

    def places(self) -> dict[str, Place]:
        """Where each account is in memory."""
        return {account: self.positions.place(account) for account in self._server.pushed}

    def kept(self, account: str, kept: Kept, place: Place) -> None:
        """What the store has of an account after a call that began at that ``place``."""
        unhandled = [at for (owner, _), at in self._open.items() if owner == account]
        self.positions.kept(account, kept, place, unhandled)

    def _committed(self, rows: Iterable[Any], new: set[Identity]) -> None:
        for row in rows:
            identity = (row.account_id, row.key)
            if row.taken and identity in new:
                self._taken(row)
            self._payloads.add((row.account_id, row.payload))
            if identity not in self.rows:
                self.rows[identity] = "open" if row.dead is None else "dead"
                self._order[identity] = len(self._order)
                self._note("stored", *identity)
                if row.dead is None:
                    self._open[identity] = row.position

    def _ended(self, outcome: Any) -> None:
        identity = (outcome.account_id, outcome.key)
        how = "handled" if outcome.letter is None else "dead"
        self._note(how, *identity)
        self.must(self.rows.get(identity) == "open", "an outcome of an open message", *identity)
        self.rows[identity] = how
        del self._open[identity]
        self._held.discard(identity)
        self._sizes.pop(identity, None)

    def _taken(self, row: Any) -> None:
        self._held.add((row.account_id, row.key))
        self._sizes[row.account_id, row.key] = len(row.payload)

    def _bounded(self) -> None:
        rows, size = len(self._sizes), sum(self._sizes.values())
        self.must(rows <= self._settings.backlog, "rows in memory <= bound", rows)
        most = self._settings.backlog_bytes + max(self._sizes.values(), default=0)
        self.must(size <= most, "bytes in memory <= bound", size)

    # --- links ----------------------------------------------------------------------------

    def dialled(self, wire: Wire, register: str) -> None:
        """A link is dialled: not before its time, and with the policy of the settings."""
        token = json.loads(register)["headers"]["token"]
        grant = self._server.platform.grant(token)
        assert grant is not None
        wire.account = account = grant.account.id
        self.secrets.add(token)
        policy, settings, now = wire.policy, self._settings, self._now()
        self._note("dial", account, wire.number)
        earliest, latest = self._earliest.pop(account, (0.0, float("inf")))
        self.must(now >= earliest - _SLACK, "next dial >= last + delay", account, now, earliest)
        # What a link brings could not be kept: none is dialled before the store works again.
        latest = max(latest, self._store_failed + self._patience)
        self.must(now <= latest + _SLACK, "next dial <= bound", account, now, latest)
        beats = (policy.heartbeat, policy.timeout, policy.misses)
        wanted = (settings.heartbeat, settings.heartbeat_timeout, settings.heartbeat_misses)
        self.must(beats == wanted, "heartbeat policy", beats, wanted)
        assert self.transport is not None
        sockets = [w for w in self.transport.wires.values() if w.account == account and _kept(w)]
        self.must(len(sockets) <= 3, "at most three sockets", account, len(sockets))
        self._seam()

    def told(self, events: Sequence[Any]) -> None:
        """The client is about to hear of events."""
        self._note("told", *[f"{type(event).__name__}@{event.link}" for event in events])
        for event in events:
            if isinstance(event, SimFrame):
                for payload in event.payloads:
                    pushed = self._server.by_payload.get(payload.text or "")
                    if pushed is not None:
                        self._silent.discard(pushed.account)
                    if pushed is not None and pushed.message is not None:
                        self.positions.came(pushed)

    def acked(self, wire: Wire, frame: Any) -> None:
        """A push is acknowledged: all that it carries must be durable."""
        assert wire.account is not None
        for payload in frame.payloads:
            self.must(self._durable(wire.account, payload.text), "acked <= durable", frame.mid)
        self._note("ack", wire.account, frame.mid)
        self._seam()

    def asked(self, wire: Wire, text: str) -> None:
        """A request goes out."""
        request = json.loads(text)
        assert wire.account is not None
        self._note("ask", wire.account, request["lwp"])
        if request["lwp"].endswith("/ackDiff"):
            self.positions.asked(wire.account, request["body"][0]["pts"])
        self._seam()

    def _durable(self, account: str, payload: str | None) -> bool:
        if (account, payload or "") in self._payloads:
            return True
        pushed = self._server.by_payload.get(payload or "")
        return pushed is not None and (account, pushed.id) in self.rows

    def _links(self, now: float) -> None:
        assert self.transport is not None
        settings = self._settings
        linked = set()
        for number, since in self._beside.items():
            wire = self.transport.wires.get(number)
            late = now - since > settings.close_timeout + _SLACK
            gone = wire is None or not _kept(wire)
            self.must(gone or not late, "a link that was replaced ends soon", number)
        for wire in self.transport.wires.values():
            linked.add(wire.account)
            if not wire.registered or not _kept(wire):
                continue
            beating = now - wire.last_beat <= settings.heartbeat + _SLACK
            self.must(beating, "a heartbeat within its interval", wire.account, wire.number)
            hears = now - wire.heard <= settings.heartbeat_timeout + _SLACK
            self.must(hears or wire.unread, "an answer within its timeout", wire.number)
        for account, state in self._states.items():
            if state is State.CONNECTED:
                self.must(account in linked, "connected means a link", account)

    def took(self) -> None:
        """Events were taken: of an account's links one is up, and one at most is to end soon."""
        if self.transport is None:
            return
        newest: dict[str | None, int] = {}
        beside: dict[int, float] = {}
        for number, wire in sorted(self.transport.wires.items(), reverse=True):
            if wire.heard_of and _kept(wire) and wire.account in newest:
                beside[number] = self._beside.get(number, self._now())
            elif wire.heard_of and _kept(wire):
                newest[wire.account] = number
        accounts = [self.transport.wires[number].account for number in beside]
        self.must(len(set(accounts)) == len(accounts), "one link beside another", *accounts)
        self._beside = beside

    # --- facts and log --------------------------------------------------------------------

    def fact(self, fact: Any) -> None:
        """A hook was told."""
        self.words.append(repr(fact))
        if isinstance(fact, FoundDeaf):
            self._found_deaf(fact)
        if not isinstance(fact, StateChanged):
            return
        account, now = fact.account_id, self._now()
        self._note("state", account, fact.new.name, fact.reason)
        before = self._states.get(account, State.DISCONNECTED)
        self.must(before is fact.old, "a state follows from the last", account, before, fact.old)
        self.must((fact.old, fact.new) in _MOVES, "transitions <= TRANSITIONS", fact.old, fact.new)
        self._states[account] = fact.new
        if fact.wait is not None:
            most = max(60.0 * self._settings.backoff_scale, self._settings.token_retry)
            if fact.new is State.FAILED:
                most = self._settings.failed_wait
            self.must(0.0 <= fact.wait <= most, "delay <= bound", account, fact.wait)
            self._earliest[account] = now + fact.wait, now + fact.wait + self._patience
        elif fact.new is not State.CONNECTING or fact.old is not State.RECONNECTING:
            self._earliest.pop(account, None)
        if fact.new is State.FAILED:
            self._earliest.pop(account, None)
        elif fact.new is State.CONNECTING and account in self._earliest:
            earliest, _ = self._earliest[account]
            late = now - earliest
            self.must(late <= _SLACK or fact.reason != "waited", "the wait ends in time", account)
            if fact.reason != "waited":
                del self._earliest[account]

    def _found_deaf(self, fact: FoundDeaf) -> None:
        account, now = fact.account_id, self._now()
        self._note("deaf", account, fact.replaced)
        if fact.replaced:
            enough = account not in self._silent or self.spares(account) <= _SLACK
            self.must(enough, "deaf links are replaced sparingly", account)
            self._silent.add(account)
            self._replaced[account] = now

    def logged(self, record: logging.LogRecord) -> None:
        """The client has logged something."""
        text = record.getMessage()
        self.words.append(text)
        self._note("log", text.partition("\n")[0])
        self.must(not text.startswith(_WORRYING), "no exception is unexpected", text)

    def silent(self) -> None:
        """No secret is in anything that was said."""
        said = "\n".join(self.words)
        for secret in self.secrets:
            self.must(secret not in said, "no secret is said", secret)

    # --- handlers -------------------------------------------------------------------------

    def starts(self, message: Any) -> Identity | None:
        """A handler is called."""
        if isinstance(message, Gap):
            self._note("gap", message.account_id, message.start, message.end, message.reason)
            self.gaps.append(message)
            return None
        inner = message.message if isinstance(message, Expired) else message
        assert isinstance(inner, Message)
        if isinstance(inner, Undecodable):
            return None  # it is a dead letter already
        account, key = identity = inner.account_id, inner.key
        conversation = inner.conversation_id
        self._note("start", account, key, conversation, inner.redelivered)
        if inner.redelivered == 0:
            self._unflagged[identity] += 1
        self.must(self._unflagged[identity] <= 1, "unflagged at most once", *identity)
        most = self._suspect[identity] + self._tries[identity]
        self.must(inner.redelivered <= most, "flagged for a reason", *identity, most)
        self._touched.add(identity)
        stored = self.rows.get(identity) == "open" and identity in self._held
        self.must(stored, "handled after it is stored and taken, once", *identity)
        self.must(identity not in self._done, "handled again in the same run", *identity)
        lane = [i for i, other in self._running.items() if (i[0], other) == (account, conversation)]
        self.must(not lane, "one at a time in a conversation", *identity, lane)
        self._in_sequence(identity)
        self._running[identity] = conversation
        running, most = len(self._running), self._settings.max_handlers
        self.must(running <= most, "at most N running", running, most)
        return identity

    def ends(self, identity: Identity, done: bool) -> None:
        """A handler has returned (``done``) or raised."""
        del self._running[identity]
        self._tries[identity] += 1
        if done:
            self._done.add(identity)
        if done or self._tries[identity] > self._settings.handler_retries:
            self._sizes.pop(identity, None)
        self._note("end", *identity, done)
        self._seam()

    def _in_sequence(self, identity: Identity) -> None:
        account = identity[0]
        pushed = self._server.by_id.get(identity)
        if pushed is None or pushed.message is None:
            return
        self._started[identity] = pushed.pts
        for newer in self._overtaken.pop(identity, ()):
            self.must(self._late(pushed, newer), "in sequence", *identity, "after", newer.id)
        begin = self.positions.begun.get(account, 0)  # what is from before comes in any order
        if pushed.pts <= begin:
            return
        for other in self._conversation(account, pushed.message.conversation):
            begun = (account, other.id) in self._started
            if begin < other.pts < pushed.pts:
                settled = begun or self.rows.get((account, other.id)) in ("handled", "dead")
                if not settled:
                    self._overtaken[account, other.id].append(pushed)
            elif begun and other.pts > pushed.pts:
                excused = self._late(pushed, other)
                self.must(excused, "in sequence", *identity, "after", other.id)

    def _late(self, pushed: Pushed, newer: Pushed) -> bool:
        """Whether a message came after a newer one, and nobody promises that it does not.

        It was told as missing, or another link was given it, or both are of one millisecond.
        """
        assert pushed.message is not None
        assert newer.message is not None
        tie = pushed.message.time == newer.message.time
        if not tie and not pushed.withheld and not pushed.mislaid and not self._excused(pushed):
            return False
        order = self._order.get((pushed.account, pushed.id))
        return order is None or order > self._order[newer.account, newer.id]

    def _conversation(self, account: str, conversation: str) -> list[Pushed]:
        return [
            other
            for other in self._server.pushed[account]
            if other.message is not None and other.message.conversation == conversation
        ]

    # --- the end --------------------------------------------------------------------------

    def missing(self) -> list[Pushed]:
        """Chat messages that are neither handled, nor dead, nor covered by a told gap."""
        return [
            pushed
            for pushed in itertools.chain.from_iterable(self._server.pushed.values())
            if pushed.message is not None
            and self.rows.get((pushed.account, pushed.id)) not in ("handled", "dead")
            and not self._excused(pushed)
        ]

    def unhandled(self) -> list[Identity]:
        """Stored messages whose handlers have not ended."""
        return sorted(self._open)

    def _excused(self, pushed: Pushed) -> bool:
        """Whether a message is missed with notice, or is from before the account's beginning."""
        if pushed.pts <= self.positions.begun.get(pushed.account, 1 << 62):
            return (pushed.account, pushed.id) not in self.rows
        return any(covers(gap, pushed) for gap in self.gaps)


def _kept(wire: Wire) -> bool:
    return not wire.closing and not wire.over
