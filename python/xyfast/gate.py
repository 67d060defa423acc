"""Who may dial an endpoint next, over all that dial it. Time and dice are arguments.

While an endpoint is up, a token bucket lets dials through, the one that has waited longest
first. A dial that did not reach it says that it is down: from then on one prober at a time goes
out, after a random rest, until one of them is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from xyfast.pace import Buckets
from xyfast.retry import Trouble, bound

__all__ = ["LATE", "LONGEST_REST", "PATIENCE", "Gate", "Pace"]

T = TypeVar("T")

LONGEST_REST = 5.0
"""Most seconds from the end of a probe to the next one, where the back-off bound is not less.

A probe stands for all that wait: while a thousand accounts wait as long as each would alone,
the endpoint would be up for a minute before one of them finds out.
"""
PATIENCE = 120.0
"""Seconds after which a dial that told nothing is taken for gone."""
LATE = 1.0
"""Most seconds of the pace that are made up for when those in line are called late.

An event loop that thousands of links keep busy is late all the time: at 200 a second, 0.1 s
is more than a burst of 20 covers.
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """``burst`` dials at once and ``rate`` a second; ``scale`` is a factor on rests."""

    rate: float
    burst: int
    scale: float = 1.0

    def strictest(self, other: Pace) -> Pace:
        """The pace that keeps to both."""
        return Pace(
            min(self.rate, other.rate),
            min(self.burst, other.burst),
            max(self.scale, other.scale),
        )


class Gate(Generic[T]):
    """The line in front of one endpoint, and what is known of it.

    Whoever was let through tells what became of it: `reached`, `missed` or `leave`. At most
    as many are under way as may go in a second, so that an endpoint which swallows dials
    without a word gets no more than that.
    """

    def __init__(self, pace: Pace, dice: Callable[[], float]) -> None:
        self._pace = pace
        self._bucket = Buckets(pace.rate, pace.burst)
        self._since = 0.0  # when nothing but the pace began to hold the line up
        self._dice = dice
        self._line: dict[T, None] = {}  # in the order of coming
        self._under_way: dict[T, float] = {}  # since when, in the order of going
        self._misses = 0  # in a row; the endpoint is down unless 0
        self._bound = 0.0  # of the rest between two probes
        self._prober: T | None = None
        self._probe_at = 0.0
        self._reached = float("-inf")  # when that was last told

    def __len__(self) -> int:
        """How many wait."""
        return len(self._line)

    @property
    def down(self) -> bool:
        """Whether the last that is known of the endpoint is that it was not reached."""
        return self._misses > 0

    def keep_to(self, pace: Pace) -> None:
        """Be no faster than ``pace`` from now on."""
        strictest = self._pace.strictest(pace)
        if strictest != self._pace:
            self._pace = strictest
            self._bucket = Buckets(strictest.rate, strictest.burst)

    def put(self, who: T) -> None:
        """Stand in line, behind the others."""
        if not self._line:
            self._since = float("inf")  # until the next look
        self._line[who] = None

    def take(self, now: float, there: Callable[[T], bool] = lambda who: True) -> T | None:
        """Let the one through that has waited longest of those that are ``there``, if any may."""
        self._look(now)
        if self._ready(now) > now:
            return None
        who = next(filter(there, self._line), None)
        if who is not None:
            del self._line[who]
            self._bucket.take(None, max(self._since, now - LATE))
            self._under_way[who] = now
            if self.down:
                self._prober = who
        return who

    def next(self, now: float) -> float | None:
        """The time from which `take` lets somebody through; None: nobody waits."""
        return self._ready(now) if self._line else None

    def reached(self, who: T, now: float) -> None:
        """The endpoint has answered, whatever it said: it is up."""
        self._look(now)
        if self._under_way.pop(who, None) is not None:
            self._reached = now
            self._misses = 0
            self._prober = None

    def missed(self, who: T, trouble: Trouble, now: float) -> None:
        """The endpoint was not reached. Whoever went before it last was says nothing new."""
        self._look(now)
        began = self._under_way.pop(who, None)
        if began is None or began < self._reached or (self.down and who is not self._prober):
            return
        self._misses += 1
        self._bound = min(bound(trouble, self._misses), LONGEST_REST) * self._pace.scale
        self._rest(now)

    def leave(self, who: T, now: float) -> None:
        """Wait no longer, or be gone without a word. Nothing happens to one that has told."""
        self._look(now)
        self._line.pop(who, None)
        if self._under_way.pop(who, None) is not None and who is self._prober:
            self._rest(now)

    @property
    def _full(self) -> bool:
        """Whether as many are under way as may be."""
        return len(self._under_way) >= max(int(self._pace.rate), self._pace.burst)

    def _look(self, now: float) -> None:
        """Note whether something else than the pace has held the line up until ``now``."""
        self._since = now if self.down or self._full else min(self._since, now)

    def _rest(self, now: float) -> None:
        self._prober = None
        self._probe_at = now + self._dice() * self._bound

    def _ready(self, now: float) -> float:
        """The time from which somebody may go, should nothing be told meanwhile."""
        self._forget_vanished(now)
        ready = self._bucket.ready(None)
        if self.down:
            ready = max(ready, self._probe_at)
        if self._prober is not None:
            ready = max(ready, self._under_way[self._prober] + PATIENCE)
        elif self._full:
            ready = max(ready, next(iter(self._under_way.values())) + PATIENCE)
        return ready

    def _forget_vanished(self, now: float) -> None:
        while self._under_way:
            who, began = next(iter(self._under_way.items()))
            if began + PATIENCE > now:
                return
            self.leave(who, now)
