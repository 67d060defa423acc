"""Many seeds, each of them a client in trouble."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.world import run

SEEDS = 2000
CHUNK = 50


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" not in metafunc.fixturenames:
        return
    # The options are there when this folder is what pytest was called with.
    seed = metafunc.config.getoption("--seed", None)
    count = metafunc.config.getoption("--seeds", None) or SEEDS
    first = metafunc.config.getoption("--first", 0)
    whole = range(first, first + count) if seed is None else range(seed, seed + 1)
    chunks = [whole[start : start + CHUNK] for start in range(0, len(whole), CHUNK)]
    metafunc.parametrize("seeds", chunks, ids=lambda chunk: f"{chunk[0]}-{chunk[-1]}")


def test_every_invariant_holds(seeds: range) -> None:
    for seed in seeds:
        run(seed)


def test_a_seed_replays_exactly() -> None:
    for seed in range(5):
        assert run(seed).lines() == run(seed).lines()


def test_a_seed_replays_exactly_in_another_process() -> None:
    """Sets of strings have another order there."""
    tests, package = Path(__file__).parents[1], Path(__file__).parents[2] / "python"
    script = "from simulation.world import run\nfor seed in range(5): print(*run(seed).lines())"
    traces = set()
    for hash_seed in ("1", "2"):
        environment = os.environ | {
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join([str(tests), str(package), *sys.path]),
        }
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, check=True
        )
        traces.add(done.stdout)
    assert len(traces) == 1
