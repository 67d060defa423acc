"""Many seeds, each of them a client in trouble."""

from __future__ import annotations

from simulation.world import run


def test_one() -> None:
    run(1)
