"""When the disk fails: nothing of the call has happened, and the store works again after."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from stores import ME, handled, row
from xyfast.errors import StoreError
from xyfast.store import Kept, SqliteStore

# Grows until the file size limit stops it, then gets room and goes on.
FULL = f"""
import asyncio, resource, sys
from xyfast.errors import StoreError
from xyfast.store import Outcome, Row, SqliteStore
ME = {ME!r}

async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, most))
    done = 0
    failures = 0
    while failures < 3:
        rows = [Row(account_id=ME, key=f"{{done}}-{{n}}", payload="secret " * 500)
                for n in range(8)]
        ended = [Outcome(ME, f"{{done - 1}}-{{n}}") for n in range(8)]
        try:
            await store.commit(rows, ended, received={{ME: done}})
        except StoreError as error:
            failures += 1
            assert failures > 1 or done > 3, "it should have worked for a while"
            assert "secret" not in str(error) and "secret" not in repr(error.__cause__)
            print(error)
        else:
            done += 1
            assert not failures, "it should not have worked without room"
    assert (await store.load(ME)).received == done - 1
    assert await store.known(ME, [row.key for row in rows]) == set()
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert len(await store.commit(rows, ended, received={{ME: done}})) == 8
    page = await store.take(ME, 1000)
    assert [row.key for row in page.rows] == [row.key for row in rows]
    await store.close()
    await store.open()
    assert (await store.load(ME)).received == done
    await store.close()

asyncio.run(main())
"""

# Opens a store in a folder that belongs to somebody else.
READ_ONLY = """
import asyncio, os, sys
from xyfast.errors import StoreError
from xyfast.store import SqliteStore
if os.geteuid() == 0:
    os.setuid(65534)
try:
    asyncio.run(SqliteStore(sys.argv[1]).open())
except StoreError as error:
    print(error)
"""


async def run(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, str(path)]
    return await asyncio.to_thread(
        subprocess.run, command, check=False, capture_output=True, text=True, timeout=60
    )


async def test_a_full_disk_stops_commits_until_there_is_room(tmp_path: Path) -> None:
    done = await run(FULL, tmp_path / "x.db")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the store") == 3


async def test_a_file_that_may_not_grow_says_what_to_do(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()

    async def allow(pages: int) -> None:
        await store._use(lambda file: file.db.execute(f"PRAGMA max_page_count = {pages}"))

    await store.commit([row("a")])
    await allow(1)  # as many as there are
    big = [row(str(n)) for n in range(1000)]
    for _ in range(2):
        with pytest.raises(StoreError, match="make room on the disk"):
            await store.commit(big, handled("a"), received={ME: 1})
    assert await store.load(ME) == Kept(None, None, None)
    assert not await store.known(ME, [each.key for each in big])
    await allow(1_000_000)
    assert len(await store.commit(big, handled("a"), received={ME: 1})) == 1000
    assert await store.load(ME) == Kept(1, -1, None)  # those wait
    await store.close()


async def test_a_new_account_is_not_half_known_after_a_failure(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    await store._use(lambda file: file.db.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(StoreError):
        await store.commit([row(str(n)) for n in range(1000)])
    await store._use(lambda file: file.db.execute("PRAGMA max_page_count = 1000000"))
    await store.save_session("9000000000002", "theirs")
    await store.save_session(ME, "mine")
    assert (await store.load("9000000000002")).session == "theirs"
    assert (await store.load(ME)).session == "mine"
    await store.close()


async def test_a_folder_that_may_not_be_written_is_refused() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        done = await run(READ_ONLY, Path(folder, "x.db"))
        assert "its folder must exist and be writable" in done.stdout, done.stderr
        assert os.listdir(folder) == []
        os.chmod(folder, 0o700)


async def test_a_writer_that_stays_too_long_fails_one_call(tmp_path: Path) -> None:
    """Another tool (a shell of sqlite3, say) holds the file's write lock."""
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    script = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("ready", flush=True)
sys.stdin.read()
"""
    await store._use(lambda file: file.db.execute("PRAGMA busy_timeout = 0"))
    command = [sys.executable, "-c", script, str(tmp_path / "x.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:  # noqa: ASYNC220
        assert other.stdout is not None
        assert await asyncio.to_thread(other.stdout.readline) == b"ready\n"
        with pytest.raises(StoreError, match="in use by another process"):
            await store.commit([row("a")])
    assert await store.commit([row("a")])
    await store.close()
