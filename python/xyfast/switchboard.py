"""What links tell, brought to the accounts whose they are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import MutableMapping, Sequence

from xyfast._core import Closed, Frame, Invalid, Opened
from xyfast.driver import Driver
from xyfast.events import LinkLost
from xyfast.intake import Intake
from xyfast.logs import logger, say
from xyfast.retry import Trouble
from xyfast.transport import LinkEvent, Transport

__all__ = ["Switchboard"]

log = logger(__name__)


class Switchboard:
    """Takes the events of ``transport``: what links bring goes to ``intake``, all else to drivers.

    ``owners`` says whose each link is: drivers enter those that they dial, and each is taken
    out here when it is over.
    """

    def __init__(
        self, owners: MutableMapping[int, Driver], transport: Transport, intake: Intake
    ) -> None:
        self._owners = owners
        self._transport = transport
        self._intake = intake
        self._none_left = asyncio.Event()

    async def all_ended(self, timeout: float) -> None:
        """Wait until no link is left, at most ``timeout`` seconds."""
        self._none_left.clear()
        if self._owners:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._none_left.wait(), timeout)

    def on_events(self, events: Sequence[LinkEvent]) -> None:
        """Take what links tell; an event that fails costs no other one."""
        for event in events:
            driver = self._owners.get(event.link)
            if driver is None:
                continue
            try:
                self._on_event(driver, event)
            except Exception as error:
                account = driver.account.id
                say(log, logging.ERROR, "link event failed", error=error, account=account)
                self._go_on(driver, event)

    def on_frame(self, driver: Driver, frame: Frame) -> None:
        """Take a frame of one of a driver's links."""
        if frame.kind in ("kick", "session_removed"):
            driver.kicked(frame)
            return
        if frame.kind == "answer":
            driver.calls.answered(frame)
        if frame.resync:
            driver.sync.skip(frame.link)
        if frame.payloads:
            driver.sync.heard(frame.link)
        if frame.kind == "push" or frame.payloads:
            self._intake.arrived(driver, frame)

    def _on_event(self, driver: Driver, event: LinkEvent) -> None:
        match event:
            case Frame():
                self.on_frame(driver, event)
            case Opened():
                driver.opened(event)
            case Closed():
                del self._owners[event.link]
                if not self._owners:
                    self._none_left.set()
                driver.closed(event)
            case Invalid():
                say(
                    log,
                    logging.WARNING,
                    "frame ignored",
                    account=driver.account.id,
                    reason=event.reason,
                    offset=event.offset,
                    size=event.size,
                )
                driver.unread()

    def _go_on(self, driver: Driver, event: LinkEvent) -> None:
        """Leave no account waiting for what an event that failed would have told it."""
        match event:
            case Opened():
                self._transport.close(event.link)  # its end is told
            case Closed():
                driver.feed(LinkLost(event.link, Trouble.OTHER, "its end could not be read"))
            case _:
                driver.unread()
