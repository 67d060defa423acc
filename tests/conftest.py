"""Fixtures that several test files use."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from bot_files import Place
from canaries import Cage, listening
from inboxes import Run, Shown
from scripted import User
from stores import Maker
from world import ME, OTHER, ThreadedServer
from xyfast.store import Store
from xyfast.testing import FakeServer

# Whatever else the machine does may hold up an example; one that hangs meets pytest's timeout.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True, scope="module")
def collected() -> None:
    """Keep what other modules left out of the collections that the tests of this one ask for."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--canaries",
        nargs="?",
        const="redacted",
        choices=["redacted", "bare"],
        help="after each test search what was logged and told to observers for every secret that it"
        " made, in all encodings; bare: with redaction switched off",
    )


@pytest.fixture(autouse=True)
def caged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With ``--canaries``: no secret of a test is in what was said while it ran."""
    if (how := request.config.getoption("--canaries")) is None or request.node.get_closest_marker(
        "leaks"
    ):
        yield
        return
    request.getfixturevalue("caplog").handler.setLevel(logging.WARNING)  # what it has by default
    cage = Cage()
    cage.watch(monkeypatch, bare=how == "bare")
    with listening(cage.record):
        yield
    assert cage.escaped() == []


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Undo what `xyfast.logging_json` has set up."""
    log = logging.getLogger("xyfast")
    handlers, level, propagate = log.handlers[:], log.level, log.propagate
    yield
    log.handlers, log.propagate = handlers, propagate
    log.setLevel(level)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer([ME, OTHER]) as server:
        yield server


@pytest.fixture
def threaded_server() -> Iterator[ThreadedServer]:
    threaded = ThreadedServer(ME, OTHER)
    yield threaded
    threaded.close()


@pytest.fixture
async def user() -> AsyncIterator[User]:
    user = User()
    yield user
    user.end()


@pytest.fixture
def place(server: FakeServer, tmp_path: Path) -> Place:
    """A folder with a configuration, for bots."""
    return Place(tmp_path, server)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs commands in this process."""
    return lambda *arguments: Shown(capsys, *arguments)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a store."""
    return tmp_path / "x.db"


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, path: Path) -> Maker:
    return Maker(request.param, path)


@pytest.fixture
async def store(make: Maker) -> AsyncIterator[Store]:
    """A store of each kind."""
    store = make()
    await store.open()
    yield store
    await store.close()
