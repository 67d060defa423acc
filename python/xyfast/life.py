"""The life of a client: opened when it is first needed, closed once and in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping
from typing import Any

from xyfast import upkeep
from xyfast.config import Settings
from xyfast.dispatch import Dispatcher
from xyfast.driver import Driver
from xyfast.errors import StateError
from xyfast.events import Drained, Stop
from xyfast.instrumentation import Hooks
from xyfast.intake import Intake
from xyfast.logs import logger, say, seconds
from xyfast.measuring import Measuring
from xyfast.store import SecretStore, Store
from xyfast.switchboard import Switchboard
from xyfast.transport import Transport
from xyfast.watchdog import watch_loop, watch_sleep

__all__ = ["Life"]

log = logger(__name__)

_LAST_WORD = 1.0  # seconds past the grace time that a store gets to answer


class Life:
    """Opens the parts of a client, and closes them.

    ``drivers`` are those of its accounts by now, ``removing`` what ends the accounts that are
    being removed. ``slept(seconds)`` is told when the machine has slept, by ``clock`` (seconds
    since the epoch), and ``blocked(seconds)`` when the event loop was blocked.
    """

    def __init__(
        self,
        store: Store,
        secrets: SecretStore | None,
        transport: Transport,
        switchboard: Switchboard,
        intake: Intake,
        dispatcher: Dispatcher,
        hooks: Hooks,
        settings: Settings,
        *,
        drivers: Mapping[str, Driver],
        removing: Mapping[str, asyncio.Task[None]],
        clock: Callable[[], float],
        slept: Callable[[float], None],
        blocked: Callable[[float], None],
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._transport = transport
        self._switchboard = switchboard
        self._intake = intake
        self._dispatcher = dispatcher
        self._hooks = hooks
        self._settings = settings
        self._drivers = drivers
        self._removing = removing
        self._clock = clock
        self._slept = slept
        self._blocked = blocked
        self._starting: asyncio.Task[None] | None = None
        self._intaking: asyncio.Task[None] | None = None
        self._upkeep: list[asyncio.Task[None]] = []
        self._unwatch: Callable[[], None] = lambda: None
        self._closing: asyncio.Task[None] | None = None
        self._deadline = 0.0  # of closing, by the loop's time
        self._stopped = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether it closes, or is closed."""
        return self._closing is not None

    def check_open(self) -> None:
        """Raises `StateError` if it is over."""
        if self.over:
            raise StateError("the client is closed; make a new one")

    # --- the beginning --------------------------------------------------------------

    async def start(self) -> None:
        """Open the store and begin; whoever comes while this goes on waits for it."""
        self.check_open()
        starting = self._starting
        if starting is None or _failed(starting):
            starting = self._starting = asyncio.get_running_loop().create_task(self._open())
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled():  # the store did not answer until the client closed
                self.check_open()
            raise
        self.check_open()

    async def _open(self) -> None:
        loop, settings = asyncio.get_running_loop(), self._settings
        async with contextlib.AsyncExitStack() as undo:
            await self._store.open()
            undo.push_async_callback(self._store.close)
            if self._secrets is not None:
                await self._secrets.open()
                undo.push_async_callback(self._secrets.close)
            if settings.blocked_after:
                self._unwatch = watch_loop(settings.blocked_after, self._blocked)
                undo.callback(self._unwatch)
            self._transport.start(self._switchboard.on_events)
            undo.pop_all()
        self._intaking = loop.create_task(self._intake.run())
        self._upkeep = [
            loop.create_task(upkeep.sweep(self._store, settings.sweep_every)),
            loop.create_task(
                upkeep.watch(self._store, settings.revived_every, self._intake.behind)
            ),
            loop.create_task(watch_sleep(self._clock, self._slept)),
        ]
        if self._hooks:
            measuring = Measuring(
                self._drivers, self._store, self._intake, self._dispatcher, self._hooks
            )
            self._upkeep.append(loop.create_task(measuring.run(settings.measure_every)))

    async def run(self) -> None:
        """See `Client.run`."""
        await self.start()
        loop = asyncio.get_running_loop()
        handled = []
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, self._signalled)
            except (NotImplementedError, RuntimeError, ValueError):
                continue  # not the main thread: whoever runs us calls close()
            handled.append(number)
        try:
            await self._stopped.wait()
        finally:
            for number in handled:
                loop.remove_signal_handler(number)
            await self.close()

    def _signalled(self) -> None:
        running = self._dispatcher.running
        if self.over:
            self._dispatcher.cut_off()
        elif running:
            sentence = "waiting for handlers; a second signal cuts them off, and they run again"
            say(log, logging.WARNING, sentence, count=running, most=seconds(self._settings.grace))
        self.begin_close()

    # --- the end --------------------------------------------------------------------

    async def close(self) -> None:
        """See `Client.close`."""
        closing = self.begin_close()
        if not self._dispatcher.runs(asyncio.current_task()):
            await asyncio.shield(closing)

    def begin_close(self) -> asyncio.Task[None]:
        """Close once, in a task that nobody else's end cuts short."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        return self._closing

    async def _close(self) -> None:
        try:
            await self._wind_down()
        finally:
            self._unwatch()
            self._transport.stop()
            closing = asyncio.ensure_future(self._close_stores())
            try:
                if await self._answered(closing, "its closing"):
                    closing.result()
            finally:
                self._stopped.set()

    async def _close_stores(self) -> None:
        try:
            await self._store.close()
        finally:
            if self._secrets is not None:
                await self._secrets.close()

    async def _answered(self, work: asyncio.Future[Any], what: str) -> bool:
        """Wait for what the store is asked to do; whether it is over, or was left behind."""
        left = self._deadline - asyncio.get_running_loop().time()
        await asyncio.wait({work}, timeout=max(left, 0.0) + _LAST_WORD)
        if not work.done():
            # What it raises by then is asked for, else asyncio logs that.
            work.add_done_callback(lambda late: late.cancelled() or late.exception())
            work.cancel()
            say(log, logging.ERROR, "store does not answer, going on without", what=what)
            return False
        return True

    async def _wind_down(self) -> None:
        self._deadline = asyncio.get_running_loop().time() + self._settings.grace
        if self._starting is not None:
            await self._answered(self._starting, "its opening")
        drivers = list(self._drivers.values())
        for driver in drivers:
            driver.feed(Stop())
        if self._removing:
            removals = asyncio.gather(*self._removing.values(), return_exceptions=True)
            await self._answered(removals, "what was not begun of removed accounts")
        self._intake.refuse()
        if left := await self._dispatcher.stop(self._settings.grace):
            say(log, logging.WARNING, "handlers cut off", count=left)
        if self._intaking is not None:
            self._intake.stop(self._deadline)
            # It may have been cancelled: go on closing.
            if not await self._answered(self._intaking, "the record of what was handled"):
                self._intake.tell_left()
        for driver in drivers:
            driver.feed(Drained())
        self._transport.resume()
        await self._switchboard.all_ended(self._settings.close_timeout + 1.0)
        ends = asyncio.gather(*(driver.close() for driver in drivers))
        if await self._answered(ends, "session material"):
            ends.result()
        for task in self._upkeep:
            task.cancel()
        await self._answered(asyncio.gather(*self._upkeep, return_exceptions=True), "its upkeep")


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
