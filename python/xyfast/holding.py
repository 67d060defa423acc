"""Messages of one account that wait until what may be missing before them is here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from xyfast.config import SLACK
from xyfast.logs import logger, say, seconds

__all__ = ["Holding"]

log = logger(__name__)


class Holding:
    """Keeps back what lies beyond the account's position, for a while and no longer.

    ``most`` is the time (seconds) after which all is handed on though the position has not
    moved. ``hold(account_id, until)`` and ``release(account_id)`` do it.
    """

    def __init__(
        self,
        account_id: str,
        most: float,
        hold: Callable[[str, int], None],
        release: Callable[[str], None],
    ) -> None:
        self._account_id = account_id
        self._most = most
        self._hold = hold
        self._release = release
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, received: int | None) -> None:
        """Hold what is not surely in order beside ``received``, up to which all is stored."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._most, self._let_go)
        # A message may bear a time that is a little before its position.
        self._hold(self._account_id, -1 if received is None else received - SLACK * 1000)

    def moved(self, received: int) -> None:
        """The position has moved; what is held now has come since the last time."""
        if self._timer is not None:
            self.stop()
            self.begin(received)

    def end(self) -> None:
        """Hand on all that was held."""
        if self._timer is not None:
            self.stop()
            self._release(self._account_id)

    def stop(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_go(self) -> None:
        sentence = "still catching up; what is fetched from now on comes late"
        say(log, logging.WARNING, sentence, account=self._account_id, after=seconds(self._most))
        self.end()
