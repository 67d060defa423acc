"""The life of a client: opened when it is first needed, closed once and in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable

from xyfast import upkeep
from xyfast.accounts import Accounts
from xyfast.config import Settings
from xyfast.dispatch import Dispatcher
from xyfast.errors import StateError
from xyfast.events import Drained, Stop
from xyfast.instrumentation import Hooks
from xyfast.intake import Intake
from xyfast.logs import logger, say, seconds
from xyfast.measuring import Measuring
from xyfast.status import StatusPage
from xyfast.store import SecretStore, Store
from xyfast.switchboard import Switchboard
from xyfast.tasks import LAST_WORD, answered, retrieve
from xyfast.transport import Transport
from xyfast.watchdog import watch_loop, watch_sleep

__all__ = ["Life"]

log = logger(__name__)


class Life:
    """Opens the parts of a client, and closes them.

    ``status`` is served from the beginning to the end. ``slept(seconds)`` is told when the machine
    has slept, by ``clock`` (seconds since the epoch), and ``blocked(seconds)`` when the event loop
    was blocked.
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
        accounts: Accounts,
        status: StatusPage | None,
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
        self._accounts = accounts
        self._status = status
        self._clock = clock
        self._slept = slept
        self._blocked = blocked
        self._starting: asyncio.Task[None] | None = None
        self._intaking: asyncio.Task[None] | None = None
        self._upkeep: list[asyncio.Task[None]] = []
        self._unwatch: Callable[[], None] = lambda: None
        self._closing: asyncio.Task[None] | None = None
        self._closed: asyncio.Future[None] | None = None  # since it was started

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
        starting, loop = self._starting, asyncio.get_running_loop()
        if self._closed is None:
            self._closed = loop.create_future()
        if starting is None or _failed(starting):
            starting = self._starting = loop.create_task(self._open())
            starting.add_done_callback(retrieve)
        await _first(starting, self._closed)
        self.check_open()
        starting.result()

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
            if self._status is not None:
                await self._status.start()
                undo.push_async_callback(self._status.close)
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
            drivers = self._accounts.drivers
            measuring = Measuring(drivers, self._store, self._intake, self._dispatcher, self._hooks)
            self._upkeep.append(loop.create_task(measuring.run(settings.measure_every)))

    async def until_closed(self, work: asyncio.Task[None]) -> None:
        """Await what has begun after the start, and cancel it when the caller is cancelled.

        Raises `StateError` if the client closes first, and leaves it behind if it must.
        """
        assert self._closed is not None
        work.add_done_callback(retrieve)
        try:
            await _first(work, self._closed)
        except asyncio.CancelledError:
            work.cancel()
            await _first(work, self._closed)
            raise
        if not work.done() or work.cancelled():
            self.check_open()
        work.result()

    async def run(self) -> None:
        """See `Client.run`."""
        self.check_open()
        try:
            await self.start()
        except StateError:
            if not self.over:
                raise
            await self.close()  # it came while the client was being opened
            return
        assert self._closed is not None
        loop = asyncio.get_running_loop()
        handled = []
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, self._signalled)
            except (NotImplementedError, RuntimeError, ValueError):
                continue  # not the main thread: whoever runs us calls close()
            handled.append(number)
        try:
            await asyncio.wait({self._closed})
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
            self._closing.add_done_callback(self._is_closed)
        return self._closing

    def _is_closed(self, _: asyncio.Task[None]) -> None:
        if self._closed is not None:
            self._closed.set_result(None)

    async def _close(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.grace
        try:
            await self._wind_down(deadline)
        finally:
            await self._let_go(max(deadline, loop.time()) + LAST_WORD)

    async def _wind_down(self, deadline: float) -> None:
        """Take nothing new, end what runs, record it, and close the links."""
        loop = asyncio.get_running_loop()
        if self._starting is not None:
            await answered(self._starting, "its opening", deadline)
        self._accounts.give_up()
        for driver in list(self._accounts.drivers.values()):
            driver.feed(Stop())
        stopping = self._dispatcher.stop(max(deadline - loop.time(), 0.0))
        left, _ = await asyncio.gather(stopping, self._refuse(deadline + LAST_WORD))
        if left:
            say(log, logging.WARNING, "handlers cut off", count=left)
        if self._intaking is not None:
            self._intake.stop(deadline)
            by = max(deadline, loop.time()) + LAST_WORD
            # It may have been cancelled: go on closing.
            if not await answered(self._intaking, "the record of what was handled", by):
                self._intake.tell_left()
        for driver in list(self._accounts.drivers.values()):
            driver.feed(Drained())
        self._transport.resume()
        await self._switchboard.all_ended(self._settings.close_timeout + 1.0)

    async def _refuse(self, by: float) -> None:
        """Take nothing new; what had come of accounts that are being removed is committed."""
        if removing := self._accounts.removing:
            left = by - asyncio.get_running_loop().time()
            await asyncio.wait(removing.values(), timeout=left)
        self._intake.refuse()

    async def _let_go(self, by: float) -> None:
        """Save what is not yet and end all that goes on until then, and close the stores.

        However much of it hangs: all of that has begun. Stores get a second of their own.
        """
        loop = asyncio.get_running_loop()
        page = loop.create_task(self._end_page())
        ends = loop.create_task(self._end_accounts())
        for task in self._upkeep:
            task.cancel()
        upkeep = asyncio.gather(*self._upkeep, return_exceptions=True)
        changing = (*self._accounts.adding.values(), *self._accounts.removing.values())
        changes = asyncio.gather(*changing, return_exceptions=True)
        try:
            if await answered(ends, "session material", by):
                ends.result()
        finally:
            await answered(upkeep, "its upkeep", by)
            await answered(changes, "accounts that were being added or removed", by)
            await answered(page, "the status page", by)
            self._unwatch()
            self._transport.stop()
            closing = loop.create_task(self._close_stores())
            if await answered(closing, "its closing", by + LAST_WORD):
                closing.result()

    async def _end_page(self) -> None:
        if self._status is not None:
            await self._status.close()

    async def _end_accounts(self) -> None:
        await asyncio.gather(*(driver.close() for driver in self._accounts.drivers.values()))

    async def _close_stores(self) -> None:
        try:
            await self._store.close()
        finally:
            if self._secrets is not None:
                await self._secrets.close()


async def _first(*futures: asyncio.Future[None]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
