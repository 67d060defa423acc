"""Expired messages that no handler takes: they are counted, and the log is told now and then."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from xyfast.logs import logger, say

__all__ = ["Unheard"]

log = logger(__name__)

_GATHER = 1.0  # seconds in which those are counted that come with the first
_QUIET = 60.0  # seconds between two lines about an account


class Unheard:
    """Counts by account; the first ones are told within a second, then each minute's."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def add(self, account_id: str) -> None:
        """An expired message of an account was handled by nobody."""
        self._counts[account_id] += 1
        if account_id not in self._timers:
            self._tell_after(_GATHER, account_id)

    def stop(self) -> None:
        """Tell what was not told yet, and nothing more."""
        for account_id, timer in self._timers.items():
            timer.cancel()
            self._say(account_id)
        self._timers.clear()

    def _tell_after(self, seconds: float, account_id: str) -> None:
        loop = asyncio.get_running_loop()
        self._timers[account_id] = loop.call_later(seconds, self._tell, account_id)

    def _tell(self, account_id: str) -> None:
        if self._counts[account_id]:
            self._say(account_id)
            self._tell_after(_QUIET, account_id)
        else:
            del self._timers[account_id]

    def _say(self, account_id: str) -> None:
        if count := self._counts.pop(account_id, 0):
            sentence = (
                "expired messages that no handler of Expired took, see `xyfast replay --expired`"
            )
            say(log, logging.WARNING, sentence, account=account_id, count=count)
