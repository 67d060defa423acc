"""The accounts of a client: taken in, found, and let go."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from xyfast.account import Account
from xyfast.dispatch import Dispatcher
from xyfast.driver import Driver, Environment
from xyfast.errors import StateError
from xyfast.events import Drained, Start
from xyfast.intake import Intake
from xyfast.logs import complain, logger
from xyfast.tasks import LAST_WORD, answered

__all__ = ["Accounts"]

log = logger(__name__)


class Accounts:
    """Makes a `Driver` for each, which takes part in ``intake`` and ``dispatcher``.

    ``environment`` is what they share.
    """

    def __init__(self, environment: Environment, intake: Intake, dispatcher: Dispatcher) -> None:
        self.drivers: dict[str, Driver] = {}
        """Those of the accounts that are there, in the order in which they were added."""
        self.adding: dict[str, asyncio.Task[None]] = {}
        """What takes accounts in that are not there yet."""
        self.removing: dict[str, asyncio.Task[None]] = {}
        """What lets accounts go that are still there; it ends by itself, whatever hangs."""
        self._environment = environment
        self._intake = intake
        self._dispatcher = dispatcher
        self._over = False

    def driver(self, account_id: str) -> Driver:
        """That of an account; raises `StateError` if it is not there."""
        try:
            return self.drivers[account_id]
        except KeyError:
            raise StateError(f"account {account_id} was never added") from None

    def add(self, account: Account) -> asyncio.Task[None]:
        """Begin to take an account in; see `Client.add`."""
        if account.id in self.drivers or account.id in self.adding:
            raise StateError(f"account {account.id} was added already")
        adding = asyncio.get_running_loop().create_task(self._add(account))
        self.adding[account.id] = adding
        adding.add_done_callback(lambda _: self.adding.pop(account.id))
        return adding

    def remove(self, account_id: str) -> asyncio.Task[None]:
        """Begin to let an account go; see `Client.remove`."""
        driver = self.driver(account_id)
        if account_id not in self.removing:
            removing = asyncio.get_running_loop().create_task(self._remove(driver))
            self.removing[account_id] = removing
        return self.removing[account_id]

    def give_up(self) -> None:
        """Take none in any more: the client closes."""
        self._over = True
        for adding in self.adding.values():
            adding.cancel()

    async def _add(self, account: Account) -> None:
        driver = Driver(account, self._environment)
        try:
            await driver.load()
            if self._over:  # a store may not hear that it is cancelled
                raise StateError(f"account {account.id} is not added: the client is closed")
        except BaseException:
            await driver.close()
            raise
        self.drivers[account.id] = driver
        driver.stall(self._intake.stalled)
        self._intake.recover(driver)
        driver.gaps.tell_again()
        driver.feed(Start())

    async def _remove(self, driver: Driver) -> None:
        loop, account_id = asyncio.get_running_loop(), driver.account.id
        grace = self._environment.settings.grace
        deadline = loop.time() + grace
        by = deadline + 2 * LAST_WORD  # the first one is for handlers that were cut off
        try:
            driver.retire()
            with contextlib.suppress(asyncio.TimeoutError):  # if the store fails
                await asyncio.wait_for(self._intake.take_in(driver, ()), grace)
            left = max(deadline - loop.time(), 0.0)
            unbegun, begun = await self._dispatcher.leave(account_id, left)
            driver.feed(Drained())
            ends = asyncio.gather(
                self._intake.forget(account_id, unbegun, begun),
                driver.close(),
                return_exceptions=True,
            )
            if await answered(ends, "what was not begun, and session material", by, account_id):
                for error in filter(None, ends.result()):
                    raise error
        except Exception as error:  # the store may be the user's own
            sentence = "not given back, comes again after a restart"
            complain(log, logging.WARNING, sentence, account_id, error)
        finally:
            del self.drivers[account_id]
            del self.removing[account_id]
