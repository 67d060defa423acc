"""What the tests of the stores share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from xyfast.store import (
    DeadLetter,
    MemoryStore,
    Outcome,
    Posted,
    Retention,
    Row,
    SqliteStore,
    Store,
)
from xyfast.store.sqlite import _Open

ME, OTHER = "9000000000001", "9000000000002"
DAY = 86_400.0


class Clock:
    """Seconds since 1970 that go on when they are told to, and a steady clock beside them."""

    def __init__(self) -> None:
        self.now = 1_767_225_600.0
        self.ahead = 0.0

    def __call__(self) -> float:
        return self.now

    def steady(self) -> float:
        return self.now - self.ahead

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock; no time has passed."""
        self.now += seconds
        self.ahead += seconds


def row(key: str, account: str = ME, **facts: object) -> Row:
    return Row(account_id=account, key=key, payload=f"payload of {key}", **facts)  # type: ignore[arg-type]


def handled(*keys: str, account: str = ME) -> list[Outcome]:
    return [Outcome(account, key) for key in keys]


def died(*keys: str, reason: str = "a handler raised ValueError") -> list[Outcome]:
    return [Outcome(ME, key, DeadLetter(reason=reason)) for key in keys]


def letter(name: str, **facts: object) -> Posted:
    fields = {
        "account_id": ME,
        "name": name,
        "conversation_id": "70000000011",
        "peer_id": "9000000000077",
        "content": '{"contentType":1}',
        "uuid": f"-{name}",
        "created": 1767225600000,
    }
    return Posted(**(fields | facts))  # type: ignore[arg-type]


async def waiting(store: Store, account: str = ME) -> list[str]:
    return keys((await store.take(account, 1000)).rows)


def keys(rows: Sequence[Row]) -> list[str]:
    return [each.key for each in rows]


async def opened(path: Path, **options: object) -> SqliteStore:
    store = SqliteStore(path, **options)  # type: ignore[arg-type]
    await store.open()
    return store


async def plan(store: SqliteStore, call: Callable[[_Open], object], word: str) -> list[str]:
    """How SQLite finds what ``call`` asks for, in the statement that has this word."""

    def explain(file: _Open) -> list[str]:
        statements: list[str] = []
        file.db.set_trace_callback(statements.append)
        call(file)
        file.db.set_trace_callback(None)
        [text] = [text for text in statements if word in text]
        return [step[3] for step in file.db.execute(f"EXPLAIN QUERY PLAN {text}")]

    return await store._use(explain)


class Maker:
    """Makes stores of one kind that share what they keep."""

    def __init__(self, kind: str, path: Path) -> None:
        self.kind, self.path, self.clock = kind, path, Clock()

    def __call__(self, retention: Retention | None = None) -> Store:
        retention = retention or Retention()
        if self.kind == "memory":
            return MemoryStore(retention, clock=self.clock, steady=self.clock.steady)
        return SqliteStore(
            self.path,
            retention,
            clock=self.clock,
            steady=self.clock.steady,
            synchronous="normal",
        )
