"""What can befall a bot's process, short of being killed: signals, full disks, forks, ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from faults.bot import Bot
from world import ME
from xyfast.testing import FakeServer, ServerSettings

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="sets the limits of another process"
)


def push(server: FakeServer, numbers: range) -> list[str]:
    """Push numbered messages in three conversations."""
    return [
        server.push_text(ME, str(number), conversation=str(70000000011 + number % 3))
        for number in numbers
    ]


def in_order(bot: Bot) -> bool:
    last: dict[str, int] = {}
    for note in bot.notes("handled"):
        if last.get(note["conversation"], -1) >= note["number"]:
            return False
        last[note["conversation"]] = note["number"]
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_a_running_handler_finish(
    server: FakeServer, tmp_path: Path, number: signal.Signals
) -> None:
    async with Bot(server, tmp_path) as bot:
        process = await bot.connected("gated")
        [link] = server._service.links
        [key] = push(server, range(1))
        await bot.until(lambda: bot.keys("started"))
        process.send_signal(number)
        await bot.until(lambda: "account is draining" in bot.errors())
        late = push(server, range(1, 4))
        assert bot.keys() == []
        bot.gate.touch()
        assert await process.wait() == 0
        assert bot.keys() == [key]
        assert link._protocol.close_code == 1000
        # What came while the bot drained was left to the server; what was handled, is recorded.
        process = await bot.start()
        await bot.until(lambda: bot.handled(late))
        await bot.stop(process)
        assert bot.keys() == [key, *late]


@pytest.mark.parametrize("handler", ["gated", "stubborn"])
async def test_a_handler_that_outlasts_the_grace_time_is_cut_off_and_its_message_comes_again(
    server: FakeServer, tmp_path: Path, handler: str
) -> None:
    async with Bot(server, tmp_path, grace=0.2) as bot:
        process = await bot.connected(handler)
        [link] = server._service.links
        [key] = push(server, range(1))
        await bot.until(lambda: bot.keys("started"))
        await bot.stop(process)
        assert bot.keys() == []
        assert link._protocol.close_code == 1000
        assert "handlers cut off (count=1)" in bot.errors()
        process = await bot.start()
        await bot.until(lambda: bot.keys())
        await bot.stop(process)
        assert [(note["key"], note["redelivered"]) for note in bot.notes("handled")] == [(key, 1)]


@pytest.mark.parametrize("server_closes", [True, False])
async def test_a_bot_that_is_stopped_for_longer_than_its_heartbeats_may_take_misses_nothing(
    tmp_path: Path, server_closes: bool
) -> None:
    settings = ServerSettings(heartbeat_timeout=0.7 if server_closes else None)
    async with FakeServer([ME], settings=settings) as server, Bot(server, tmp_path) as bot:
        process = await bot.connected()
        pushed = push(server, range(20))
        await bot.until(lambda: bot.handled(pushed[:5]))
        process.send_signal(signal.SIGSTOP)
        pushed += push(server, range(20, 40))
        if server_closes:
            await bot.until(lambda: server.links() == 0)
        else:  # nobody notices: only time passes
            await asyncio.sleep(1.5)
        pushed += push(server, range(40, 60))
        process.send_signal(signal.SIGCONT)
        pushed += push(server, range(60, 80))
        await bot.until(lambda: bot.handled(pushed) and not server.ledger(ME).unacked)
        await bot.stop(process)
        assert in_order(bot)
        assert sorted(bot.keys()) == sorted(pushed)


class Disk(Protocol):
    """Bounds what a bot may write, and takes the bound away."""

    def fill(self, process: asyncio.subprocess.Process) -> None: ...

    def free(self, process: asyncio.subprocess.Process) -> None: ...


class Limit(Disk):
    """No file may grow past what it has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, process: asyncio.subprocess.Process) -> None:
        _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        largest = max(path.stat().st_size for path in self.folder.iterdir())
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest, most))

    def free(self, process: asyncio.subprocess.Process) -> None:
        _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))


