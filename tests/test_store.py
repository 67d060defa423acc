"""Both stores keep the same promises; the SQLite one keeps them across a restart."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from xyfast.errors import StoreError
from xyfast.store import DeadLetter, MemoryStore, Row, SqliteStore, Store

ME = "9000000000001"


def row(key: str, account: str = ME, **facts: object) -> Row:
    return Row(account_id=account, key=key, payload=f"payload of {key}", **facts)  # type: ignore[arg-type]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "x.db")
    await store.open()
    yield store
    await store.close()


def test_both_are_stores() -> None:
    assert isinstance(MemoryStore(), Store)
    assert isinstance(SqliteStore("unused"), Store)


async def test_append_names_the_new_rows_once(store: Store) -> None:
    assert set(await store.append([row("a"), row("b"), row("a")])) == {(ME, "a"), (ME, "b")}
    assert set(await store.append([row("b"), row("c")])) == {(ME, "c")}


async def test_the_same_key_of_two_accounts_is_two_messages(store: Store) -> None:
    new = await store.append([row("a"), row("a", account="9000000000002")])
    assert len(set(new)) == 2


async def test_pending_rows_come_back_whole_and_in_order(store: Store) -> None:
    rows = [row("b", conversation_id="70000000011", arrived=1767225601000), row("a"), row("c")]
    await store.append(rows)
    await store.handled(ME, ["a"], None)
    await store.dead(ME, "c", DeadLetter(reason="a handler raised ValueError"))
    assert list(await store.pending(ME)) == [rows[0]]


async def test_handled_and_dead_messages_stay_known(store: Store) -> None:
    await store.append([row("a"), row("b")])
    await store.handled(ME, ["a"], None)
    await store.dead(ME, "b", DeadLetter(reason="r"))
    assert not await store.append([row("a"), row("b")])


async def test_a_row_that_cannot_be_decoded_is_kept_but_never_pending(store: Store) -> None:
    dead = row("a", dead=DeadLetter(reason="msgpack: input ends inside a value", offset=7))
    assert set(await store.append([dead])) == {(ME, "a")}
    assert not await store.pending(ME)
    assert not await store.append([dead])


async def test_the_cursor_moves_with_handled_and_stays_without(store: Store) -> None:
    assert await store.cursor(ME) is None
    await store.handled(ME, [], 10)
    await store.handled(ME, [], None)
    assert await store.cursor(ME) == 10
    assert await store.cursor("9000000000002") is None


async def test_session_material_is_kept_per_account(store: Store) -> None:
    assert await store.load_session(ME) is None
    await store.save_session(ME, "one")
    await store.save_session(ME, "two")
    await store.handled(ME, [], 5)
    assert await store.load_session(ME) == "two"


async def test_a_closed_store_refuses(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreError):
        await store.append([row("a")])


async def test_memory_forgets_the_oldest_handled_ids_first() -> None:
    store = MemoryStore(remember=2)
    await store.append([row(key) for key in "abc"])
    await store.handled(ME, list("abc"), None)
    assert set(await store.append([row("a"), row("c")])) == {(ME, "a")}


async def test_everything_survives_a_restart_and_pending_rows_count_it(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    store = SqliteStore(path)
    await store.open()
    await store.append([row("a"), row("b")])
    await store.handled(ME, ["a"], 10)
    await store.save_session(ME, "blob")
    await store.close()
    for restarts in (1, 2):
        await store.open()
        assert list(await store.pending(ME)) == [row("b", redelivered=restarts)]
        assert await store.cursor(ME) == 10
        assert await store.load_session(ME) == "blob"
        assert not await store.append([row("a")])
        await store.close()


async def test_what_was_appended_survives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    script = f"""
import asyncio, os, signal
from xyfast.store import Row, SqliteStore
async def main():
    store = SqliteStore({str(path)!r})
    await store.open()
    await store.append([Row(account_id={ME!r}, key=str(n), payload="p") for n in range(100)])
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script], check=False)
    assert done.returncode == -9
    store = SqliteStore(path)
    await store.open()
    assert [kept.key for kept in await store.pending(ME)] == [str(n) for n in range(100)]
    await store.close()


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    await store.append([row("a")])
    for name in os.listdir(tmp_path):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    await store.close()


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(StoreError, match=r"cannot be read.*\.recover"):
        await SqliteStore(path).open()
    assert path.read_bytes() == b"no database " * 1000


async def test_a_foreign_or_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE other (x)")
    db.close()
    with pytest.raises(StoreError, match="is not an inbox"):
        await SqliteStore(path).open()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="version 99"):
        await SqliteStore(path).open()


async def test_a_second_user_of_the_file_is_refused(tmp_path: Path) -> None:
    first, second = SqliteStore(tmp_path / "x.db"), SqliteStore(tmp_path / "x.db")
    await first.open()
    with pytest.raises(StoreError, match="in use"):
        await second.open()
    await first.append([row("a")])
    await first.close()


async def test_a_refused_second_user_does_not_take_the_lock_away(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    first = SqliteStore(path)
    await first.open()
    with pytest.raises(StoreError, match="open already"):
        await first.open()
    with pytest.raises(StoreError, match="in use"):
        await SqliteStore(path).open()
    script = f"""
import asyncio
from xyfast.store import SqliteStore
asyncio.run(SqliteStore({str(path)!r}).open())
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert "is in use by another process" in done.stderr
    await first.close()


async def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch(0o644)
    store = SqliteStore(path)
    await store.open()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await store.close()


async def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="folder must exist"):
        await SqliteStore(tmp_path / "missing" / "x.db").open()
    with pytest.raises(StoreError, match="not open"):
        await SqliteStore(tmp_path / "x.db").append([row("a")])
