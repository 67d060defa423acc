"""Waiting for what fails again and again: ever longer, and in few words."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

from xyfast.logs import complain, logger
from xyfast.retry import growing

__all__ = ["Patience"]

log = logger(__name__)

_QUIET = 600.0  # seconds between two lines


class Patience:
    """That of one account that is to be caught up. ``scale`` is a factor on every wait.

    The log is told of a failure at once, then every ten minutes until all is well. ``dice``
    gives floats in [0, 1).
    """

    def __init__(self, account_id: str, scale: float, dice: Callable[[], float]) -> None:
        self._account_id = account_id
        self._scale = scale
        self._dice = dice
        self._quiet_until = -math.inf
        self.begin()

    def begin(self) -> None:
        """Wait for short times again: something is new."""
        self._bounds = growing(self._scale)

    def end(self) -> None:
        """All is well: the next failure is told at once."""
        self.begin()
        self._quiet_until = -math.inf

    def complain(self, error: Exception) -> None:
        """Something has failed."""
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET
            complain(log, logging.WARNING, "not caught up yet", self._account_id, error)

    def wait(self) -> float:
        """Seconds until the next try, at random below a bound that grows with each."""
        return self._dice() * next(self._bounds)
