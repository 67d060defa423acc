"""``xyfast top`` on a terminal, beside a client that runs, and elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from inboxes import Run
from ptys import Terminal, on_terminal
from tops import status
from visits import Viewer, until, watched
from world import ME, OTHER, World
from xyfast import Account
from xyfast.commands.top import source
from xyfast.commands.top.source import Address
from xyfast.errors import ConfigError
from xyfast.status import Status
from xyfast.testing import FakeServer

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"


def place(world: World) -> str:
    """Host and port of its status page."""
    assert world.client.status_url is not None
    return world.client.status_url[7:-1]


def free() -> str:
    """Where nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


@asynccontextmanager
async def top(world: World, **options: Any) -> AsyncIterator[Terminal]:
    """It shows the accounts of a client that has one or more."""
    async with on_terminal("top", place(world), "--interval", "0.1", **options) as terminal:
        await terminal.shows("ACCOUNT", ME)
        yield terminal


def assert_restored(terminal: Terminal) -> None:
    assert terminal.modes() == terminal.before
    assert terminal.written.count(ENTER) == terminal.written.count(LEAVE) == 1
    assert terminal.written.startswith(ENTER)


# --- on a terminal ------------------------------------------------------------------------


async def test_states_are_shown_as_they_change_until_q(server: FakeServer) -> None:
    async with watched(server) as world:
        await world.connect(ME, OTHER)
        async with top(world) as terminal:
            await terminal.shows("connected 2", "ready")
            server.kick(ME)
            await terminal.shows("connected 1", "kicked 1", "NOT READY")
            assert "\x1b[31mkicked" in terminal.written
            terminal.type("q")
            assert await terminal.end() == 0
            assert_restored(terminal)
            assert terminal.written.endswith(LEAVE)


@pytest.mark.parametrize(
    ("end", "code"),
    [("\x03", 130), (signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)],
)
async def test_signals_end_it_and_leave_the_terminal_as_it_was(
    server: FakeServer, end: str | signal.Signals, code: int
) -> None:
    async with watched(server) as world:
        await world.connect()
        async with top(world) as terminal:
            if isinstance(end, str):
                terminal.type(end)
            else:
                terminal.process.send_signal(end)
            assert await terminal.end() == code
            assert_restored(terminal)


async def test_a_bug_leaves_the_terminal_as_it_was(server: FakeServer) -> None:
    program = (
        "import sys; from xyfast.commands.top import command; from xyfast.__main__ import main\n"
        "command.keys = None\nsys.exit(main(sys.argv[1:]))"
    )
    async with watched(server) as world:
        await world.connect()
        async with top(world, program=program) as terminal:
            terminal.type("x")
            assert await terminal.end() == 1
            assert_restored(terminal)
            assert "TypeError" in terminal.written.partition(LEAVE)[2]


async def test_while_it_is_stopped_the_terminal_is_as_it_was(server: FakeServer) -> None:
    async with watched(server) as world:
        await world.connect()
        async with top(world) as terminal:
            terminal.type("\x1a")
            await terminal.until(lambda self: LEAVE in self.written)
            stat = Path(f"/proc/{terminal.process.pid}/stat")
            await world.until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
            assert terminal.modes() == terminal.before
            terminal.process.send_signal(signal.SIGCONT)
            await terminal.until(lambda self: self.written.count(ENTER) == 2)
            await terminal.shows(ME)
            terminal.type("q")
            assert await terminal.end() == 0
            assert terminal.modes() == terminal.before
            assert terminal.written.endswith(LEAVE)


async def test_it_follows_the_size_of_the_terminal(server: FakeServer) -> None:
    async with watched(server) as world:
        await world.connect()
        async with top(world, size=(120, 40)) as terminal:
            await terminal.shows("heartbeat round trip", "DONE/S")
            assert len(terminal.screen) == 40
            terminal.type("p")
            await terminal.shows("PAUSED")  # from here on nothing but the new size draws it
            terminal.resize(60, 20)
            await terminal.until(lambda self: len(self.screen) == 20)
            assert "LATENCY" not in "\n".join(terminal.screen)
            assert max(map(len, terminal.screen)) <= 60


