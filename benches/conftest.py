"""The fixture that lets rivals race."""

from __future__ import annotations

from typing import Any

import pytest

from race import Laps, Race, enabled
from xyfast import _core


def pytest_collection(session: pytest.Session) -> None:
    if enabled(session.config) and _core.build_profile == "debug":
        raise pytest.UsageError("benchmarks need a release build: use `make bench`")


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["xyfast_simd"] = _core.simd


@pytest.fixture(scope="session")
def results() -> dict[tuple[str, str], Laps]:
    return {}


@pytest.fixture
def race(request: pytest.FixtureRequest, results: dict[tuple[str, str], Laps]) -> Race:
    return Race(request, results)
