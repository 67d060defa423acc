"""From what pytest-benchmark wrote to the lines of our tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from targets import Target, Theme

US = "xyfast"
UNITS = {"": 1.0, "B": 1.0, "KiB": 1 / 1024, "ms": 1e3}
Entry = dict[str, Any]
"""One rival in one case, as pytest-benchmark reports it."""


@dataclass(frozen=True)
class Line:
    """One case: our figure, its target, and the peers.

    Figures are ratios to the best peer, and to every peer; where a theme has none they are
    our own figure and those of the peers. Without a figure we did not take part.
    """

    case: str
    ours: float | None
    target: Target | None
    best: str = ""
    shown: str = ""
    """Our time or size, for people."""
    peers: dict[str, float] = field(default_factory=dict)

    @property
    def result(self) -> str:
        """How our figure compares with its target."""
        if self.target is None:
            return ""
        if self.ours is None:
            return "not there"
        if self.ours <= self.target.stretch:
            return "stretch"
        return "met" if self.ours <= self.target.must else "missed"


def duration(seconds: float) -> str:
    """Write a time with three digits and its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def number(value: float | None, theme: Theme) -> str:
    """Write a ratio with two decimals or two digits, anything else with three or whole."""
    if value is None:
        return "–"
    if theme.is_ratio:
        return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
    value *= UNITS[theme.unit]
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def quantity(value: float, unit: str) -> str:
    """Write a figure with its unit, which is that of times if there is none."""
    return f"{value * UNITS[unit]:.3g} {unit}" if unit else duration(value)


def by_case(entries: Iterable[Entry], theme: Theme) -> dict[str, dict[str, Entry]]:
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        info = entry["extra_info"]
        if info["theme"] == theme.name:
            found.setdefault(info["case"], {})[info["rival"]] = entry
    return found


def timed(theme: Theme, case: str, rivals: dict[str, Entry]) -> Line:
    """Compare rounds: the median, over them, of the ratio within a round."""
    laps = {name: entry["stats"]["data"] for name, entry in rivals.items()}
    medians = {name: statistics.median(data) for name, data in laps.items()}
    peers = [name for name in medians if name != US]
    best = theme.against or min(peers, key=medians.__getitem__, default="")
    if US not in laps or not best:
        return Line(case, None, theme.target(case), best)
    ours = laps.pop(US)
    ratios = {
        name: statistics.median(us / them for us, them in zip(ours, data, strict=True))
        for name, data in laps.items()
    }
    shown = quantity(medians[US], theme.unit)
    return Line(case, ratios[best], theme.target(case), best, shown, ratios)


def counted(theme: Theme, case: str, rivals: dict[str, Entry]) -> Line:
    """Compare what is no time."""
    figures = {name: entry["extra_info"][theme.fact] for name, entry in rivals.items()}
    target = theme.target(case)
    if US not in figures:
        return Line(case, None, target)
    ours = figures.pop(US)
    if theme.against is None:
        return Line(case, ours, target, peers=figures)
    shown = quantity(ours, theme.unit)
    # A tree of nothing but values that exist already weighs nothing.
    ratios = {name: ours / theirs if theirs else 1.0 for name, theirs in figures.items()}
    return Line(case, ratios.get(theme.against), target, theme.against, shown, ratios)


def lines(theme: Theme, entries: Iterable[Entry]) -> list[Line]:
    """Return the lines of a theme's table, the geometric mean last."""
    compare = counted if theme.fact else timed
    cases = by_case(entries, theme)
    if theme.against is not None:
        cases = {case: rivals for case, rivals in cases.items() if theme.against in rivals}
    found = [compare(theme, case, rivals) for case, rivals in cases.items()]
    ratios = [line.ours for line in found if line.ours]
    if theme.mean and ratios:
        mean = statistics.geometric_mean(ratios)
        found.append(Line(f"geometric mean of {len(ratios)}", mean, theme.mean))
    return found
