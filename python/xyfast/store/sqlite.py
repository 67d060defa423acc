"""The inbox in one SQLite file, on a thread of its own."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from xyfast.errors import StoreError
from xyfast.store.rows import DeadLetter, Row

__all__ = ["SqliteStore"]

T = TypeVar("T")

_VERSION = 1
_SCHEMA = """
CREATE TABLE inbox (
    seq         INTEGER PRIMARY KEY,
    account     TEXT NOT NULL,
    key         TEXT NOT NULL,
    payload     TEXT NOT NULL,
    conversation TEXT,
    arrived     INTEGER,             -- ms, the server's clock
    state       INTEGER NOT NULL,    -- 0 pending, 1 handled, 2 dead
    redelivered INTEGER NOT NULL DEFAULT 0,
    changed     INTEGER NOT NULL,    -- ms, our clock, when the state was entered
    reason      TEXT,                -- of a dead letter
    offset      INTEGER,
    UNIQUE (account, key)
);
CREATE INDEX inbox_pending ON inbox (account, seq) WHERE state = 0;
CREATE TABLE account (
    account TEXT PRIMARY KEY,
    cursor  INTEGER,
    session TEXT
);
"""
_PENDING, _HANDLED, _DEAD = 0, 1, 2


class SqliteStore:
    """Everything in one file: survives a crash of the process and of the machine.

    Write-ahead log, ``synchronous=FULL``; the file is made with mode 0600, since it
    holds session material and message texts. All statements run on one writer thread.
    ``clock`` gives seconds since the epoch; it dates the rows.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = Path(path)
        self._clock = clock
        self._thread: ThreadPoolExecutor | None = None
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open or make the file.

        Raises `StoreError` if it is no inbox, of a newer version, damaged, or in use by
        another process.
        """
        if self._thread is not None:
            raise StoreError(f"the store {self._path} is open already")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="xyfast-store")
        try:
            await self._run(self._open)
        except BaseException:
            self._thread.shutdown(wait=False)
            self._thread = None
            raise

    async def append(self, rows: Sequence[Row]) -> Collection[tuple[str, str]]:
        """See `Store.append`."""
        return await self._run(lambda: self._append(rows))

    async def handled(self, account_id: str, keys: Sequence[str], cursor: int | None) -> None:
        """See `Store.handled`."""
        await self._run(lambda: self._handled(account_id, keys, cursor))

    async def dead(self, account_id: str, key: str, letter: DeadLetter) -> None:
        """See `Store.dead`."""
        await self._run(lambda: self._dead(account_id, key, letter))

    async def pending(self, account_id: str) -> Sequence[Row]:
        """See `Store.pending`."""
        return await self._run(lambda: self._pending(account_id))

    async def cursor(self, account_id: str) -> int | None:
        """See `Store.cursor`."""
        return await self._run(lambda: self._account(account_id, "cursor"))

    async def save_session(self, account_id: str, blob: str) -> None:
        """See `Store.save_session`."""
        await self._run(lambda: self._set_account(account_id, "session", blob))

    async def load_session(self, account_id: str) -> str | None:
        """See `Store.load_session`."""
        return await self._run(lambda: self._account(account_id, "session"))

    async def close(self) -> None:
        """Finish what is queued and close the file."""
        thread = self._thread
        if thread is None:
            return
        await self._run(self._close)
        self._thread = None
        thread.shutdown(wait=False)

    # --- on the writer thread -------------------------------------------------------

    async def _run(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise StoreError(f"the store {self._path} is not open")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            raise StoreError(
                f"the store {self._path} cannot be made ({error.strerror}); its folder must "
                "exist and be writable"
            ) from None
        except sqlite3.Error as error:
            raise StoreError(f"the store {self._path} failed: {error}") from None

    def _open(self) -> None:
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            # Not opened here: closing it would let go of the lock that this process may hold.
            os.chmod(self._path, 0o600)
        db = sqlite3.connect(self._path, isolation_level=None, timeout=0.0)
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            with _Transaction(db):
                self._migrate(db)
                db.execute("UPDATE inbox SET redelivered = redelivered + 1 WHERE state = 0")
        except sqlite3.DatabaseError as error:
            db.close()
            raise StoreError(self._refusal(error)) from error
        except BaseException:
            db.close()
            raise
        self._db = db

    def _migrate(self, db: sqlite3.Connection) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == 0 and tables == 0:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise StoreError(
                f"{self._path} is not an inbox of this xyfast (version {version}, known: "
                f"{_VERSION}); give another path"
            )

    def _refusal(self, error: sqlite3.DatabaseError) -> str:
        if "locked" in str(error):
            return (
                f"the store {self._path} is in use by another process; stop it or give another path"
            )
        return (
            f"the store {self._path} cannot be read ({error}); keep a copy and try "
            f"`sqlite3 {self._path} .recover`, or give another path"
        )

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError(f"the store {self._path} is not open")
        return self._db

    def _append(self, rows: Sequence[Row]) -> list[tuple[str, str]]:
        now, new = self._now(), []
        with _Transaction(self._connection()) as db:
            for row in rows:
                dead = row.dead
                done = db.execute(
                    "INSERT INTO inbox (account, key, payload, conversation, arrived, state,"
                    " redelivered, changed, reason, offset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    (
                        row.account_id,
                        row.key,
                        row.payload,
                        row.conversation_id,
                        row.arrived,
                        _PENDING if dead is None else _DEAD,
                        row.redelivered,
                        now,
                        dead and dead.reason,
                        dead and dead.offset,
                    ),
                )
                if done.rowcount:
                    new.append((row.account_id, row.key))
        return new

    def _handled(self, account_id: str, keys: Sequence[str], cursor: int | None) -> None:
        now = self._now()
        with _Transaction(self._connection()) as db:
            db.executemany(
                "UPDATE inbox SET state = ?, changed = ? WHERE account = ? AND key = ?"
                " AND state = 0",
                [(_HANDLED, now, account_id, key) for key in keys],
            )
            if cursor is not None:
                self._upsert(db, account_id, "cursor", cursor)

    def _dead(self, account_id: str, key: str, letter: DeadLetter) -> None:
        with _Transaction(self._connection()) as db:
            db.execute(
                "UPDATE inbox SET state = ?, changed = ?, reason = ?, offset = ?"
                " WHERE account = ? AND key = ?",
                (_DEAD, self._now(), letter.reason, letter.offset, account_id, key),
            )

    def _pending(self, account_id: str) -> list[Row]:
        found = self._connection().execute(
            "SELECT key, payload, conversation, arrived, redelivered FROM inbox"
            " WHERE account = ? AND state = 0 ORDER BY seq",
            (account_id,),
        )
        return [
            Row(
                account_id=account_id,
                key=key,
                payload=payload,
                conversation_id=conversation,
                arrived=arrived,
                redelivered=redelivered,
            )
            for key, payload, conversation, arrived, redelivered in found
        ]

    def _account(self, account_id: str, column: str) -> Any:
        found = self._connection().execute(
            f"SELECT {column} FROM account WHERE account = ?", (account_id,)
        )
        row = found.fetchone()
        return None if row is None else row[0]

    def _set_account(self, account_id: str, column: str, value: object) -> None:
        with _Transaction(self._connection()) as db:
            self._upsert(db, account_id, column, value)

    @staticmethod
    def _upsert(db: sqlite3.Connection, account_id: str, column: str, value: object) -> None:
        db.execute(
            f"INSERT INTO account (account, {column}) VALUES (?, ?)"
            f" ON CONFLICT (account) DO UPDATE SET {column} = excluded.{column}",
            (account_id, value),
        )

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


class _Transaction:
    """All or nothing, and durable when left without an exception."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> sqlite3.Connection:
        self._db.execute("BEGIN IMMEDIATE")
        return self._db

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
