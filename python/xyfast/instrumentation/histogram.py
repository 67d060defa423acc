"""Log-linear histograms of durations."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BOUNDS", "MARKS", "SHOWN", "Histogram", "Latency", "Quantiles"]

# A decade has ten steps of a tenth, twelve of a quarter and ten of a half: none is wider than an
# eighth of its upper bound, and all bounds that are shown are among them.
_STEPS = (
    [f"1.{tenth}" for tenth in range(10)]
    + [f"{2 + quarter // 4}.{25 * (quarter % 4)}" for quarter in range(12)]
    + [f"{5 + half // 2}.{5 * (half % 2)}" for half in range(10)]
)
_DECADES = range(-6, 2)  # from a microsecond to a hundred seconds

BOUNDS = [float(f"{step}e{decade}") for decade in _DECADES for step in _STEPS] + [100.0]
"""Upper bounds of buckets in seconds; what is longer is in one more."""

SHOWN = [float(f"{step}e{decade}") for decade in range(-5, 2) for step in ("1", "2.5", "5")]
"""Those that exporters show, and 100 s."""
SHOWN.append(100.0)

_PLACES = [BOUNDS.index(bound) + 1 for bound in SHOWN]

MARKS = 13
"""Looks that are remembered: what is recent is from the first to the last of them."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of so many durations, the one (seconds) below which half, nine tenths and so on are.

    They are right to an eighth. None if there were none.
    """

    count: int
    p50: float | None
    p90: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Latency:
    """What a histogram holds.

    ``buckets`` are upper bounds in seconds, each with the number of durations up to it.
    ``recent`` is of the last twelve looks (``Settings.measure_every``), ``ever`` of all.
    """

    count: int
    total: float
    buckets: tuple[tuple[float, int], ...]
    recent: Quantiles
    ever: Quantiles


class Histogram:
    """Counts durations. May be read in another thread than it is written in."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._total = 0.0
        self._marks: deque[list[int]] = deque(maxlen=MARKS)

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self._total += seconds

    def mark(self) -> None:
        """Some time has passed: ``recent`` is from the oldest of the last marks on."""
        self._marks.append(self._counts.copy())

    def read(self) -> Latency:
        """What it holds now."""
        counts, total = self._counts.copy(), self._total
        marks = list(self._marks)
        recent = counts
        if marks:
            recent = [now - before for now, before in zip(counts, marks[0], strict=True)]
        below, buckets, place = 0, [], 0
        for bound, end in zip(SHOWN, _PLACES, strict=True):
            below += sum(counts[place:end])
            place = end
            buckets.append((bound, below))
        count = below + counts[-1]
        return Latency(count, total, tuple(buckets), _quantiles(recent), _quantiles(counts))


def _quantiles(counts: Sequence[int]) -> Quantiles:
    count = sum(counts)
    found = (_quantile(counts, count, part) for part in (0.5, 0.9, 0.99))
    return Quantiles(count, *found)


def _quantile(counts: Sequence[int], count: int, part: float) -> float | None:
    if not count:
        return None
    left = part * count
    for place, here in enumerate(counts):
        if here and left <= here:
            if place == len(BOUNDS):
                break
            low = BOUNDS[place - 1] if place else 0.0
            return low + (BOUNDS[place] - low) * left / here
        left -= here
    return BOUNDS[-1]