class Small(Disk):
    """A file system of 4 MiB that somebody else fills."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    def free(self, process: asyncio.subprocess.Process) -> None:
        self._ballast.unlink()


@pytest.fixture(params=[Limit, Small])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param is Limit:
        yield Limit(folder)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("mounting is not allowed")
    yield Small(folder)
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_is_waited_out_without_a_restart(
    server: FakeServer, tmp_path: Path, disk: Limit | Small
) -> None:
    async with Bot(server, tmp_path) as bot:
        bot.store = disk.folder / "x.db"
        process = await bot.connected()
        pushed = push(server, range(20))
        await bot.until(lambda: bot.handled(pushed))
        disk.fill(process)
        for first in range(20, 2000, 20):
            pushed += push(server, range(first, first + 20))
            # One more look at its log than at the socket: it has had its turn.
            await bot.until(lambda: not server.ledger(ME).unacked or failed(bot))
            if failed(bot):
                break
        assert failed(bot)
        acked = set(server.ledger(ME).acked)
        assert not acked >= set(pushed)
        assert process.returncode is None
        disk.free(process)
        await bot.until(lambda: bot.handled(pushed) and not server.ledger(ME).unacked)
        assert "store works again" in bot.errors()
        assert len(server.ledger(ME).registrations) == 1
        await bot.stop(process)
        assert in_order(bot)
        assert sorted(bot.keys()) == sorted(pushed)


def failed(bot: Bot) -> bool:
    return "store failed, nothing new is acknowledged" in bot.errors()


async def test_without_descriptors_a_bot_dials_again_until_there_are_some(
    server: FakeServer, tmp_path: Path
) -> None:
    async with Bot(server, tmp_path, failed_wait=0.2) as bot:
        process = await bot.connected()
        pushed = push(server, range(20))
        await bot.until(lambda: bot.handled(pushed))
        _, most = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (0, most))
        server.reset(ME)
        pushed += push(server, range(20, 40))
        await bot.until(lambda: bot.errors().count("machine is short of something") >= 2)
        assert process.returncode is None
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most))
        await bot.until(lambda: bot.handled(pushed) and not server.ledger(ME).unacked)
        await bot.stop(process)
        assert in_order(bot)
        assert sorted(bot.keys()) == sorted(pushed)


async def test_a_child_that_a_handler_forks_touches_neither_links_nor_store(
    server: FakeServer, tmp_path: Path
) -> None:
    async with Bot(server, tmp_path) as bot:
        process = await bot.connected("forking")
        pushed = push(server, range(6))
        await bot.until(lambda: bot.handled(pushed))
        assert [note["code"] for note in bot.notes("child")] == [0] * 6
        refused = [note["of"] for note in bot.notes("refused")]
        assert sorted(refused) == ["links"] * 6 + ["store"] * 6
        assert len(server.ledger(ME).registrations) == server.links() == 1
        pushed += push(server, range(6, 9))
        await bot.until(lambda: bot.handled(pushed) and not server.ledger(ME).unacked)
        await bot.stop(process)
        process = await bot.connected()
        await bot.stop(process)
        assert sorted(bot.keys()) == sorted(pushed)


# A program that ends with links alive; what it does last is its argument.
ENDING = """
import asyncio, json, os, sys, threading
from xyfast import Account, ChatMessage, Client, Settings

options, store, end = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
client = Client(store=store, settings=Settings(**options["settings"]))
heard = threading.Event()

@client.on(ChatMessage)
async def note(message):
    heard.set()
    await asyncio.Event().wait()

async def main():
    await client.add(Account.from_cookies(options["cookies"]))
    if end == "daemon":
        await client.run()
    while not heard.is_set():
        await asyncio.sleep(0.01)
    if end == "exit":
        sys.exit(3)
    if end == "error":
        raise SystemError("as planned")

def stop():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())  # and neither the client nor the loop is closed

if end == "daemon":
    threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
    heard.wait()
elif end == "loop":
    stop()
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("end", "code"), [("return", 0), ("exit", 3), ("error", 1), ("loop", 0), ("daemon", 0)]
)
async def test_a_program_that_just_ends_does_not_hang_and_its_message_comes_again(
    server: FakeServer, tmp_path: Path, end: str, code: int
) -> None:
    async with Bot(server, tmp_path) as bot:
        options = {"cookies": server.cookies(ME), "settings": bot._settings}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            ENDING,
            json.dumps(options),
            str(bot.store),
            end,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONDEVMODE": "0"},
        )
        bot._processes.append(process)
        await bot.until(lambda: server.links())
        [key] = push(server, range(1))
        _, errors = await process.communicate()
        assert process.returncode == code, errors.decode()
        assert b"Fatal" not in errors
        assert b"panicked" not in errors
        process = await bot.start()
        await bot.until(lambda: bot.keys())
        await bot.stop(process)
        assert [(note["key"], note["redelivered"]) for note in bot.notes("handled")] == [(key, 1)]
