"""Fixtures that several test files use."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator

import pytest

from inboxes import Run, Shown
from scripted import User
from world import ME, OTHER, ThreadedServer
from xyfast.testing import FakeServer


@pytest.fixture(autouse=True, scope="module")
def collected() -> None:
    """Keep what other modules left out of the collections that the tests of this one ask for."""
    gc.collect()
    gc.freeze()


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer([ME, OTHER]) as server:
        yield server


@pytest.fixture
def threaded_server() -> Iterator[ThreadedServer]:
    threaded = ThreadedServer()
    yield threaded
    threaded.close()


@pytest.fixture
async def user() -> AsyncIterator[User]:
    user = User()
    yield user
    user.end()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs commands in this process."""
    return lambda *arguments: Shown(capsys, *arguments)
