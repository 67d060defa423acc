"""Whether the store takes what it is given, and how much it is given at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from xyfast.config import Settings
from xyfast.errors import StoreError, StoreFull
from xyfast.instrumentation import Hooks, Troubled
from xyfast.logs import logger, say
from xyfast.troubles import raised

__all__ = ["Health"]

log = logger(__name__)

_QUIET = 60.0  # seconds between two log lines about the same trouble


class Health:
    """What the last commits have shown; told of in the log and to observers.

    Where a batch does not fit, smaller ones are tried; where a single arrival does not, the
    store is `full`, and ``again`` is called when rows are to be tried once more.
    """

    def __init__(self, hooks: Hooks, settings: Settings, again: Callable[[], None]) -> None:
        self.most = settings.commit_batch
        """Entries in a batch."""
        self.failing = False
        """Whether the last commit has failed."""
        self._hooks = hooks
        self._settings = settings
        self._again = again
        self._full: asyncio.TimerHandle | None = None
        self._told = False
        self._quiet_until = 0.0

    @property
    def full(self) -> bool:
        """Whether it takes outcomes alone."""
        return self._full is not None

    def fails(self, error: Exception) -> None:
        """A commit has failed, or what is done to the store beside it."""
        self.failing = True
        self._hooks(Troubled(None, raised(error).name))
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            self._quiet_until, self._told = now + _QUIET, True
            foreign = None if isinstance(error, StoreError) else error  # its words are not told
            reason = f"{type(error).__name__}: {error}" if foreign is None else None
            sentence = "store failed, nothing new is acknowledged"
            say(log, logging.ERROR, sentence, error=foreign, reason=reason)

    def fills(self, error: StoreFull, arrivals: int) -> None:
        """There was no room for so many arrivals."""
        self.fails(error)
        self.most = max(self.most // 2, 1)  # there may be room for some of them
        if arrivals == 1:
            loop = asyncio.get_running_loop()
            self._full = loop.call_later(self._settings.store_retry, self._try_rows)

    def works(self) -> None:
        """A commit has succeeded."""
        if self.full:
            return
        self.most = min(self.most * 2, self._settings.commit_batch)
        if self.failing and self._told:
            say(log, logging.INFO, "store works again")
        self.failing = self._told = False

    def stop(self) -> None:
        """Rows are not tried any more."""
        if self._full is not None:
            self._full.cancel()

    def _try_rows(self) -> None:
        self._full = None
        self._again()
