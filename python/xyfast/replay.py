"""What a link replays from our position on, and what is surely here when that is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Replay"]


class Replay:
    """Waits for what is replayed, which may have what no list has; ``over`` is told of its end.

    Its last package says that it is the last one, or nothing comes for ``wait`` seconds. Where
    the link is lost before, all is here up to the last package that came. If none came, the
    silence counts, and the next link is waited for the less, else links that live for less than
    that would never prove anything.
    """

    def __init__(self, wait: float, over: Callable[[], None]) -> None:
        self.listed: int | None = None
        """The position up to which all that lists have is here."""
        self.here: int | None = None
        """The position up to which all else is here too."""
        self.reached: int | None = None
        """The highest position stored from the link that replays, or has replayed."""
        self._wait = wait
        self._over = over
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0  # the loop's time of the answer
        self._silent = 0.0  # seconds of links that were lost before anything came
        self._listed = self.listed  # as it was when that silence began

    @property
    def goes_on(self) -> bool:
        """Whether more of it may come."""
        return self._timer is not None

    def begin(self) -> None:
        """The server knows our position; what it replays comes behind its answer."""
        if not self._silent:
            self._listed = self.listed
        self._since = asyncio.get_running_loop().time()
        self._expect(self._wait - self._silent)

    def came(self, position: int, *, more: bool) -> None:
        """A package of it, or one behind it, is stored; ``more`` follow."""
        self.reached = max(position, self.reached or 0)
        if self._timer is not None:
            self._silent = 0.0
            if more:
                self._expect(self._wait)
            else:
                self._end()

    def cut(self) -> None:
        """Nothing more will come of it."""
        if self._timer is not None:
            if self.reached is None:
                self._silent += asyncio.get_running_loop().time() - self._since
            elif self.listed is not None:
                self.here = min(self.listed, self.reached)
            self._leave()

    def _expect(self, wait: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(wait, self._end)

    def _end(self) -> None:
        self.here = self._listed if self._silent else self.listed
        self._silent = 0.0
        self._leave()

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._over()