async def test_keys_filter_sort_and_pause(server: FakeServer) -> None:
    async with watched(server) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME), name="旧书店"))
        await world.connect(OTHER)
        async with top(world) as terminal:
            await terminal.shows(ME, OTHER, "1-2 of 2", "旧书店")
            terminal.type("/旧书")
            await terminal.shows("/旧书_")
            terminal.type("\r")
            await terminal.shows("/ filter: 旧书", "1-1 of 1", ME)
            terminal.type("\x1b")
            await terminal.shows("/ filter  ", "1-2 of 2")
            terminal.type("p")
            await terminal.shows("p PAUSED", "connected 2")
            server.kick(OTHER)
            await world.until(lambda: world.client.state(OTHER).value == "kicked")
            await until(world, lambda told: told["totals"]["states"]["kicked"])
            viewer = await Viewer.come(world.client.status_url)
            await viewer.head()
            for _ in range(3):  # which come once a second: it would have looked long since
                await viewer.event()
            viewer.go()
            terminal.type("s")
            await terminal.shows("order: account", "connected 2")
            terminal.type("p")
            await terminal.shows("p pause", "kicked 1")


BOT = """
import asyncio, sys
from xyfast import Account, Client, Settings

async def main(url, token_url, cookies, status):
    client = Client(settings=Settings(url=url, token_url=token_url, status=status))
    async with client:
        await client.add(Account.from_cookies(cookies))
        print("added", flush=True)
        await client.run()

asyncio.run(main(*sys.argv[1:]))
"""


