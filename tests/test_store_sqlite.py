"""What `SqliteStore` promises beyond other stores: one owner, crashes, damage, files."""

# ruff: noqa: ASYNC240 - files are looked at between calls of the store

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from stores import DAY, ME, Clock, handled, keys, opened, plan, row, waiting
from xyfast.errors import StoreError, StoreFull
from xyfast.store import DeadLetter, Kept, Outcome, Retention, Row, SqliteStore

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
    assert await store.load(ME) == Kept(7, -1, None)  # they are taken
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


async def test_the_cursor_is_found_by_an_index(path: Path) -> None:
    store = await opened(path)
    await store.commit([row("a"), row("b", taken=True)], received={ME: 1})
    steps = await plan(store, lambda file: file.accounts.load(ME), "received")
    assert not any("SCAN" in step or "TEMP" in step for step in steps), steps
    wanted = "SEARCH inbox USING COVERING INDEX inbox_line (state=? AND account=?)"
    assert steps.count(wanted) == 2, steps
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
