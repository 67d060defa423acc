"""What a link replays from our position on, and how far that lets the position move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from xyfast.retry import PAUSES

__all__ = ["Replay"]


class Replay:
    """Waits for the end of what is replayed, which may have what no list has.

    It ends with its last package, or when all that came is stored and no more has come for
    ``wait`` seconds; then `listed` counts. One that is cut off counts as far as it came. If
    nothing came, that is a failure, as is a position that the server does not take: when more of
    them follow one another than a request is tried, lists alone must do, or our position would
    never move. ``over`` is called when nothing more will come, for whichever reason.
    """

    def __init__(self, wait: float, over: Callable[[], None]) -> None:
        self.listed: int | None = None
        """The position up to which all that lists have is here."""
        self.here: int | None = None
        """The position up to which all else is here too, as far as the server brings it."""
        self.reached: int | None = None
        """The highest position stored from the link that replays, or has replayed."""
        self.goes_on = False
        """Whether more of it may come."""
        self._wait = wait
        self._over = over
        self._unstored = 0  # frames that have come
        self._failures = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The server knows our position; what it replays comes behind its answer."""
        self.goes_on, self._unstored = True, 0
        self._expect()

    def came(self) -> None:
        """Some of it has come, and waits for its commit."""
        self._unstored += 1
        self._stop_waiting()

    def stored(self, position: int, *, more: bool) -> None:
        """Some of it, or what came behind it, is stored; ``more`` follows."""
        self.reached = max(position, self.reached or 0)
        self._unstored -= 1
        if not more:
            self.end()
        elif self.goes_on and not self._unstored:
            self._expect()

    def cut(self) -> None:
        """Its link brings nothing more that counts."""
        if not self.goes_on:
            return
        if self.reached is None:
            self.fail()
        elif self.listed is not None:
            self._failures = 0
            self.here = min(self.listed, self.reached)
        self._leave()

    def fail(self) -> None:
        """The server did not say what follows our position."""
        self._failures += 1
        if self._failures > len(PAUSES):
            self.here = self.listed

    def end(self) -> None:
        """Nothing more of it will come."""
        if self.goes_on:
            self._failures = 0
            self.here = self.listed
            self._leave()

    def _leave(self) -> None:
        self.goes_on = False
        self._stop_waiting()
        self._over()

    def _expect(self) -> None:
        self._stop_waiting()
        self._timer = asyncio.get_running_loop().call_later(self._wait, self.end)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
