"""How long a store remembers, and how much it holds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from xyfast.arguments import check_numbers
from xyfast.config import LOOK_BACK, SLACK
from xyfast.errors import StoreFull
from xyfast.logs import logger, say

__all__ = ["LONGER", "NEAR", "Lost", "Patient", "Retention"]

NEAR = (LOOK_BACK + SLACK) * 1000
"""Microseconds before the position up to which an account has all. What was handled there is
forgotten last: whoever looks into the server's lists for what was missed begins there, and
would take it for new."""

LONGER = 30 * 86_400.0
"""Seconds for which a message that is near stays longer: its account may never come back."""

_HOUR = 3600.0

log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The bounds of a store, in time and in size.

    Past a bound of size the messages handled longest ago are forgotten early, some at a
    time, within `Store.commit`; one of them that the server sends again would be new. Past
    ``max_bytes`` durable messages that were settled longest ago go with them; one of them
    that is asked for again would go out again. Messages next to the position up to which
    their account has all (`NEAR`), and letters of the last ten minutes, stay until no others
    are left to go; such messages also past the times below, for 30 days. When
    the others alone exceed the bound, the dead letters with the lowest numbers go as long as
    they are more than the unhandled messages, each time with one ERROR line in the log: a
    handler that is broken must not end the intake. Else `Store.commit` raises `StoreFull`.

    Time is the machine's. Where its clock jumps ahead, nothing is forgotten for that before
    the jump has lasted an hour; one that is ahead from the start is believed.

    Raises `ConfigError` naming the field whose value is not a number above zero.
    """

    keep: float = 7 * 86_400.0
    """Seconds for which a handled message, or one that was sent, is remembered."""
    keep_dead: float = 30 * 86_400.0
    """Seconds for which a dead letter is kept."""
    max_rows: int = 1_000_000
    """Messages in the inbox."""
    max_bytes: int = 1024**3
    """Bytes that the store uses."""
    max_outbox: int = 10_000
    """Messages in the outbox that have no outcome; past it `Store.post` raises `StoreFull`."""
    max_outbox_bytes: int = 16 * 1024**2
    """Characters of their content; past it `Store.post` raises `StoreFull`."""

    def __post_init__(self) -> None:
        check_numbers(self)

    def check_outbox(self, letters: int, size: int) -> None:
        """Raise `StoreFull` if so many messages, of so many characters, wait to go out."""
        for bound, used in (("max_outbox", letters), ("max_outbox_bytes", size)):
            if used > getattr(self, bound):
                raise StoreFull(
                    f"the outbox is full: what waits to go out is more than its {bound} of "
                    f"{getattr(self, bound)}; wait until some of it is sent, or raise "
                    f"Retention.{bound}"
                )

    def full(self, bound: Literal["max_rows", "max_bytes"]) -> StoreFull:
        """The error to raise when unhandled messages and dead letters exceed a bound."""
        unit = "messages" if bound == "max_rows" else "bytes"
        return StoreFull(
            f"the inbox is full: unhandled messages and dead letters take its {bound} of "
            f"{getattr(self, bound)} {unit}; let the handlers catch up, revive or drop "
            f"dead letters (`xyfast dead`), or raise Retention.{bound}"
        )

    @staticmethod
    def spare(dead: int, unhandled: int) -> int:
        """How many dead letters may go for room: those by which they are more."""
        return max(dead - unhandled, 0)

    @staticmethod
    def extra(rows: int) -> int:
        """How many more go than must, so that not every commit has to make room."""
        return min(1000, rows // 64)


class Patient:
    """A clock (seconds since 1970) for what may be forgotten, and a steady one to judge it by.

    When the clock jumps ahead, this believes it after an hour or two: a machine whose clock
    is wrong for a minute must not forget a month.
    """

    def __init__(self, clock: Callable[[], float], steady: Callable[[], float]) -> None:
        self._clock = clock
        self._steady = steady
        self._since = steady()
        self._ahead = self._ahead_before = clock() - self._since  # the lowest of an hour each

    def now(self) -> float:
        """To be asked now and then, or a jump is noticed late."""
        steady = self._steady()
        ahead = self._clock() - steady
        if steady - self._since >= _HOUR:
            self._since, self._ahead_before, self._ahead = steady, self._ahead, ahead
        self._ahead = min(self._ahead, ahead)
        return steady + min(self._ahead, self._ahead_before)


class Lost:
    """Counts the dead letters that went for room, and tells of each time."""

    def __init__(self) -> None:
        self.letters = 0

    def add(self, letters: int) -> None:
        """So many are gone for good."""
        if letters:
            self.letters += letters
            sentence = "store is full of dead letters, the oldest were forgotten"
            say(log, logging.ERROR, sentence, letters=letters, total=self.letters)
