"""From a push to a handler and back: commit, acknowledge, hand on, record.

The order is the guarantee. Nothing is acknowledged before the store has it, nothing is
handed to a handler before that either, and an id enters the dedup window only after its
commit, or a failed commit would turn the server's redelivery into a loss.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xyfast import envelope
from xyfast._core import Frame, Payload, read_payload
from xyfast.dispatch import Delivery, Dispatcher
from xyfast.driver import Driver
from xyfast.errors import StoreError
from xyfast.facts import Facts
from xyfast.instrumentation import Committed, Finished, Hooks
from xyfast.logs import say
from xyfast.messages import Expired, Sender, Undecodable
from xyfast.store import DeadLetter, Row, Store
from xyfast.transport import Transport

__all__ = ["Intake"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One payload of a push, as it is stored and as it was read (None: not readable)."""

    row: Row
    payload: Payload
    facts: Facts | None


@dataclass(slots=True)
class _Arrival:
    """A frame on its way through the store. ``pts`` is None where it does not count."""

    driver: Driver
    frame: Frame
    pts: int | None
    entries: list[_Entry] = field(default_factory=list)


class Intake:
    """One task that owns the store: a batch of arrivals, then a batch of outcomes, again.

    While one transaction is written the next batch gathers, so the batches grow with the
    load by themselves. When the store fails nothing is acknowledged or recorded; the batch
    is tried again every ``pause`` seconds, and past ``bound`` waiting bytes the transport
    is told to leave the rest where it is.
    """

    def __init__(
        self,
        store: Store,
        transport: Transport,
        dispatcher: Dispatcher,
        hooks: Hooks,
        sender: Sender,
        *,
        batch: int,
        expiry_ms: int,
        clock: Callable[[], float],
        pause: float = 1.0,
        bound: int = 64 * 1024 * 1024,
    ) -> None:
        self._store = store
        self._transport = transport
        self._dispatcher = dispatcher
        self._hooks = hooks
        self._sender = sender
        self._batch = batch
        self._expiry_ms = expiry_ms
        self._clock = clock
        self._pause = pause
        self._bound = bound
        self._bytes = 0
        self._arrivals: deque[_Arrival] = deque()
        self._outcomes: list[tuple[Driver, str, DeadLetter | None]] = []
        self._moved: set[Driver] = set()
        self._work = asyncio.Event()
        self._refusing = False
        self._stopping = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Frames that are not committed yet."""
        return len(self._arrivals)

    def arrived(self, driver: Driver, frame: Frame) -> None:
        """A push, or an answer that carries a package."""
        if self._refusing:
            return  # not acknowledged: the server will bring it again
        # An empty package says where the server is, not what we have.
        counts = frame.link == driver.sync.confirmed and frame.payloads
        self._arrivals.append(_Arrival(driver, frame, frame.max_pts if counts else None))
        self._bytes += frame.size
        if self._bytes >= self._bound:
            self._transport.pause()
        self._work.set()

    def finished(self, driver: Driver, key: str, letter: DeadLetter | None) -> None:
        """The handlers of a message have ended."""
        self._outcomes.append((driver, key, letter))
        self._work.set()

    async def recover(self, driver: Driver) -> None:
        """Hand on what an earlier run stored and did not handle."""
        rows = await self._store.pending(driver.account.id)
        driver.sync.ledger.recovered([row.key for row in rows])
        for row in rows:
            payload = read_payload(row.payload)
            facts = _facts(payload, driver)
            self._dispatcher.put(self._delivery(_Entry(row, payload, facts), driver))
        self._dispatcher.start()

    async def run(self) -> None:
        """Work until `stop`; then record what was handled and return."""
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self._commit()
                await self._record()
            except Exception as error:
                # Whatever it is, the intake goes on trying: without it the client is deaf.
                unexpected = error if not isinstance(error, StoreError) else None
                sentence = "store failed, nothing new is acknowledged"
                reason = f"{type(error).__name__}: {error}"
                say(log, logging.ERROR, sentence, error=unexpected, reason=reason)
                if self._stopping.is_set():
                    return
                await self._wait_or_stop()
            if self._outcomes or (self._arrivals and not self._refusing):
                self._work.set()
            elif self._stopping.is_set():
                return

    def refuse(self) -> None:
        """Take nothing new; what is not acknowledged comes again another time."""
        self._refusing = True

    def stop(self) -> None:
        """Let `run` return when what was handled is recorded."""
        self._refusing = True
        self._stopping.set()
        self._work.set()

    async def _wait_or_stop(self) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), self._pause)
        except asyncio.TimeoutError:
            self._work.set()

    # --- arrivals -------------------------------------------------------------------

    async def _commit(self) -> None:
        batch = self._next_batch()
        if not batch:
            return
        rows = [
            entry.row
            for arrival in batch
            for entry in arrival.entries
            if entry.row.key not in arrival.driver.known
        ]
        new = set(await self._store.append(rows)) if rows else set()
        # From here on the batch is durable.
        for arrival in batch:
            self._arrivals.popleft()
            self._bytes -= arrival.frame.size
        self._transport.ack([arrival.frame for arrival in batch if arrival.frame.ack is not None])
        for arrival in batch:
            self._accept(arrival, new)
        self._dispatcher.start()
        if self._bytes < self._bound // 2:
            self._transport.resume()

    def _next_batch(self) -> list[_Arrival]:
        batch: list[_Arrival] = []
        size = 0
        for arrival in self._arrivals:
            if size >= self._batch or self._refusing:
                break
            if not arrival.entries:
                arrival.entries = [
                    self._entry(payload, arrival) for payload in arrival.frame.payloads
                ]
            size += max(len(arrival.entries), 1)
            batch.append(arrival)
        return batch

    def _entry(self, payload: Payload, arrival: _Arrival) -> _Entry:
        driver, frame = arrival.driver, arrival.frame
        facts, error = _facts(payload, driver), payload.error
        row = Row(
            account_id=driver.account.id,
            key=envelope.message_key(facts, payload.text, frame.max_pts),
            payload=payload.text or "",
            conversation_id=None if facts is None else facts.conversation_id,
            arrived=int(self._clock() * 1000) if frame.timestamp is None else frame.timestamp,
            dead=None
            if error is None
            else DeadLetter(reason=f"{payload.stage}: {error}", offset=error.offset),
        )
        return _Entry(row, payload, facts)

    def _accept(self, arrival: _Arrival, new: set[tuple[str, str]]) -> None:
        driver, frame = arrival.driver, arrival.frame
        opened: list[str] = []
        known: list[str] = []
        dead = 0
        for entry in arrival.entries:
            row = entry.row
            driver.known.add(row.key)
            identity = (row.account_id, row.key)
            if identity not in new:
                known.append(row.key)
                driver.sync.held.again(row.key, frame.max_pts or 0)
                continue
            new.discard(identity)  # the same message twice in one batch is handled once
            delivery = self._delivery(entry, driver)
            for ready in driver.sync.held.put(row.key, frame.max_pts or 0, delivery):
                self._dispatcher.put(ready)
            if row.dead is None:
                opened.append(row.key)
            else:
                dead += 1
                facts: dict[str, Any] = {"account": row.account_id, "key": row.key}
                say(log, logging.WARNING, "dead letter", reason=row.dead.reason, **facts)
        if driver.sync.ledger.stored(arrival.pts, opened, known):
            self._moved.add(driver)
        if arrival.pts is not None and not frame.has_more:
            driver.sync.release()  # the replay is through: what comes now comes in order
        if arrival.entries:
            self._hooks(Committed(driver.account.id, len(opened) + dead, len(known), dead))

    def _delivery(self, entry: _Entry, driver: Driver) -> Delivery:
        row, facts, error = entry.row, entry.facts, entry.payload.error
        if facts is None or error is not None:
            undecodable = Undecodable(
                account_id=row.account_id,
                key=row.key,
                stage=entry.payload.stage or "missing",
                reason="missing" if error is None else error.reason,
                offset=0 if error is None else error.offset,
            )
            return Delivery(undecodable)
        message = envelope.to_message(
            facts,
            account_id=row.account_id,
            key=row.key,
            tree=entry.payload.tree,
            redelivered=row.redelivered,
            ours=driver.outbox.claims(facts),
            sender=self._sender,
        )
        late = (
            row.arrived is not None
            and message.time is not None
            and row.arrived - message.time > self._expiry_ms
        )
        return Delivery(Expired(message) if late else message, row.key)

    # --- outcomes -------------------------------------------------------------------

    async def _record(self) -> None:
        outcomes = self._outcomes[:]
        done: dict[Driver, list[str]] = {driver: [] for driver in self._moved}
        for driver, key, letter in outcomes:
            if letter is not None:
                await self._store.dead(driver.account.id, key, letter)
            done.setdefault(driver, []).append(key)
        for driver, keys in done.items():
            for key in keys:
                driver.sync.ledger.handled(key)
            await self._store.handled(driver.account.id, keys, driver.sync.ledger.cursor)
        del self._outcomes[: len(outcomes)]
        self._moved.clear()
        for driver, key, letter in outcomes:
            self._hooks(Finished(driver.account.id, key, None if letter is None else letter.reason))


def _facts(payload: Payload, driver: Driver) -> Facts | None:
    return envelope.read(payload.tree, driver.account.id) if payload.error is None else None
