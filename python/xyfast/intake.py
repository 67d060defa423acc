"""From a push to a handler and back: commit, acknowledge, hand on, record.

The order is the guarantee. Nothing is acknowledged before the store has it, nothing is
handed to a handler before that either, and an id enters the dedup window only after its
commit, or a failed commit would turn the server's redelivery into a loss.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from xyfast._core import Frame, read_payload
from xyfast.arrivals import Arrival, Arrivals
from xyfast.config import Settings
from xyfast.dispatch import Delivery, Dispatcher
from xyfast.driver import Driver
from xyfast.entries import Entry, Reader
from xyfast.errors import StoreFull
from xyfast.facts import Facts
from xyfast.health import Health
from xyfast.instrumentation import Committed, DeadLettered, Finished, Hooks
from xyfast.logs import logger, say
from xyfast.messages import Sender, Undecodable
from xyfast.store import DeadLetter, Outcome, Row, Store
from xyfast.transport import Transport
from xyfast.window import Window

__all__ = ["Intake"]

log = logger(__name__)

_PAGES = 8  # between two commits, at most
_LAPS = 16  # of the event loop between two batches, at most

Identity = tuple[str, str]
Ended = tuple[Delivery, DeadLetter | None]


class Intake:
    """One task that owns the store: arrivals and outcomes in one commit, then a page, again.

    While one transaction is written the next batch gathers, so the batches grow with the
    load by themselves. Of what is stored, a `Window` says what is in memory; the rest is
    paged in as handlers end.

    When the store fails nothing is acknowledged, and the batch is tried again and again.
    When it is full, outcomes are recorded all the same. Frames that wait are bounded by
    ``Settings.intake_bytes``; for ``stall`` see `Arrivals`.
    """

    def __init__(
        self,
        store: Store,
        transport: Transport,
        dispatcher: Dispatcher,
        hooks: Hooks,
        sender: Sender,
        settings: Settings,
        *,
        stall: Callable[[bool], None],
    ) -> None:
        self._store = store
        self._transport = transport
        self._dispatcher = dispatcher
        self._hooks = hooks
        self._settings = settings
        self._reader = Reader(sender, self._ours, int(settings.message_expiry * 1000))
        self._window = Window(settings.backlog, settings.backlog_bytes, lane=settings.backlog_lane)
        self._drivers: dict[str, Driver] = {}
        self._arrivals = Arrivals(transport, settings.intake_bytes, stall)
        self._outcomes: list[Ended] = []
        self._due: asyncio.TimerHandle | None = None  # when outcomes wait no longer
        self._work = asyncio.Event()
        self._health = Health(hooks, settings, self._work.set)
        self._refusing = False
        self._stopping = asyncio.Event()
        self._deadline = 0.0  # of the loop, for what is left to record when all else has stopped

    @property
    def waiting(self) -> int:
        """Arrivals that are not committed yet."""
        return len(self._arrivals)

    @property
    def waiting_bytes(self) -> int:
        """What they take."""
        return self._arrivals.size

    @property
    def unrecorded(self) -> int:
        """Messages whose handlers have ended, which the store has not recorded yet."""
        return len(self._outcomes)

    def in_memory(self, account_id: str) -> int:
        """Messages of an account that are in memory for their handlers."""
        return self._window.held(account_id)

    @property
    def stalled(self) -> bool:
        """Whether nothing more can be kept, so that links are of no use."""
        return self._arrivals.stalled

    @property
    def failing(self) -> bool:
        """Whether what waits could not be committed the last time."""
        return self._health.failing and bool(self._arrivals or self._outcomes)

    # --- what comes -----------------------------------------------------------------

    def arrived(self, driver: Driver, frame: Frame) -> None:
        """A push, or an answer that carries a package."""
        if self._refusing or self.stalled or frame.link <= driver.cut:
            # Not acknowledged: the server will bring it again. Nothing of a link is stored
            # behind what was dropped of it, or it would seem that all up to there is here.
            return
        self._enqueue(Arrival(driver, frame, driver.sync.position(frame)))

    async def take_in(self, driver: Driver, payloads: Iterable[str]) -> list[str]:
        """Commit messages that were fetched, written as a push would write them.

        Returns the keys of those that were not known. They go the way of pushed ones; while
        the account holds they wait until it is released. If the store fails this waits. Given
        nothing, it waits until all that arrived before is committed.
        """
        arrival, now = Arrival(driver), driver.calls.now_ms()
        for text in payloads:
            arrival.entries.append(Entry.pushed(driver.account.id, read_payload(text), None, now))
            arrival.size += len(text)
        arrival.stored = asyncio.get_running_loop().create_future()
        self._enqueue(arrival)
        return await arrival.stored

    async def settle(self, driver: Driver, position: int) -> None:
        """Wait until all that arrived before is committed, and nothing waits up to a position.

        What arrives meanwhile may be of any time: another link may have been given it.
        """
        while True:
            await self.take_in(driver, ())
            if not self._arrivals.has(driver, position):
                return

    def finished(self, delivery: Delivery, letter: DeadLetter | None) -> None:
        """The handlers of a message have ended."""
        if delivery.key is None:
            return
        account_id, conversation_id = delivery.lane
        self._window.leave(account_id, conversation_id, delivery.size)
        self._outcomes.append((delivery, letter))
        enough = len(self._outcomes) >= self._health.most
        if enough or self._stopping.is_set() or self._window.wanted:
            self._work.set()
        elif self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_later(self._settings.outcome_wait, self._work.set)

    def recover(self, driver: Driver) -> None:
        """Hand on what is stored and was not handled, as there is room for it."""
        account_id = driver.account.id
        self._drivers[account_id] = driver
        driver.sync.hold()
        self.behind((account_id,))

    async def forget(
        self, account_id: str, unbegun: Sequence[Delivery], begun: Sequence[Delivery]
    ) -> None:
        """An account is gone; what handlers have not ended of it waits in the store again.

        Raises whatever the store does; then that comes again after a restart.
        """
        del self._drivers[account_id]
        for delivery in (*unbegun, *begun):
            if delivery.key is not None:
                self._window.leave(*delivery.lane, delivery.size)
        self._window.forget(account_id)
        for deliveries, seen in ((unbegun, False), (begun, True)):
            if keys := [(account_id, each.key) for each in deliveries if each.key is not None]:
                await self._store.untake(keys, begun=seen)

    def behind(self, account_ids: Iterable[str]) -> None:
        """Rows of these accounts may wait in the store."""
        for account_id in account_ids:
            if account_id in self._drivers:
                self._window.behind(account_id)
                self._work.set()

    def hold(self, account_id: str, until: int) -> None:
        """Store what comes, and hand on nothing beyond a position until `release`."""
        self._window.hold(account_id, until)
        self._work.set()

    def release(self, account_id: str) -> None:
        """Hand on what was held, in its order."""
        self._window.release(account_id)
        self._work.set()

    def _enqueue(self, arrival: Arrival) -> None:
        self._arrivals.put(arrival)
        self._work.set()

    # --- the loop -------------------------------------------------------------------

    async def run(self) -> None:
        """Work until `stop`; then record what was handled, give back what was not begun, end."""
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set() or self._left:
            busy = self._work.is_set()
            await self._work.wait()
            if busy or self._window.room < self._health.most:
                await self._breathe()
            self._work.clear()
            last = self._stopping.is_set()
            try:
                await self._round()
            except Exception as error:
                # Whatever it is, the intake goes on trying: without it the client is deaf.
                self._health.fails(error)
                self._arrivals.fail()
                if last and loop.time() >= self._deadline:
                    self.tell_left()
                    return
                await self._wait()

    def refuse(self) -> None:
        """Take nothing new; what is not acknowledged comes again another time."""
        self._refusing = True
        self._work.set()

    def stop(self, deadline: float) -> None:
        """Let `run` end when all is recorded; the dispatcher has stopped.

        A store that fails is tried until ``deadline`` (the loop's time), at least once.
        """
        self._refusing = True
        self._deadline = deadline
        self._health.stop()
        self._stopping.set()
        self._work.set()

    def tell_left(self) -> None:
        """The store did not work again in time: what will come again, as redelivered."""
        for delivery, _ in self._outcomes:
            sentence = "handled and not recorded, will be redelivered"
            say(log, logging.ERROR, sentence, account=delivery.account_id, key=delivery.key)
        if unbegun := sum(each.key is not None for each in self._dispatcher.unbegun):
            say(log, logging.ERROR, "not begun, will count as redelivered", count=unbegun)

    async def _round(self) -> None:
        health = self._health
        batch = [] if self._refusing or health.full else self._arrivals.batch(health.most)
        outcomes = self._outcomes[:]
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if batch or outcomes:
            await self._commit(batch, outcomes)
        await self._give_back()  # before the grace time is over: who stops us may not wait for it
        more = not self._refusing
        for _ in range(_PAGES):  # and then the next commit: acks must not wait for long
            more = more and await self._page()
        if (
            more
            or (self._stopping.is_set() and self._left)
            or (self._arrivals and not self._refusing and not health.full)
        ):
            self._work.set()

    async def _breathe(self) -> None:
        """Let handlers run; while they end at once, until there is room for the next batch.

        What is committed without room goes the long way, over the disk and back.
        """
        idle = 0
        for _ in range(_LAPS):
            ended = len(self._outcomes)
            await asyncio.sleep(0)
            idle = 0 if len(self._outcomes) > ended else idle + 1
            # One lap ends handlers, the next one starts others.
            if self._window.room >= self._health.most or idle > 1:
                return

    async def _wait(self) -> None:
        """Until the store may work again, at most until `stop`, and then until its deadline."""
        wait = self._settings.store_retry
        if self._stopping.is_set():
            left = self._deadline - asyncio.get_running_loop().time()
            await asyncio.sleep(max(min(wait, left), 0.0))
        else:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
        self._work.set()

    # --- the commit -----------------------------------------------------------------

    async def _commit(self, batch: list[Arrival], outcomes: list[Ended]) -> None:
        try:
            new = await self._write(batch, outcomes)
        except StoreFull as error:
            self._health.fills(error, len(batch))
            self._arrivals.fail()
            batch = []
            new = await self._write(batch, outcomes)
        else:
            self._health.works()
        stored = asyncio.get_running_loop().time()
        self._record(outcomes)
        if batch:
            self._accept(batch, new, stored)

    async def _write(self, batch: list[Arrival], outcomes: list[Ended]) -> set[Identity]:
        rows = self._decide(batch)
        received: dict[str, int] = {}
        for arrival in batch:
            frame, sync = arrival.frame, arrival.driver.sync
            if arrival.pts is not None and frame is not None and frame.link == sync.confirmed:
                account_id = arrival.driver.account.id
                if (position := sync.counted(arrival.pts)) is not None:
                    received[account_id] = max(received.get(account_id, 0), position)
        try:
            new = await self._store.commit(
                rows,
                [Outcome(each.account_id, each.key or "", letter) for each, letter in outcomes],
                received=received,
            )
        except BaseException:
            for arrival in batch:
                for entry in arrival.entries:
                    self._put_back(entry)
            raise
        return set(new)

    def _decide(self, batch: list[Arrival]) -> list[Row]:
        """Say what is taken: with every try, since there may be other room by then."""
        rows = []
        admit = self._window.admit
        for arrival in batch:
            known = arrival.driver.known
            follows = False
            for entry in arrival.entries:
                account_id = entry.account_id
                if entry.key in known and not follows:
                    continue  # behind one that may be new it may have to move
                if entry.facts is not None and account_id in self._drivers:
                    entry.taken = admit(account_id, entry.conversation_id, len(entry.text))
                # The position of what bears no time is but that of its package.
                timed = entry.facts is not None and entry.facts.time_ms is not None
                rows.append(entry.row(follows=follows and timed))
                follows = timed
        return rows

    def _put_back(self, entry: Entry) -> None:
        if entry.taken:
            entry.taken = False
            self._window.leave(entry.account_id, entry.conversation_id, len(entry.text))

    def _accept(self, batch: list[Arrival], new: set[Identity], stored: float) -> None:
        """The batch is durable since that time: acknowledge it and hand it on."""
        self._arrivals.leave(batch)
        frames = [arrival.frame for arrival in batch if arrival.frame is not None]
        self._transport.ack([frame for frame in frames if frame.kind == "push"])
        acked = asyncio.get_running_loop().time() - stored
        for arrival in batch:
            self._hand_on(arrival, new, stored, acked)
        self._dispatcher.start()
        self._arrivals.go_on()

    def _hand_on(
        self, arrival: Arrival, new: set[Identity], stored_at: float, acked: float
    ) -> None:
        driver = arrival.driver
        stored: list[str] = []
        dead = 0
        for entry in arrival.entries:
            driver.known.add(entry.key)
            identity = (entry.account_id, entry.key)
            if identity not in new:
                self._put_back(entry)
                say(log, logging.DEBUG, "known already", account=entry.account_id, key=entry.key)
                continue
            new.discard(identity)  # the same message twice in one batch is handled once
            stored.append(entry.key)
            if entry.facts is None:
                dead += 1
                self._report_dead(entry)
                continue
            if entry.facts.kind == "marker":
                driver.sync.marked(entry.facts)
            if entry.taken:
                self._dispatcher.put(self._reader.delivery(entry))
        if arrival.pts is not None and arrival.frame is not None:
            driver.sync.stored(arrival.frame, arrival.pts)
        if arrival.entries and self._hooks:
            new_known = len(stored), len(arrival.entries) - len(stored)
            hops: tuple[float | None, ...] = (None, None, None)
            if arrival.frame is not None:
                hops = arrival.age, stored_at - arrival.decoded, acked
            self._hooks(Committed(driver.account.id, *new_known, dead, *hops))
        if arrival.stored is not None and not arrival.stored.done():
            arrival.stored.set_result(stored)

    def _report_dead(self, entry: Entry) -> None:
        """It is kept as a dead letter; handlers are told unless very much waits for them."""
        message = self._reader.message(entry)
        if self._dispatcher.waiting < self._settings.backlog:
            self._dispatcher.put(Delivery(message))
        reason = message.reason if isinstance(message, Undecodable) else None
        say(
            log,
            logging.WARNING,
            "dead letter, see `xyfast dead`",
            account=entry.account_id,
            key=entry.key,
            reason=reason,
        )
        if entry.dead is not None:
            self._hooks(DeadLettered(entry.account_id, entry.key, "payload", entry.dead.reason))

    def _record(self, outcomes: list[Ended]) -> None:
        """The outcomes are durable."""
        del self._outcomes[: len(outcomes)]
        for delivery, letter in outcomes if self._hooks else ():
            account_id, key = delivery.account_id, delivery.key or ""
            self._hooks(Finished(account_id, key, None if letter is None else letter.reason))
            if letter is not None:
                cause: Literal["payload", "handler"] = "payload" if delivery.dead else "handler"
                self._hooks(DeadLettered(account_id, key, cause, letter.reason))

    @property
    def _left(self) -> bool:
        """Whether something is not recorded yet that must be before the end."""
        return bool(self._outcomes or self._dispatcher.unbegun)

    async def _give_back(self) -> None:
        """What no handler has seen, comes after a restart as though for the first time."""
        if unbegun := self._dispatcher.unbegun[:]:
            await self._store.untake([(each.account_id, each.key) for each in unbegun if each.key])
            del self._dispatcher.unbegun[: len(unbegun)]

    async def _page(self) -> bool:
        """Take what is first in line into memory; False if there is nothing, or no room."""
        ask = self._window.ask()
        if ask is None:
            return False
        account_id, limit, size, skip, until = ask
        rows, waiting = await self._store.take(account_id, limit, size=size, skip=skip, until=until)
        deliveries = [self._reader.delivery(Entry.kept(row)) for row in rows]
        sizes = [(delivery.lane[1], delivery.size) for delivery in deliveries]
        self._window.paged(ask, sizes, more=waiting is not None)
        for delivery in deliveries:
            self._dispatcher.put(delivery)
        self._dispatcher.start()
        return True

    def _ours(self, account_id: str, facts: Facts) -> bool:
        driver = self._drivers.get(account_id)  # it may have been removed meanwhile
        return driver is not None and driver.outbox.claims(facts)
