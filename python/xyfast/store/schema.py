"""The SQLite file: how it is opened, what is in it, and how older files are brought up to date."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xyfast.errors import StoreError

__all__ = ["DEAD", "HANDLED", "TAKEN", "VERSION", "WAITING", "connect", "transaction"]

VERSION = 2

# All of them take one byte in a record (0 and 1 would take none), so that a row whose state
# changes is overwritten in its place and its payload is not written again.
WAITING, TAKEN, DEAD, HANDLED = 2, 3, 4, 5

_SCHEMA = """
CREATE TABLE account (
    id       INTEGER PRIMARY KEY,
    account  TEXT NOT NULL UNIQUE,
    received INTEGER,             -- us, the server's stream
    session  TEXT,
    revived  INTEGER NOT NULL DEFAULT 0   -- another process let rows wait again
);
CREATE TABLE inbox (
    place        INTEGER PRIMARY KEY,   -- in the order of coming
    account      INTEGER NOT NULL,      -- account.id
    key          TEXT NOT NULL,
    state        INTEGER NOT NULL,      -- 2 waiting, 3 taken, 4 dead, 5 handled
    changed      INTEGER NOT NULL,      -- ms, our clock: when it came, died or was handled
    position     INTEGER NOT NULL,      -- us, the server's stream
    redelivered  INTEGER NOT NULL,
    conversation TEXT,
    arrived      INTEGER,               -- ms, the server's clock
    reason       TEXT,                  -- of a dead letter
    offset       INTEGER,
    payload      TEXT NOT NULL,
    UNIQUE (account, key)
);
CREATE INDEX inbox_line ON inbox (state, account, position, place, conversation) WHERE state < 4;
CREATE INDEX inbox_ended ON inbox (state, changed) WHERE state >= 4;
CREATE INDEX inbox_dead ON inbox (place, account, state) WHERE state = 4;
CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY,
    account      INTEGER NOT NULL,      -- account.id
    name         TEXT NOT NULL,
    conversation TEXT NOT NULL,
    peer         TEXT NOT NULL,
    content      TEXT NOT NULL,
    uuid         TEXT NOT NULL,
    created      INTEGER NOT NULL,      -- ms
    state        TEXT NOT NULL,
    message      TEXT,
    time         INTEGER,
    settled      INTEGER,               -- ms, our clock: when its outcome was recorded
    UNIQUE (account, name)
);
CREATE INDEX outbox_unsent ON outbox (account, id) WHERE settled IS NULL;
CREATE INDEX outbox_known ON outbox (account, id) WHERE settled IS NOT NULL;
CREATE INDEX outbox_settled ON outbox (settled) WHERE settled IS NOT NULL;
"""

# Version 1 knew pending (0), handled (1) and dead (2). What was pending may have been given
# to a handler, so it counts as taken. All up to its cursor had been stored.
_FROM_1 = f"""
ALTER TABLE inbox RENAME TO inbox_1;
ALTER TABLE account RENAME TO account_1;
{_SCHEMA}
INSERT INTO account (account, received, session) SELECT account, cursor, session FROM account_1;
INSERT OR IGNORE INTO account (account) SELECT DISTINCT account FROM inbox_1;
INSERT INTO inbox (place, account, key, state, changed, position, redelivered, conversation,
        arrived, reason, offset, payload)
    SELECT seq, id, key, CASE state WHEN 0 THEN {TAKEN} WHEN 1 THEN {HANDLED} ELSE {DEAD} END,
        changed, ifnull(arrived, 0) * 1000, redelivered, conversation,
        arrived, reason, offset, payload
    FROM inbox_1 JOIN account USING (account);
DROP TABLE inbox_1;
DROP TABLE account_1;
"""


def connect(path: Path, *, synchronous: str, shared: bool) -> sqlite3.Connection:
    """Open the file, and unless it is ``shared``, make it or bring it up to date.

    A file made here has mode 0600, which -wal and -shm take over. Raises `StoreError` for a
    file of others or of another version, and leaves it as it was; else what the system or
    SQLite say.
    """
    if shared:
        os.stat(path)  # SQLite would make it
    else:
        _make(path)
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        version = _version(db, path, shared=shared)
        if not shared and stat.S_IMODE(path.stat().st_mode) != 0o600:
            path.chmod(0o600)
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(
                f"the store {path} cannot have a write-ahead log here; give a path on a local disk"
            )
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute("PRAGMA journal_size_limit = 16777216")
        # What is forgotten, cookies and texts, is overwritten: a third more time to delete it.
        db.execute("PRAGMA secure_delete = ON")
        if version != VERSION:
            with transaction(db):
                for statement in _statements(_FROM_1 if version == 1 else _SCHEMA):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        db.close()
        raise
    return db


def _make(path: Path) -> None:
    """Make the file if there is none, for its owner alone."""
    # One that is there is not opened: closing it would let go of the locks of SQLite in this
    # process.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _version(db: sqlite3.Connection, path: Path, *, shared: bool) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version > VERSION:
        raise StoreError(
            f"the store {path} is of version {version}, made by a newer xyfast; this one knows "
            f"versions up to {VERSION}: update it, or give another path"
        )
    if version < 0 or (version == 0 and tables):
        raise StoreError(f"{path} is not an inbox of xyfast; give another path")
    if shared and version < VERSION:
        raise StoreError(
            f"the store {path} is of version {version}; start the bot once to bring it up to "
            f"version {VERSION}"
        )
    return int(version)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and as durable as the file is set to be when left without an exception."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
