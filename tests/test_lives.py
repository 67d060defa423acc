"""Clients come and go, in several event loops at once and in loops that run already."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import lives
from world import ME, OTHER, ThreadedServer
from xyfast import Account, ChatMessage, Client
from xyfast.testing import FakeServer, fast_settings

GLIBC = hasattr(lives.libc, "mallinfo2")


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.skipif(not GLIBC, reason="asks Linux and glibc what there is")
def test_a_hundred_starts_and_stops_leave_nothing_behind(
    threaded_server: ThreadedServer, path: Path
) -> None:
    server = threaded_server.server
    done = program(lives.__file__, server.url, server.token_url, server.cookies(ME), str(path))
    assert done.stderr == ""
    left = json.loads(done.stdout)
    assert left["threads"] <= 0
    assert left["descriptors"] <= 0
    assert left["objects"] < lives.LIVES // 2
    # CPython 3.10 makes a cache for each piece of code that has run often.
    assert left["blocks"] < lives.LIVES * (2 if sys.version_info < (3, 11) else 0.5)
    # What Rust and SQLite allocate too, to the byte; heaps and pages move a little.
    assert left["allocated"] < 64 << 10
    assert left["resident"] < 2 << 20


def test_clients_in_several_loops_work_side_by_side(threaded_server: ThreadedServer) -> None:
    """Each in a thread of its own, at one gate; one of them ends early."""
    server = threaded_server.server
    received: dict[str, threading.Semaphore] = {}
    stops: dict[str, asyncio.Event] = {}
    loops: dict[str, asyncio.AbstractEventLoop] = {}
    failed: list[BaseException] = []

    async def bot(account: str) -> None:
        async with Client(settings=fast_settings(server)) as client:

            @client.on(ChatMessage)
            async def note(message: ChatMessage) -> None:
                received[message.account_id].release()

            stops[account], loops[account] = asyncio.Event(), asyncio.get_running_loop()
            await client.add(Account.from_cookies(server.cookies(account)))
            await stops[account].wait()

    def run(account: str) -> None:
        try:
            asyncio.run(bot(account))
        except BaseException as error:
            failed.append(error)
            raise

    def talk(*accounts: str) -> None:
        for account in accounts:
            threaded_server.call(lambda account=account: server.push_text(account, "hello"))
        for account in accounts:
            assert received[account].acquire(timeout=60.0), failed

    def stop(account: str) -> None:
        loops[account].call_soon_threadsafe(stops[account].set)
        threads[account].join(60.0)
        assert not threads[account].is_alive()

    threads = {
        account: threading.Thread(target=run, args=(account,), daemon=True)
        for account in (ME, OTHER)
    }
    for account, thread in threads.items():
        received[account] = threading.Semaphore(0)
        thread.start()
    threaded_server.call(lambda: server.wait(lambda: server.links() == 2, timeout=25.0))
    talk(ME, OTHER)
    stop(ME)
    threaded_server.call(server.reset)
    talk(OTHER)
    stop(OTHER)
    assert not failed


BOT = textwrap.dedent("""
    import asyncio, sys

    async def main(url, token_url, cookies):
        import xyfast  # inside a running loop

        settings = xyfast.Settings(url=url, token_url=token_url)
        async with xyfast.Client(settings=settings) as client:
            got = asyncio.Event()

            @client.on(xyfast.ChatMessage)
            async def note(message):
                print(message.text)
                got.set()

            await client.add(xyfast.Account.from_cookies(cookies))
            await asyncio.wait_for(got.wait(), 60.0)

    asyncio.run(main(*sys.argv[1:]))
""")


def test_it_can_be_imported_inside_a_running_loop(threaded_server: ThreadedServer) -> None:
    server = threaded_server.server
    threaded_server.loop.call_soon_threadsafe(push_when_linked, server)
    done = program("-c", BOT, server.url, server.token_url, server.cookies(ME))
    assert (done.stdout, done.stderr) == ("hello\n", "")


def push_when_linked(server: FakeServer) -> None:
    if server.links():
        server.push_text(ME, "hello")
    else:
        asyncio.get_running_loop().call_later(0.02, push_when_linked, server)
