"""Files of other versions: brought up to date, or refused and left as they are."""

# ruff: noqa: ASYNC240 - files are looked at between calls of the store

from __future__ import annotations

import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from stores import ME, OTHER, handled, keys, opened, row, waiting
from xyfast.errors import StoreError
from xyfast.store import DeadLetter, Kept

VERSION_1 = f"""
CREATE TABLE inbox (
    seq         INTEGER PRIMARY KEY,
    account     TEXT NOT NULL,
    key         TEXT NOT NULL,
    payload     TEXT NOT NULL,
    conversation TEXT,
    arrived     INTEGER,
    state       INTEGER NOT NULL,
    redelivered INTEGER NOT NULL DEFAULT 0,
    changed     INTEGER NOT NULL,
    reason      TEXT,
    offset      INTEGER,
    UNIQUE (account, key)
);
CREATE INDEX inbox_pending ON inbox (account, seq) WHERE state = 0;
CREATE TABLE account (
    account TEXT PRIMARY KEY,
    cursor  INTEGER,
    session TEXT
);
INSERT INTO account VALUES ('{ME}', 1767225601000000, 'blob');
INSERT INTO inbox VALUES
    (1, '{ME}', 'h', 'payload of h', NULL, 1767225601000, 1, 0, 1767225601500, NULL, NULL),
    (2, '{OTHER}', 'x', 'payload of x', NULL, NULL, 0, 1, 1767225602000, NULL, NULL),
    (3, '{ME}', 'p', 'payload of p', '70000000011', 1767225603000, 0, 0, 1767225603000, NULL, NULL),
    (4, '{ME}', 'd', 'payload of d', NULL, 1767225604000, 2, 0, 1767225604000, 'utf8', 7);
PRAGMA user_version = 1;
"""


def write(path: Path, script: str) -> None:
    db = sqlite3.connect(path)
    db.executescript(script)
    db.close()


def read(path: Path, query: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(path)
    found = db.execute(query).fetchall()
    db.close()
    return found


async def test_a_file_of_version_2_that_has_a_cursor_still_works(path: Path) -> None:
    store = await opened(path)
    await store.commit([row("a")], received={ME: 9})
    await store.close()
    write(
        path,
        "ALTER TABLE account ADD COLUMN cursor INTEGER; UPDATE account SET cursor = 5;",
    )
    store = await opened(path)
    assert await store.load(ME) == Kept(9, -1, None)  # "a" waits
    await store.commit([row("b", OTHER)], handled("a"), received={ME: 10, OTHER: 4})
    assert await store.load(ME) == Kept(10, 10, None)
    assert await store.load(OTHER) == Kept(4, -1, None)
    assert await waiting(store, OTHER) == ["b"]
    assert await store.sweep() == 0
    await store.close()


async def test_a_file_of_version_1_is_brought_up_to_date(path: Path) -> None:
    write(path, VERSION_1)
    with pytest.raises(StoreError, match="start the bot once"):
        await opened(path, shared=True)
    store = await opened(path)
    assert await store.load(ME) == Kept(1767225601000000, 1767225601000000, "blob")
    assert await store.load(OTHER) == Kept(None, None, None)
    pending = row(
        "p", conversation_id="70000000011", arrived=1767225603000, position=1767225603000000
    )
    assert list((await store.take(ME, 9)).rows) == [replace(pending, taken=True, redelivered=1)]
    assert list((await store.take(OTHER, 9)).rows) == [row("x", OTHER, taken=True, redelivered=2)]
    [(_, dead)] = await store.dead_letters()
    assert (dead.key, dead.payload) == ("d", "payload of d")
    assert dead.dead == DeadLetter(reason="utf8", offset=7)
    assert not await store.commit([row("h"), row("p"), row("d"), row("x", OTHER)])
    assert await store.commit([row("new")])
    await store.close()
    store = await opened(path)
    assert keys((await store.take(ME, 9)).rows) == ["new", "p"]
    await store.close()
    fresh = path.with_name("fresh.db")
    await (await opened(fresh)).close()
    schema = "SELECT name, sql FROM sqlite_master ORDER BY name"
    assert read(path, schema) == read(fresh, schema)


async def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    write(path, VERSION_1 + "CREATE TABLE outbox (x);")
    everything = "SELECT type, name, sql FROM sqlite_master"
    before = read(path, everything)
    for _ in range(2):
        with pytest.raises(StoreError, match="outbox already exists"):
            await opened(path)
    assert read(path, everything) == before
    assert read(path, "PRAGMA user_version") == [(1,)]
    write(path, "DROP TABLE outbox")
    store = await opened(path)
    assert await waiting(store) == ["p"]
    await store.close()


async def test_a_newer_or_foreign_file_is_refused_and_left_as_it_is(path: Path) -> None:
    write(path, "CREATE TABLE other (x)")
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is not an inbox"):
        await opened(path)
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    write(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="version 99, made by a newer xyfast"):
        await opened(path)
    assert path.read_bytes() == before


async def test_a_folder_is_refused_and_left_as_it_is(path: Path) -> None:
    path.mkdir(0o755)
    with pytest.raises(StoreError, match="is not a file"):
        await opened(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert list(path.parent.iterdir()) == [path]
