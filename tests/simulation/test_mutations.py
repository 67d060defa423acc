"""The invariants can fail: each mistake is found within a few seeds."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest

from simulation.network import SimTransport
from simulation.world import Failed, run
from xyfast import Client
from xyfast.account import Account, format_cookies
from xyfast.dialler import Dialler
from xyfast.dispatch import Delivery, Dispatcher
from xyfast.driver import Driver
from xyfast.events import Dial
from xyfast.intake import Intake
from xyfast.lanes import Lanes
from xyfast.login import Login
from xyfast.probe import Probe
from xyfast.reconcile import Reconciler, Recovery
from xyfast.redaction import Redaction
from xyfast.session import Session
from xyfast.store import Kept, MemoryStore, Row
from xyfast.store.handled import Handled
from xyfast.sync import Sync
from xyfast.window import Window

FEW = 120

Patch = pytest.MonkeyPatch


def forgets_a_row(patch: Patch) -> None:
    commit = MemoryStore.commit
    numbers = itertools.count(1)

    async def forgetful(
        self: MemoryStore, rows: Sequence[Row] = (), *rest: Any, **named: Any
    ) -> Any:
        kept = [row for row in rows if row.taken or next(numbers) % 3]
        await commit(self, kept, *rest, **named)
        return {(row.account_id, row.key) for row in rows}

    patch.setattr(MemoryStore, "commit", forgetful)


def forgets_the_flag(patch: Patch) -> None:
    reopen = MemoryStore.open

    async def forgetful(self: MemoryStore) -> None:
        await reopen(self)
        for slot in self._open.values():
            slot.row = replace(slot.row, redelivered=0)

    patch.setattr(MemoryStore, "open", forgetful)


def keeps_what_was_not_begun(patch: Patch) -> None:
    async def nothing(self: MemoryStore, identities: Collection[Any]) -> None:
        return None

    patch.setattr(MemoryStore, "untake", nothing)


def gives_back_what_was_begun(patch: Patch) -> None:
    async def stop(self: Dispatcher, grace: float) -> int:
        self.unbegun += [job.delivery for _, job in self._tasks.values()]
        return await usual(self, grace)

    usual = Dispatcher.stop
    patch.setattr(Dispatcher, "stop", stop)


def forgets_what_it_will_look_at(patch: Patch) -> None:
    patch.setattr(Handled, "is_near", lambda self, row: False)


def takes_known_for_new(patch: Patch) -> None:
    commit = MemoryStore.commit

    async def naive(
        self: MemoryStore, rows: Sequence[Row] = (), *rest: Any, **named: Any
    ) -> Collection[tuple[str, str]]:
        await commit(self, rows, *rest, **named)
        return {(row.account_id, row.key) for row in rows}

    patch.setattr(MemoryStore, "commit", naive)


def acks_at_once(patch: Patch) -> None:
    arrived = Intake.arrived

    def hasty(self: Intake, driver: Driver, frame: Any) -> None:
        if frame.ack is not None:
            self._transport.ack([frame])
        arrived(self, driver, frame)

    patch.setattr(Intake, "arrived", hasty)


def counts_before_the_commit(patch: Patch) -> None:
    write = Intake._write

    async def hasty(self: Intake, batch: list[Any], outcomes: list[Any]) -> Any:
        for arrival in batch:
            if arrival.pts is not None and arrival.frame is not None:
                arrival.driver.sync.stored(arrival.frame, arrival.pts)
        return await write(self, batch, outcomes)

    patch.setattr(Intake, "_write", hasty)


def counts_before_it_is_caught_up(patch: Patch) -> None:
    def hasty(self: Sync, link: int) -> None:
        start(self, link)
        self.confirmed = self._follows = link

    start = Sync.start
    patch.setattr(Sync, "start", hasty)


def believes_the_last_message(patch: Patch) -> None:
    async def lazy(
        self: Reconciler, recovery: Recovery, name: str, span: Any, last: str | None = None
    ) -> None:
        if last is None or not await self._known([last]):
            await look(self, recovery, name, span, last)

    look = Reconciler._look
    patch.setattr(Reconciler, "_look", lazy)


def tells_no_gap_for_what_it_cannot_read(patch: Patch) -> None:
    patch.setattr(Driver, "unread", lambda self: None)


def counts_what_is_taken_as_handled(patch: Patch) -> None:
    async def hasty(self: MemoryStore, account_id: str) -> Kept:
        kept = await load(self, account_id)
        taken = not any(slot.waits for slot in self._open.values())
        return replace(kept, handled=kept.received) if taken else kept

    load = MemoryStore.load
    patch.setattr(MemoryStore, "load", hasty)


def has_no_limit(patch: Patch) -> None:
    def take(self: Lanes[Any]) -> list[Any]:
        self._limit = 1000
        return usual(self)

    usual = Lanes.take
    patch.setattr(Lanes, "take", take)


def has_no_lanes(patch: Patch) -> None:
    lane = property(lambda self: (self.account_id, self.key))
    patch.setattr(Delivery, "lane", lane)


def admits_everything(patch: Patch) -> None:
    def admit(self: Window, account_id: str, conversation_id: str | None, size: int) -> bool:
        self._enter(self._view(account_id), conversation_id, size)
        return True

    patch.setattr(Window, "admit", admit)


def loses_outcomes(patch: Patch) -> None:
    finished = Intake.finished
    numbers = itertools.count(1)

    def lossy(self: Intake, delivery: Delivery, letter: Any) -> None:
        if next(numbers) % 5:
            finished(self, delivery, letter)

    patch.setattr(Intake, "finished", lossy)


def believes_that_links_hear(patch: Patch) -> None:
    async def believe(self: Probe) -> bool:
        return False

    patch.setattr(Probe, "_hears_nothing", believe)


def replaces_at_every_look(patch: Patch) -> None:
    replace = Probe._replace

    def hasty(self: Probe, link: int) -> None:
        self._spare_until = 0.0
        replace(self, link)

    patch.setattr(Probe, "_replace", hasty)


def looks_once(patch: Patch) -> None:
    async def blind(self: Probe) -> None:
        self._look, self._next = self._next, None

    patch.setattr(Probe, "_look_back", blind)


def does_not_look_back(patch: Patch) -> None:
    async def nothing(self: Reconciler, since: int, end: int, *, start: int) -> Recovery:
        return Recovery()

    patch.setattr(Reconciler, "account", nothing)


def does_not_wait(patch: Patch) -> None:
    def impatient(self: Session, now: float, most: float, reason: str) -> None:
        reconnect(self, now, most, reason)
        self._wake = now

    reconnect = Session._reconnect
    patch.setattr(Session, "_reconnect", impatient)


def waits_too_long(patch: Patch) -> None:
    def lazy(self: Session, now: float, most: float, reason: str) -> None:
        reconnect(self, now, most, reason)
        assert self._wake is not None
        self._wake += 5.0

    reconnect = Session._reconnect
    patch.setattr(Session, "_reconnect", lazy)


def dials_late(patch: Patch) -> None:
    def lazy(self: Dialler, action: Dial) -> None:
        asyncio.get_running_loop().call_later(40.0, dial, self, action)

    dial = Dialler.dial
    patch.setattr(Dialler, "dial", lazy)


def beats_seldom(patch: Patch) -> None:
    dial = SimTransport.dial

    def seldom(self: SimTransport, policy: Dial, *rest: Any) -> None:
        dial(self, replace(policy, heartbeat=policy.heartbeat * 2), *rest)

    patch.setattr(SimTransport, "dial", seldom)


def keeps_the_old_link(patch: Patch) -> None:
    patch.setattr(SimTransport, "close", lambda self, link: None)


def stays_away(patch: Patch) -> None:
    patch.setattr(Client, "resume", lambda self, account_id: None)


def leaves_tasks(patch: Patch) -> None:
    async def careless(self: Driver) -> None:
        self._tasks.spawn(_wait_for_ever())

    async def _wait_for_ever() -> None:
        await asyncio.sleep(1e6)

    patch.setattr(Driver, "close", careless)


def tells_cookies(patch: Patch) -> None:
    def talkative(self: Login, account: Account) -> None:
        logging.getLogger("xyfast.login").debug("kept %s", format_cookies(account.cookies))
        keep(self, account)

    keep = Login._keep
    patch.setattr(Login, "_keep", talkative)
    patch.setattr(Redaction, "filter", lambda self, record: True)


MISTAKES: list[tuple[Callable[[Patch], None], str]] = [
    (forgets_a_row, "in sequence"),
    (forgets_the_flag, "unflagged at most once"),
    (keeps_what_was_not_begun, "flagged for a reason"),
    (gives_back_what_was_begun, "given back unbegun"),
    (forgets_what_it_will_look_at, "unflagged at most once"),
    (takes_known_for_new, "stored and taken, once"),
    (acks_at_once, "acked <= durable"),
    (has_no_limit, "at most N running"),
    (has_no_lanes, "one at a time in a conversation"),
    (admits_everything, "rows in memory <= bound"),
    (loses_outcomes, "clean stop records what was handled"),
    (does_not_look_back, "a position passes nothing that is missing"),
    (counts_before_the_commit, "a position passes nothing that is missing"),
    (counts_before_it_is_caught_up, "a position passes nothing that is missing"),
    (believes_the_last_message, "a position passes nothing that is missing"),
    (tells_no_gap_for_what_it_cannot_read, "a position passes nothing that is missing"),
    (counts_what_is_taken_as_handled, "cursor < lowest unhandled"),
    (believes_that_links_hear, "a zombie is replaced in time"),
    (replaces_at_every_look, "deaf links are replaced sparingly"),
    (looks_once, "what dead links swallow is fetched in time"),
    (stays_away, "every account comes back"),
    (does_not_wait, "next dial >= last + delay"),
    (waits_too_long, "the wait ends in time"),
    (dials_late, "next dial <= bound"),
    (beats_seldom, "heartbeat policy"),
    (keeps_the_old_link, "a link that was replaced ends soon"),
    (leaves_tasks, "nothing is left at close"),
    (tells_cookies, "no secret is said"),
]


@pytest.mark.leaks
@pytest.mark.parametrize(
    ("mistake", "invariant"), MISTAKES, ids=[mistake.__name__ for mistake, _ in MISTAKES]
)
def test_a_mistake_is_found(
    mistake: Callable[[Patch], None], invariant: str, monkeypatch: Patch
) -> None:
    mistake(monkeypatch)
    for seed in range(FEW):
        try:
            run(seed)
        except Failed as failed:
            if invariant in str(failed).partition("\n")[0]:
                return
    pytest.fail(f"{FEW} seeds did not break {invariant!r}")
