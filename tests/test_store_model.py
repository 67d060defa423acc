"""`SqliteStore` does what `MemoryStore` does, whatever is done in whatever order.

A restart is a close and an open; a crash is the files as they are while the store is open.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stores import DAY, ME, OTHER, Clock, letter
from xyfast.errors import StoreFull
from xyfast.store import DeadLetter, MemoryStore, Outcome, Retention, Row, SqliteStore, Store
from xyfast.store.schema import TAKEN, WAITING

T = TypeVar("T")

ACCOUNTS = st.sampled_from([ME, OTHER])
KEYS = st.sampled_from("abcdefghijkl")
CONVERSATIONS = st.sampled_from([None, "x", "y"])
LETTERS = st.none() | st.builds(
    DeadLetter, reason=st.sampled_from(["utf8", "handler"]), offset=st.none() | st.just(7)
)
ROWS = st.builds(
    Row,
    account_id=ACCOUNTS,
    key=KEYS,
    payload=st.text(max_size=5),
    position=st.integers(0, 5),
    conversation_id=CONVERSATIONS,
    arrived=st.none() | st.integers(0, 9),
    taken=st.booleans(),
    follows=st.booleans(),
    dead=st.none() | st.none() | LETTERS,
)
POSITIONS = st.dictionaries(ACCOUNTS, st.integers(0, 9))
RETENTION = Retention(max_rows=14)
# The disk itself is not what is tried here; a folder in memory lets more be tried.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


class Stores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.files = 0
        self.clock = Clock()
        self.old: list[SqliteStore] = []
        self.model = MemoryStore(RETENTION, clock=self.clock, steady=self.clock.steady)
        self.store = self._make()

    def teardown(self) -> None:
        for store in (*self.old, self.store):
            self._run(store.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    @rule(
        rows=st.lists(ROWS, max_size=6),
        ended=st.lists(st.tuples(ACCOUNTS, KEYS, LETTERS), max_size=3),
        received=POSITIONS,
    )
    def commit(
        self,
        rows: list[Row],
        ended: list[tuple[str, str, DeadLetter | None]],
        received: dict[str, int],
    ) -> None:
        # Which of two messages that were handled in one call is forgotten first, is open.
        handled = [each for each in ended if each[2] is None][:1]
        outcomes = [Outcome(*each) for each in ended if each[2] is not None or each in handled]
        outcomes = list({each[:2]: each for each in outcomes}.values())

        async def commit(store: Store) -> object:
            try:
                return set(await store.commit(rows, outcomes, received=received))
            except StoreFull as error:
                return str(error)

        self._both(commit)

    @rule(
        account=ACCOUNTS,
        limit=st.integers(1, 4),
        skip=st.sets(CONVERSATIONS, max_size=2),
        until=st.none() | st.integers(0, 5),
    )
    def take(self, account: str, limit: int, skip: set[str | None], until: int | None) -> None:
        async def take(store: Store) -> object:
            rows, waiting = await store.take(account, limit, skip=skip, until=until)
            return list(rows), waiting

        self._both(take)

    @rule(identities=st.lists(st.tuples(ACCOUNTS, KEYS), max_size=3))
    def untake(self, identities: list[tuple[str, str]]) -> None:
        self._both(lambda store: store.untake(identities))

    @rule(account=ACCOUNTS, keys=st.lists(KEYS, max_size=3))
    def revive(self, account: str, keys: list[str]) -> None:
        self._both(lambda store: store.revive(account, keys))

    @rule(days=st.sampled_from([1, 6, 23]))
    def sweep_later(self, days: int) -> None:
        self.clock.now += days * DAY
        self._both(lambda store: store.sweep())

    @rule(account=ACCOUNTS, blob=st.text(max_size=5))
    def save_session(self, account: str, blob: str) -> None:
        self._both(lambda store: store.save_session(account, blob))

    @rule(account=ACCOUNTS, name=KEYS, uuid=st.sampled_from(["-1", "-2"]))
    def post(self, account: str, name: str, uuid: str) -> None:
        self._both(lambda store: store.post(letter(name, account_id=account, uuid=uuid)))

    @rule(
        account=ACCOUNTS,
        name=KEYS,
        state=st.sampled_from(["queued", "out", "sent", "refused"]),
        message_id=st.none() | st.just("m"),
        time=st.none() | st.just(5),
    )
    def mark(self, account: str, name: str, state: Any, **facts: Any) -> None:
        self._both(lambda store: store.mark(account, name, state, **facts))

    @rule()
    def restart(self) -> None:
        self._run(self.store.close())
        self._run(self.store.open())
        self._reopen_model()

    @rule()
    def crash(self) -> None:
        self.old.append(self.store)
        self.files += 1
        for end in ("", "-wal"):
            shutil.copy(f"{self._path(self.files - 1)}{end}", f"{self._path(self.files)}{end}")
        self.store = self._make()
        self._reopen_model()

    @invariant()
    def they_hold_the_same(self) -> None:
        async def everything(store: Store) -> object:
            return [
                [row for _, row in await store.dead_letters()],
                [
                    (
                        await store.load(account),
                        set(await store.known(account, "abcdefghijkl")),
                        list(await store.unsent(account)),
                    )
                    for account in (ME, OTHER)
                ],
            ]

        self._both(everything)

    @invariant()
    def the_cursor_never_passes_an_unhandled_message(self) -> None:
        sql = (
            "SELECT min(position) FROM inbox JOIN account ON account.id = inbox.account"
            f" WHERE account.account = ? AND state IN ({WAITING}, {TAKEN})"
        )
        for account in (ME, OTHER):
            kept = self._run(self.store.load(account))
            [(lowest,)] = self._run(
                self.store._use(lambda file, name=account: file.db.execute(sql, (name,)).fetchall())
            )
            if kept.received is None:
                assert kept.handled is None
            elif lowest is None or lowest > kept.received:
                assert kept.handled == kept.received
            else:
                assert kept.handled == lowest - 1

    def _both(self, call: Any) -> None:
        self.clock.now += 1
        assert self._run(call(self.store)) == self._run(call(self.model))

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(call)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.db"

    def _make(self) -> SqliteStore:
        path = self._path(self.files)
        store = SqliteStore(
            path,
            RETENTION,
            clock=self.clock,
            steady=self.clock.steady,
            synchronous="normal",
        )
        self._run(store.open())
        return store

    def _reopen_model(self) -> None:
        self._run(self.model.close())
        self._run(self.model.open())


TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=50,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow],
)
