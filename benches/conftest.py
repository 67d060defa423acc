"""The fixture that lets rivals race."""

from __future__ import annotations

import pytest

from race import Laps, Race, enabled
from xyfast import _core


def pytest_collection(session: pytest.Session) -> None:
    if enabled(session.config) and _core.build_profile == "debug":
        raise pytest.UsageError("benchmarks need a release build: use `make bench`")


@pytest.fixture(scope="session")
def results() -> dict[tuple[str, str], Laps]:
    return {}


@pytest.fixture
def race(request: pytest.FixtureRequest, results: dict[tuple[str, str], Laps]) -> Race:
    return Race(request, results)
