"""Lets rivals race, and gives pytest-benchmark what the race took."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import pytest

from interleave import Rival, measure

Laps = dict[str, list[float]]


def enabled(config: pytest.Config) -> bool:
    """Return whether times are taken; the test suite only checks the answers."""
    return bool(config.getoption("benchmark_enable") or not config.getoption("benchmark_disable"))


class Race:
    """Times the rivals of a case together, once, and reports them one by one.

    pytest-benchmark measures one function at a time, from its first round to its last. Here
    the rounds of all rivals have been taken in turns before; its timer replays those of one.
    """

    def __init__(
        self, request: pytest.FixtureRequest, results: dict[tuple[str, str], Laps]
    ) -> None:
        self._request = request
        self._results = results
        self.enabled = enabled(request.config)

    def __call__(
        self,
        theme: str,
        case: str,
        rival: str,
        rivals: Callable[[], Mapping[str, Rival]],
        *,
        seconds: float = 0.002,
        facts: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        """Report one rival, with facts that are no times; does nothing in the test suite."""
        if not self.enabled:
            return
        if (theme, case) not in self._results:
            self._results[theme, case] = measure(rivals(), seconds)
        laps = self._results[theme, case][rival]
        readings = itertools.chain.from_iterable((0.0, seconds) for seconds in laps)
        mark = pytest.mark.benchmark(group=f"{theme}: {case}", timer=readings.__next__)
        self._request.node.add_marker(mark)
        benchmark = self._request.getfixturevalue("benchmark")
        benchmark.extra_info.update(theme=theme, case=case, rival=rival, **facts())
        benchmark.pedantic(lambda: None, rounds=len(laps))