async def start(server: FakeServer, where: str) -> asyncio.subprocess.Process:
    """A bot in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BOT, server.url, server.token_url, server.cookies(ME), where),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"added\n"
    return process


async def test_a_client_that_is_killed_is_told_and_found_again(server: FakeServer) -> None:
    where = free()
    bot = await start(server, where)
    try:
        async with on_terminal("top", where, "--interval", "0.1") as terminal:
            await terminal.shows(ME, "connected 1", "ready")
            bot.kill()
            await bot.wait()
            await terminal.shows("NOT REACHABLE", f"nothing listens at {where}", ME)
            bot = await start(server, where)
            await terminal.until(lambda self: "NOT REACHABLE" not in "\n".join(self.screen))
            await terminal.shows("ready")
            terminal.type("q")
            assert await terminal.end() == 0
            assert_restored(terminal)
    finally:
        bot.kill()
        await bot.wait()


# --- elsewhere ----------------------------------------------------------------------------


async def test_it_prints_once_where_there_is_no_terminal(
    server: FakeServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    async with watched(server) as world:
        await world.connect(ME, OTHER)
        where = place(world)
        shown = await asyncio.to_thread(run, "top", where)
        facts = await asyncio.to_thread(run, "top", f"http://{where}/", "--json")
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert where in lines[0]
    assert [line[:13] for line in lines if line.startswith("9")] == [ME, OTHER]
    assert "\x1b" not in shown.out
    assert "q quit" not in shown.out
    assert max(map(len, lines)) <= 90
    [status] = facts.objects
    assert (facts.code, status["totals"]["accounts"]) == (0, 2)


async def test_once_on_a_terminal_has_colours_unless_they_are_not_wanted(
    server: FakeServer,
) -> None:
    async with watched(server) as world:
        await world.connect()
        for environ in ({}, {"NO_COLOR": "1"}):
            async with on_terminal("top", place(world), "--once", **environ) as terminal:
                assert await terminal.end() == 0
                assert ("\x1b[32mconnected" in terminal.written) is (not environ)
                assert "\x1b[?" not in terminal.written


async def test_a_terminal_without_our_letters_shows_others(server: FakeServer) -> None:
    async with watched(server) as world:
        await world.connect()
        async with top(world, NO_COLOR="1", PYTHONIOENCODING="ascii") as terminal:
            terminal.type("q")
            assert await terminal.end() == 0
            assert terminal.written.isascii()


def test_nothing_that_listens_is_one_sentence(run: Run) -> None:
    where = free()
    for more in ([], ["--once"], ["--json"]):
        shown = run("top", where, *more)
        assert (shown.code, shown.out) == (1, "")
        assert shown.err == (
            f"xyfast top: nothing listens at {where}: start the bot by xyfast run BOT.py "
            f"--status {where}, or give the ADDRESS of its status page\n"
        )


async def test_nothing_that_listens_leaves_a_terminal_alone() -> None:
    async with on_terminal("top", free()) as terminal:
        assert await terminal.end() == 1
        assert "\x1b" not in terminal.written
        assert terminal.written.startswith("xyfast top: nothing listens at ")


def answer(body: str, status: str = "200 OK") -> str:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("SSH-2.0-x\r\n", "is no status page"),
        (answer("<html>", "404 Not Found"), "is no status page"),
        (answer('{"detail": 1}', "404 Not Found"), "is no status page"),
        (answer("{}"), "is no status page"),
        (answer("[" * 100_000), "is no status page"),
        (answer("{"), "is no status page"),
        (answer('{"error": "too many\\u001b[2J"}', "503 x"), "answers 503: too many\\u001b[2J"),
        ("", "cannot be read (RemoteDisconnected): see whether the bot runs"),
        ("silence", "does not answer within 0.2 s"),
    ],
)
async def test_another_answer_is_one_sentence(
    said: str, words: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_PATIENCE", 0.2 if said == "silence" else 30.0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if said == "silence":
            await reader.read()
        else:
            writer.write(said.encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        where = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        shown = await asyncio.to_thread(run, "top", where)
    assert (shown.code, shown.out) == (1, "")
    assert words in shown.err
    assert where in shown.err
    assert shown.err.count("\n") == 1


def test_an_answer_is_checked_to_the_last_field() -> None:
    assert source._fits(Status, {**status(), "new": 1})
    first, *others = status()["accounts"]
    for wrong in (
        {"hops": {"x": {}}},
        {"accounts": [{**first, "round_trip": "1"}, *others]},
        {"accounts": [{**first, "received": True}]},
        {"began": float("nan")},
        {"running": 10**400},
        {"totals": {**status()["totals"], "states": {"connected": 0.5}}},
        {"ready": 1},
        {"matching": None},
    ):
        assert not source._fits(Status, {**status(), **wrong}), wrong
    assert not source._fits(Status, {k: v for k, v in status().items() if k != "gaps"})


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("127.0.0.1:8787", ("127.0.0.1", 8787)),
        ("http://127.0.0.1:80/", ("127.0.0.1", 80)),
        ("localhost:1", ("localhost", 1)),
        ("[::1]:8787", ("::1", 8787)),
    ],
)
def test_addresses_are_those_of_the_log(given: str, where: tuple[str, int]) -> None:
    assert Address.of(given) == where


@pytest.mark.parametrize(
    ("given", "words"),
    [
        *((each, "is no host:port") for each in ("", "8787", "127.0.0.1", "127.0.0.1:0", "a:b")),
        ("127.0.0.1:70000", "is no host:port"),
        ("https://127.0.0.1:1/", "is no host:port"),
        ("10.0.0.1:8787", "is not on this machine.* ssh -L 8787:127.0.0.1:8787 HOST"),
    ],
)
def test_other_addresses_are_wrong_use(given: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Address.of(given)


def test_the_address_is_that_of_the_configuration(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = free()
    Path("xyfast.toml").write_text(f'[settings]\nstatus = "{where}"\n', "utf-8")
    assert f"nothing listens at {where}" in run("top").err
    other = free()
    assert f"nothing listens at {other}" in run("top", other).err
    monkeypatch.setenv("XYFAST_STATUS", "127.0.0.1:0")
    shown = run("top")
    assert (shown.code, "port 0" in shown.err) == (2, True)
    monkeypatch.delenv("XYFAST_STATUS")
    os.remove("xyfast.toml")
    monkeypatch.setattr(Address, "ask", lambda self: status(reason=str(self)))
    assert "127.0.0.1:8787" in run("top").out
    for wrong in ("0", "nan", "inf", "x"):
        with pytest.raises(SystemExit):
            run("top", "--interval", wrong)
