"""How accounts and their client stand, told to observers from time to time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from xyfast.dispatch import Dispatcher
from xyfast.driver import Driver
from xyfast.errors import StoreError
from xyfast.instrumentation import AccountMeasured, ClientMeasured, Hooks
from xyfast.intake import Intake
from xyfast.logs import logger, say
from xyfast.store import Depth, Store
from xyfast.tasks import retrieve

__all__ = ["Asking", "Measuring"]

log = logger(__name__)

T = TypeVar("T")

_LAP = 100  # accounts that are told of before others get the event loop


class Measuring:
    """Looks at ``drivers`` and all that they share, and tells ``hooks``."""

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        store: Store,
        intake: Intake,
        dispatcher: Dispatcher,
        hooks: Hooks,
    ) -> None:
        self._drivers = drivers
        self._store = store
        self._intake = intake
        self._dispatcher = dispatcher
        self._hooks = hooks

    async def run(self, every: float) -> None:
        """Tell every so many seconds, without end; the store has as long to answer."""
        asking = Asking(every)
        try:
            await self._run(every, asking)
        finally:
            await asking.end()

    async def _run(self, every: float, asking: Asking) -> None:
        failed = False
        while True:
            await asyncio.sleep(every)
            try:
                await self._tell(asking)
            except Exception as error:
                if not failed:
                    say(log, logging.WARNING, "not all was measured", error=error)
                failed = True
            else:
                failed = False

    async def _tell(self, asking: Asking) -> None:
        """Tell of all that there is; raises `Asking.trouble`."""
        asking.begin()
        depths = await asking.answer(lambda: self._store.depth())
        for number, account_id in enumerate(list(self._drivers), start=1):
            lag = None if depths is None else await self._lag(asking, account_id, depths)
            if (driver := self._drivers.get(account_id)) is not None:
                self._tell_account(driver, depths, lag)
            if number % _LAP == 0:
                await asyncio.sleep(0)
        intake, dispatcher = self._intake, self._dispatcher
        self._hooks(
            ClientMeasured(
                time=asyncio.get_running_loop().time(),
                running=dispatcher.running,
                waiting=dispatcher.waiting,
                uncommitted=intake.waiting,
                uncommitted_bytes=intake.waiting_bytes,
                unrecorded=intake.unrecorded,
            )
        )
        if asking.trouble is not None:
            raise asking.trouble

    def _tell_account(
        self, driver: Driver, depths: Mapping[str, Depth] | None, lag: float | None
    ) -> None:
        account_id = driver.account.id
        beat = driver.pulse.look(driver.session.link)
        depth = None if depths is None else depths.get(account_id, Depth(0, 0))
        self._hooks(
            AccountMeasured(
                account_id=account_id,
                state=driver.state,
                link_age=beat.age,
                round_trip=beat.round_trip,
                beats=beat.beats,
                good=beat.good,
                known=len(driver.known),
                in_memory=self._intake.in_memory(account_id),
                unhandled=None if depth is None else depth.unhandled,
                dead=None if depth is None else depth.dead,
                lag=lag,
                gaps=len(driver.gaps),
                sending=driver.outbox.open,
            )
        )

    async def _lag(
        self, asking: Asking, account_id: str, depths: Mapping[str, Depth]
    ) -> float | None:
        """How far handling is behind; where nothing waits the store need not be asked."""
        if account_id not in depths or not depths[account_id].unhandled:
            return 0.0
        kept = await asking.answer(lambda: self._store.load(account_id))
        if kept is None or kept.received is None or kept.handled is None:
            return None
        return (kept.received - kept.handled) / 1e6


class Asking:
    """Asks a store, in each round so many seconds at most, all in all, and one thing at a time."""

    def __init__(self, within: float) -> None:
        self.trouble: Exception | None = None
        """What it raised first in this round; `StoreError` if it was late."""
        self._within = within
        self._end = 0.0
        self._task: asyncio.Task[Any] | None = None

    def begin(self) -> None:
        """Another round begins."""
        self.trouble = None
        self._end = asyncio.get_running_loop().time() + self._within

    async def answer(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """What it says; None if it raises or is late."""
        try:
            return await self._answer(call)
        except Exception as error:
            self.trouble = self.trouble or error
            return None

    async def end(self) -> None:
        """Wait for what is asked still: the store may be closed afterwards."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _answer(self, call: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        left = self._end - loop.time()
        # One that does not hear that it is cancelled is not asked again meanwhile.
        if left > 0.0 and (self._task is None or self._task.done()):
            task: asyncio.Task[T] = loop.create_task(_run(call))
            self._task = task
            task.add_done_callback(retrieve)
            await asyncio.wait({task}, timeout=left)
            if task.done():
                return task.result()
            task.cancel()
        raise StoreError(f"the store did not answer within {self._within:g} s")


async def _run(call: Callable[[], Awaitable[T]]) -> T:
    return await call()
