"""Sessions for tests: on a clock that is an argument, with dice that always show the same."""

from __future__ import annotations

import itertools
from typing import Any

from xyfast.config import Settings
from xyfast.events import (
    Action,
    Dial,
    LinkOpened,
    Moved,
    Start,
    State,
    TokenReady,
)
from xyfast.session import Session

HALF = 0.5


def new(**changes: Any) -> Session:
    return Session(Settings(**changes), lambda: HALF, itertools.count(1))


def connected(at: float = 0.0, **changes: Any) -> Session:
    session = new(**changes)
    session.step(Start(), at)
    session.step(TokenReady(), at)
    session.step(LinkOpened(1), at)
    assert session.state is State.CONNECTED
    return session


def moves(actions: list[Action]) -> list[State]:
    return [action.new for action in actions if isinstance(action, Moved)]


def rest(actions: list[Action]) -> list[Action]:
    return [action for action in actions if not isinstance(action, Moved)]


def dial(link: int) -> Dial:
    return Dial(link, heartbeat=15.0, timeout=30.0, misses=3)
