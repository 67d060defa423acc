"""How a client stands, gathered from what is counted anyway.

No step keeps the event loop for long, however many accounts there are.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from xyfast.driver import Driver
from xyfast.events import State
from xyfast.instrumentation.metrics import Brief, Metrics
from xyfast.instrumentation.snapshot import AccountSnapshot
from xyfast.status.shape import AccountStatus, HeldLetter, Status, Totals
from xyfast.store import Row

__all__ = ["SHOWN", "Gathering", "Look", "held", "ready"]

SHOWN = 200
"""Accounts that are shown at most."""

_LAP = 100  # accounts that are looked at before others get the event loop
_URGENT = {
    State.NEEDS_LOGIN: 0,
    State.KICKED: 0,
    State.FAILED: 0,
    State.RECONNECTING: 1,
    State.CONNECTING: 1,
    State.DISCONNECTED: 3,
    State.DRAINING: 3,
    State.CLOSED: 3,
}
_MARKED, _CALM = 2, 4  # connected, with dead letters or gaps and without
_COUNTS = ("received", "handled", "registered", "replaced", "deaf", "retries")
_LEVELS = ("unhandled", "in_memory", "dead_letters", "open_gaps", "sending")
_RATES = ("received_rate", "handled_rate", "sent_rate")


class Look(NamedTuple):
    """All accounts at a moment: their sums, and what is known of each by then."""

    totals: Totals
    accounts: list[tuple[int, str, str]]
    """How urgent it is (least first), its id, and the text in which queries are looked for."""


class _Sums:
    """Adds up accounts."""

    def __init__(self) -> None:
        self.totals: Totals = {
            "accounts": 0,
            "states": {state.value: 0 for state in State},
            "received": 0,
            "handled": 0,
            "sent": 0,
            "received_rate": 0.0,
            "handled_rate": 0.0,
            "sent_rate": 0.0,
            "unhandled": 0,
            "in_memory": 0,
            "dead_letters": 0,
            "open_gaps": 0,
            "sending": 0,
            "lag": 0.0,
            "registered": 0,
            "replaced": 0,
            "deaf": 0,
            "retries": 0,
            "errors": {},
        }

    def add(self, state: State, brief: Brief | None) -> None:
        totals = self.totals
        totals["accounts"] += 1
        totals["states"][state.value] += 1
        if brief is None:
            return
        totals["received"] += brief.received
        totals["handled"] += brief.handled
        totals["sent"] += brief.sent
        totals["received_rate"] += brief.received_rate
        totals["handled_rate"] += brief.handled_rate
        totals["sent_rate"] += brief.sent_rate
        totals["registered"] += brief.registered
        totals["replaced"] += brief.replaced
        totals["deaf"] += brief.deaf
        totals["retries"] += brief.retries
        for name, count in brief.errors.items():
            if count:
                totals["errors"][name] = totals["errors"].get(name, 0) + count
        if (level := brief.measured) is not None:
            totals["unhandled"] += level.unhandled or 0
            totals["in_memory"] += level.in_memory
            totals["dead_letters"] += level.dead or 0
            totals["open_gaps"] += level.gaps
            totals["sending"] += level.sending
            totals["lag"] = max(totals["lag"], level.lag or 0.0)


class Gathering:
    """Looks at ``drivers``, without those that are ``removing``, and at what was counted."""

    def __init__(
        self,
        metrics: Metrics,
        drivers: Mapping[str, Driver],
        removing: Collection[str],
        *,
        actions: bool,
    ) -> None:
        self._metrics = metrics
        self._drivers = drivers
        self._removing = removing
        self._actions = actions

    async def look(self) -> Look:
        """Go through all accounts; others get the event loop meanwhile."""
        sums, found = _Sums(), []
        for number, name in enumerate(list(self._drivers), start=1):
            driver = self._drivers.get(name)
            if driver is not None and name not in self._removing:
                state, brief = driver.state, self._metrics.brief(name)
                level = None if brief is None else brief.measured
                urgent = _URGENT.get(state, _CALM)
                if urgent == _CALM and level is not None and (level.dead or level.gaps):
                    urgent = _MARKED
                sums.add(state, brief)
                text = f"{name}\n{driver.account.name}\n{state.value}".casefold()
                found.append((urgent, name, text))
            if number % _LAP == 0:
                await asyncio.sleep(0)
        return Look(sums.totals, found)

    def status(self, look: Look, query: str) -> Status:
        """What is shown of a look: of its accounts those whose id, name or state has ``query``."""
        query = query.casefold()
        found = [each for each in look.accounts if query in each[2]]
        names = [name for _, name, _ in heapq.nsmallest(SHOWN, found)]
        counted = self._metrics.snapshot(accounts=names)
        accounts = [
            _account(self._drivers[name], counted.accounts.get(name))
            for name in names
            if name in self._drivers
        ]
        is_ready, reason = ready(look.totals["states"])
        client = counted.client
        hops: Any = {hop: asdict(latency) for hop, latency in counted.hops.items()}
        heartbeat: Any = asdict(counted.heartbeat)
        moves, dead, gaps = map(_plain, (counted.moves, counted.dead_letters, counted.gaps))
        return {
            "version": counted.version,
            "time": counted.time,
            "began": counted.began,
            "ready": is_ready,
            "reason": reason,
            "actions": self._actions,
            "totals": look.totals,
            "matching": len(found),
            "accounts": accounts,
            "running": 0 if client is None else client.running,
            "waiting": 0 if client is None else client.waiting,
            "uncommitted": 0 if client is None else client.uncommitted,
            "unrecorded": 0 if client is None else client.unrecorded,
            "errors": {name: count for name, count in counted.errors.items() if count},
            "blocked": counted.blocked,
            "blocked_seconds": counted.blocked_seconds,
            "slept": counted.slept,
            "slept_seconds": counted.slept_seconds,
            "hops": hops,
            "heartbeat": heartbeat,
            "moves": moves,
            "dead": dead,
            "gaps": gaps,
        }


def ready(states: Mapping[str, int]) -> tuple[bool, str]:
    """Whether every account that should be connected is, by how many are in each state.

    One that was paused should not be. Without accounts nothing is ready.
    """
    wanted = sum(states.values()) - states[State.DISCONNECTED.value]
    up, paused = states[State.CONNECTED.value], states[State.DISCONNECTED.value]
    if not wanted and not paused:
        return False, "there are no accounts"
    words = f"{up} of {wanted} accounts are connected"
    return up == wanted, words + (f", {paused} paused" if paused else "")


def _plain(shown: Iterable[Any]) -> list[Any]:
    return [asdict(each) for each in shown]


def _account(driver: Driver, counted: AccountSnapshot | None) -> AccountStatus:
    last = counted.transitions[-1] if counted is not None and counted.transitions else None
    shown: Any = {
        each: None if counted is None else getattr(counted, each)
        for each in ("since", "link_age", "round_trip", "lag", *_LEVELS, *_RATES)
    }
    shown |= {each: 0 if counted is None else getattr(counted, each) for each in _COUNTS}
    errors = {} if counted is None else {name: n for name, n in counted.errors.items() if n}
    shown |= {
        "account": driver.account.id,
        "name": driver.account.name,
        "state": driver.state.value,
        "reason": None if last is None else last.reason,
        "wait": None if last is None else last.wait,
        "sent": 0 if counted is None else counted.sends["sent"],
        "errors": errors,
    }
    found: AccountStatus = shown
    return found


def held(number: int, row: Row) -> HeldLetter:
    """A dead letter as it is shown: nothing of its payload."""
    assert row.dead is not None
    return {
        "number": number,
        "account": row.account_id,
        "key": row.key,
        "conversation": row.conversation_id,
        "arrived": row.arrived,
        "cause": "handler" if row.dead.offset is None else "payload",
        "reason": row.dead.reason,
        "redelivered": row.redelivered,
    }
