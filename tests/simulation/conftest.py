"""Options: ``pytest tests/simulation --seed 1234`` or ``--seeds 100000 --first 2000``."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--seed", type=int, help="play this seed alone")
    group.addoption("--seeds", type=int, help="play so many seeds instead of 2000")
    group.addoption("--first", type=int, default=0, help="begin with this seed instead of 0")
