"""What `SqliteStore` promises beyond other stores: one owner, crashes, versions, files."""

# ruff: noqa: ASYNC240 - files are looked at between calls of the store

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from stores import DAY, ME, OTHER, Clock, died, handled, keys, letter, row, waiting
from xyfast.errors import StoreError, StoreFull
from xyfast.store import DeadLetter, Kept, Outcome, Retention, Row, SqliteStore
from xyfast.store.sqlite import _Open

PRELUDE = """
import asyncio, os, signal, sys
from xyfast.errors import StoreError
from xyfast.store import Outcome, Row, SqliteStore
path = sys.argv[1]
"""


async def run(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PRELUDE + script, str(path)]
    return await asyncio.to_thread(
        subprocess.run, command, check=False, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


async def opened(path: Path, **options: object) -> SqliteStore:
    store = SqliteStore(path, **options)  # type: ignore[arg-type]
    await store.open()
    return store


# --- crashes --------------------------------------------------------------------------


async def test_what_was_committed_survives_a_killed_process(path: Path) -> None:
    done = await run(
        f"""
async def main():
    store = SqliteStore(path)
    await store.open()
    rows = [Row(account_id={ME!r}, key=str(n), payload="p", taken=n > 1) for n in range(100)]
    await store.commit(rows, received={{{ME!r}: 7}})
    await store.commit((), [Outcome({ME!r}, "99")])
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
""",
        path,
    )
    assert done.returncode == -signal.SIGKILL
    store = await opened(path)
    page = await store.take(ME, 1000)
    assert keys(page.rows) == [str(n) for n in range(99)]
    assert [each.redelivered for each in page.rows] == [0, 0] + [1] * 97
    assert await store.load(ME) == Kept(7, None)
    await store.close()


async def test_a_torn_log_holds_whole_commits(path: Path, tmp_path: Path) -> None:
    store = await opened(path)
    for n in range(20):
        await store.commit([row(f"{n}-{i}") for i in range(10)], received={ME: n})
    log = Path(f"{path}-wal").read_bytes()
    seen = set()
    for part in range(13):
        copy = tmp_path / f"{part}.db"
        shutil.copy(path, copy)
        Path(f"{copy}-wal").write_bytes(log[: len(log) * part // 12])
        torn = await opened(copy)
        names = await waiting(torn)
        received = (await torn.load(ME)).received
        commits = 0 if received is None else received + 1
        assert names == [f"{n}-{i}" for n in range(commits) for i in range(10)]
        seen.add(commits)
        await torn.close()
    assert {0, 20} < seen
    await store.close()


# --- one owner ------------------------------------------------------------------------

TRY = """
async def main():
    try:
        await SqliteStore(path).open()
        print("opened")
    except StoreError as error:
        print(error)
asyncio.run(main())
"""


async def test_a_second_process_is_refused_until_the_first_is_done(path: Path) -> None:
    store = await opened(path)
    assert "in use by another process" in (await run(TRY, path)).stdout
    await store.commit([row("a")])
    await store.close()
    assert (await run(TRY, path)).stdout == "opened\n"


async def test_a_refused_second_user_does_not_take_the_lock_away(path: Path) -> None:
    store = await opened(path)
    with pytest.raises(StoreError, match="open already"):
        await store.open()
    link = path.with_name("link.db")
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(StoreError, match="in use"):
            await opened(name)
    assert "in use" in (await run(TRY, path)).stdout
    await store.close()


async def test_a_forked_child_neither_holds_nor_drops_the_lock(path: Path) -> None:
    script = """
store = SqliteStore(path)

async def child():
    for refused in (store.commit(), SqliteStore(path).open(), store.open()):
        try:
            await refused
        except StoreError as error:
            print(error)
    await store.close()

asyncio.run(store.open())
if os.fork() == 0:
    asyncio.run(child())
    sys.exit()
assert os.wait()[1] == 0
asyncio.run(store.commit([Row(account_id="1", key="a", payload="p")]))
subprocess.run([sys.executable, "-c", OTHER, path])
asyncio.run(store.close())
"""
    done = await run(f"import subprocess\nOTHER = {PRELUDE + TRY!r}\n{script}", path)
    assert done.returncode == 0, done.stderr
    assert "opened before a fork" in done.stdout
    assert "open already" in done.stdout
    assert done.stdout.count("is in use by another process") == 2
    assert (await run(TRY, path)).stdout == "opened\n"


async def test_death_lets_go_of_the_lock_though_a_forked_child_lives(path: Path) -> None:
    script = """
asyncio.run(SqliteStore(path).open())
if os.fork() == 0:
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)
signal.pause()
"""
    command = [sys.executable, "-c", PRELUDE + script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:  # noqa: ASYNC220
        assert owner.stdout is not None
        assert await asyncio.to_thread(owner.stdout.readline) == b"ready\n"
        with pytest.raises(StoreError, match="in use"):
            await opened(path)
        owner.kill()
        await asyncio.to_thread(owner.wait)
        store = await opened(path)
        await store.close()


# --- guests ---------------------------------------------------------------------------


async def test_a_guest_looks_at_dead_letters_and_revives_them(path: Path) -> None:
    store = await opened(path)
    await store.commit([row("a"), row("b"), row("x", OTHER), row("t", taken=True)])
    await store.commit([], [*died("a"), Outcome(OTHER, "x", DeadLetter(reason="r"))])
    await store.revived()
    assert not await store.revived()
    guest = await opened(path, shared=True)
    assert keys([each for _, each in await guest.dead_letters()]) == ["a", "x"]
    assert not await store.revived()
    assert await guest.revive(ME, ["a"]) == 1
    assert await guest.revive(ME, ["a"]) == 0
    assert list(await store.revived()) == [ME]
    assert not await store.revived()
    page = await store.take(ME, 9)
    assert [(each.key, each.redelivered) for each in page.rows] == [("a", 1), ("b", 0)]
    assert await guest.revive(OTHER, ["x"]) == 1
    assert list(await store.revived()) == [OTHER]
    await guest.close()
    await store.commit([row("c")])
    await store.close()


async def test_handled_messages_are_listed_by_the_time_of_their_handling(path: Path) -> None:
    clock = Clock()
    store = await opened(path, clock=clock)
    await store.commit([row(key) for key in "abcde"] + [row("x", OTHER)])
    start = int(clock.now * 1000)
    await store.commit([], handled("d", "b", "c"))
    clock.now += 1
    await store.commit([], [*handled("a"), *handled("x", account=OTHER), *died("e")])
    guest = await opened(path, shared=True)
    ever = 2**62
    found = await guest.handled(ME, after=(0, 0), until=ever)
    assert [(time, each.key) for (time, _), each in found] == [
        (start, "b"),
        (start, "c"),
        (start, "d"),
        (start + 1000, "a"),
    ]
    first = await guest.handled(ME, after=(0, 0), until=ever, limit=2)
    assert first == found[:2]
    assert await guest.handled(ME, after=first[-1][0], until=ever) == found[2:]
    assert await guest.handled(ME, after=(start, 0), until=start + 1000) == found[:3]
    assert await guest.handled(ME, after=(start + 1, 0), until=ever) == found[3:]
    assert await guest.handled("123", after=(0, 0), until=ever) == []
    assert await guest.revive(ME, ["b", "a"]) == 2
    assert await guest.handled(ME, after=(0, 0), until=ever) == found[1:3]
    await guest.close()
    await store.close()


async def test_a_guest_changes_nothing_else(path: Path) -> None:
    with pytest.raises(StoreError, match=r"(?i)no such file"):
        await opened(path, shared=True)
    assert not path.exists()
    store = await opened(path)
    await store.commit([row("a", taken=True)])
    guest = await opened(path, shared=True)
    for call in (
        guest.commit([row("b")]),
        guest.take(ME, 1),
        guest.sweep(),
        guest.save_session(ME, "s"),
        guest.load(ME),
        guest.post(letter("a")),
        guest.revived(),
    ):
        with pytest.raises(StoreError, match="not for guests"):
            await call
    await guest.close()
    assert await waiting(store) == []
    assert set(await store.known(ME, ["a", "b"])) == {"a"}
    await store.close()


async def test_a_page_of_dead_letters_is_read_from_an_index_in_order(path: Path) -> None:
    store = await opened(path)

    def plan(file: _Open) -> list[str]:
        statements: list[str] = []
        file.db.set_trace_callback(statements.append)
        file.inbox.dead_letters(ME, 0, 10)
        file.inbox.dead_letters(None, 0, 10)
        file.db.set_trace_callback(None)
        wanted = [text for text in statements if "JOIN" in text]
        assert len(wanted) == 2
        return [
            str(step[3])
            for text in wanted
            for step in file.db.execute(f"EXPLAIN QUERY PLAN {text}").fetchall()
        ]

    await store.commit([row("a")], died("a"))
    steps = await store._use(plan)
    assert sum("COVERING INDEX inbox_dead (place>?" in step for step in steps) == 2, steps
    assert not any("SCAN" in step for step in steps if "inbox" in step), steps
    await store.close()


# --- versions -------------------------------------------------------------------------

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


async def test_a_file_of_version_1_is_brought_up_to_date(path: Path) -> None:
    write(path, VERSION_1)
    with pytest.raises(StoreError, match="start the bot once"):
        await opened(path, shared=True)
    store = await opened(path)
    assert await store.load(ME) == Kept(1767225601000000, "blob")
    assert await store.load(OTHER) == Kept(None, None)
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
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is not an inbox"):
        await opened(path)
    assert path.read_bytes() == before
    write(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="version 99, made by a newer xyfast"):
        await opened(path)
    assert path.read_bytes() == before


# --- damage ---------------------------------------------------------------------------


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(StoreError, match=r"cannot be read.*\.recover"):
        await opened(path)
    assert path.read_bytes() == b"no database " * 1000


async def test_damage_is_told_with_what_to_do(path: Path) -> None:
    store = await opened(path)
    await store.commit([row(str(n)) for n in range(1000)])
    await store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(StoreError, match=r"malformed.*\.recover"):
        await opened(path)
    assert path.stat().st_size == size


# --- files ----------------------------------------------------------------------------


async def test_the_files_are_for_their_owner_alone(path: Path) -> None:
    path.touch(0o644)
    Path(f"{path}.lock").touch(0o644)
    umask = os.umask(0)
    try:
        store = await opened(path)
        await store.commit([row("a")])
    finally:
        os.umask(umask)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == dict.fromkeys(["x.db", "x.db-wal", "x.db-shm", "x.db.lock"], 0o600)
    await store.close()


async def test_a_place_that_cannot_be_written_is_refused(path: Path) -> None:
    with pytest.raises(StoreError, match="folder must exist"):
        await opened(path.parent / "missing" / "x.db")
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be opened"):
        await opened(path)
    with pytest.raises(StoreError, match="not open"):
        await SqliteStore(path).commit([row("a")])


# --- retention ------------------------------------------------------------------------


async def test_a_sweep_takes_a_bounded_part(path: Path) -> None:
    clock = Clock()
    store = await opened(path, clock=clock, steady=clock.steady)
    names = [str(n) for n in range(1500)]
    await store.commit([row(name) for name in names], handled(*names))
    clock.now += 8 * DAY
    assert [await store.sweep() for _ in range(3)] == [1000, 500, 0]
    await store.close()


async def test_bounds_count_what_an_earlier_run_left(path: Path) -> None:
    store = await opened(path)
    await store.commit([row(name) for name in "abc"], handled("a"))
    await store.close()
    store = await opened(path, retention=Retention(max_rows=3))
    await store.commit([row("d")])
    assert set(await store.known(ME, "abcd")) == set("bcd")
    with pytest.raises(StoreFull):
        await store.commit([row("e")])
    await store.close()


# --- the thread -----------------------------------------------------------------------


def threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("xyfast-store")]


async def test_close_waits_for_what_was_asked_before_and_ends_the_thread(path: Path) -> None:
    store = await opened(path)
    assert threads()
    calls = [asyncio.create_task(store.commit([row(str(n))])) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert not threads()
    assert all(await asyncio.gather(*calls))
    store = await opened(path)
    assert len(await waiting(store)) == 20
    await store.close()


async def test_a_cancelled_caller_does_not_stop_its_call(path: Path) -> None:
    store = await opened(path)
    calls = [asyncio.create_task(store.commit([row(f"{n}-1"), row(f"{n}-2")])) for n in range(9)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert all(call.cancelled() for call in calls)
    assert await waiting(store) == [f"{n}-{part}" for n in range(9) for part in (1, 2)]
    await store.close()


async def test_a_cancelled_open_leaves_the_file_to_others(path: Path) -> None:
    first = SqliteStore(path)
    opening = asyncio.create_task(first.open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    assert opening.cancelled()
    store = await opened(path)
    await store.close()


# --- texts ----------------------------------------------------------------------------


async def test_whatever_a_server_sends_can_be_kept(path: Path) -> None:
    strange = Row(
        account_id=ME,
        key="\ud800 key",
        payload="\udcff 文字 \0 end",
        conversation_id="\udfff",
        position=2**70,
        arrived=-(2**70),
    )
    store = await opened(path)
    assert list(await store.commit([strange, strange])) == [(ME, "\ud800 key")]
    assert set(await store.known(ME, ["\ud800 key", "?"])) == {"\ud800 key"}
    assert not (await store.take(ME, 1, skip=["\udfff"])).rows
    [taken] = (await store.take(ME, 1)).rows
    assert taken == replace(strange, taken=True, position=2**63 - 1, arrived=1 - 2**63)
    await store.commit([], [Outcome(ME, "\ud800 key", DeadLetter(reason="\ud800"))])
    [(_, dead)] = await store.dead_letters()
    assert dead.dead == DeadLetter(reason="\ud800")
    await store.close()


async def test_the_fast_setting_survives_a_killed_process_too(path: Path) -> None:
    store = await opened(path, synchronous="normal")
    await store.commit([row("a")], handled("a"))
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    shutil.copy(f"{path}-wal", f"{copy}-wal")
    again = await opened(copy)
    assert set(await again.known(ME, ["a"])) == {"a"}
    await again.close()
    await store.close()
