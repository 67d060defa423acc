"""After a restart of their server five thousand accounts are back soon, and politely.

All times are virtual: they say what the back-off and the gate decide, not how fast a machine is.
"""

from __future__ import annotations

import pytest

from simulation.herd import Herd, run

COUNT = 5000
MOST = 32.0


def p99(herd: Herd) -> float:
    return herd.back[len(herd.back) * 99 // 100]


def within_the_pace(herd: Herd) -> bool:
    """Whether no second saw more dials than the gate allows."""
    times, most = herd.dialled, int(herd.settings.dial_rate) + herd.settings.dial_burst
    return all(last - first >= 1.0 for first, last in zip(times, times[most:], strict=False))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("outage", [1.0, 10.0, 60.0, 600.0])
def test_a_server_that_refuses_dials_and_returns(outage: float, seed: int) -> None:
    herd = run(COUNT, outage, seed)
    assert p99(herd) <= MOST
    assert len(herd.refused) < 0.1 * COUNT
    assert within_the_pace(herd)


def test_the_first_refusals_stop_the_others() -> None:
    herd = run(COUNT, 10.0, 0)
    assert len(herd.refused) < 0.01 * COUNT


def test_an_event_loop_that_is_busy_most_of_the_time_makes_up_for_it() -> None:
    herd = run(COUNT, 10.0, 0, busy=0.4)
    assert p99(herd) <= MOST
    assert len(herd.refused) < 0.01 * COUNT


def test_a_server_that_swallows_dials_and_returns() -> None:
    """A dial takes ten seconds to fail: one that went out just before its return costs them."""
    herd = run(COUNT, 60.0, 0, swallow=True)
    assert p99(herd) <= MOST + herd.settings.open_timeout
    assert len(herd.refused) < 0.1 * COUNT
    assert within_the_pace(herd)
