"""How a client stands, gathered from what is counted anyway.

No step keeps the event loop for long, however many accounts there are.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from xyfast.driver import Driver
from xyfast.events import State
from xyfast.instrumentation.metrics import Metrics
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
_COUNTS = ("received", "handled", "registered", "replaced", "deaf", "retries")
_LEVELS = ("unhandled", "in_memory", "dead_letters", "open_gaps", "sending")
_RATES = ("received_rate", "handled_rate", "sent_rate")


class Look(NamedTuple):
    """All accounts at a moment: their sums, and each with how urgent it is (least first)."""

    totals: Totals
    accounts: list[tuple[int, str]]


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
        sums: Counter[str] = Counter()
        states, errors = dict.fromkeys((state.value for state in State), 0), Counter[str]()
        lag, found = 0.0, []
        for number, name in enumerate(list(self._drivers), start=1):
            driver = self._drivers.get(name)
            if driver is not None and name not in self._removing:
                states[driver.state.value] += 1
                urgent = _URGENT.get(driver.state)
                if (counted := self._metrics.account(name)) is not None:
                    for each in (*_COUNTS, *_LEVELS, *_RATES):
                        sums[each] += getattr(counted, each) or 0
                    sums["sent"] += counted.sends["sent"]
                    errors.update(counted.errors)
                    lag = max(lag, counted.lag or 0.0)
                    if urgent is None and (counted.dead_letters or counted.open_gaps):
                        urgent = 2
                found.append((4 if urgent is None else urgent, name))
            if number % _LAP == 0:
                await asyncio.sleep(0)
        totals: Any = {each: sums[each] for each in (*_COUNTS, *_LEVELS, "sent")}
        totals |= {each: float(sums[each]) for each in _RATES}
        totals |= {"accounts": len(found), "states": states, "lag": lag, "errors": dict(+errors)}
        return Look(totals, found)

    def status(self, look: Look, query: str) -> Status:
        """What is shown of a look: of its accounts those whose id, name or state has ``query``."""
        query = query.casefold()
        found = [each for each in look.accounts if self._matches(each[1], query)]
        shown = heapq.nsmallest(SHOWN, found)
        counted = self._metrics.snapshot(accounts=[name for _, name in shown])
        accounts = [
            _account(self._drivers[name], counted.accounts.get(name))
            for _, name in shown
            if name in self._drivers
        ]
        is_ready, reason = ready(look.totals["states"])
        client = counted.client
        rest: Any = asdict(counted)
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
            "hops": rest["hops"],
            "heartbeat": rest["heartbeat"],
            "moves": rest["moves"],
            "dead": rest["dead_letters"],
            "gaps": rest["gaps"],
        }

    def _matches(self, name: str, query: str) -> bool:
        driver = self._drivers.get(name)
        if driver is None:
            return False
        texts = (name, driver.account.name, driver.state.value)
        return not query or any(query in text.casefold() for text in texts)


def ready(states: Mapping[str, int]) -> tuple[bool, str]:
    """Whether every account that should be connected is, by how many are in each state.

    One that was paused should not be. Without accounts nothing is ready.
    """
    wanted = sum(states.values()) - states[State.DISCONNECTED.value]
    up, paused = states[State.CONNECTED.value], states[State.DISCONNECTED.value]
    if not wanted and not paused:
        return False, "there are no accounts"
    words = f"{up} of {wanted} accounts are connected"
    return up == wanted, words + (f", {paused} are paused" if paused else "")


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
