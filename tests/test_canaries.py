"""Secrets that are canaries go through all that a client does, at DEBUG, and nothing shows them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import xyfast
from canaries import Cage, listening
from flows import ODD, PASSWORD, TEXTS, Canaries, everything
from proxies import Proxy, proxying
from world import ME
from xyfast import Secret, SqliteStore, State, StateError, calls, reconcile, tokens
from xyfast.facts import Facts
from xyfast.instrumentation import Fact, Hooks, StateChanged, Troubled
from xyfast.instrumentation.metrics import Metrics
from xyfast.logs import logger
from xyfast.redaction import Redaction
from xyfast.testing import FakeServer

pytestmark = pytest.mark.leaks


@pytest.fixture
def canaries(tmp_path: Path) -> Iterator[Canaries]:
    """What our loggers and that of asyncio say, at DEBUG."""
    canaries = Canaries(tmp_path)
    with listening(canaries.record):
        yield canaries


@pytest.fixture
async def proxy() -> Any:
    async with proxying(f"me:{PASSWORD}") as proxy:
        yield proxy


KEY = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWtleSE="
COMMANDS = (
    *("config show", "config check", "doctor", "accounts", "dead list", "dead show {letter}"),
    *("outbox list", f"replay --account {ME} --since 0", "dead replay {letter}", "dead drop --all"),
    *("config check --config broken.toml", "doctor --config broken.toml"),
)
# In one process, since there are many.
ALL = """
import json, sys
from xyfast.__main__ import main
for arguments in json.loads(sys.argv[1]):
    print("command ended with code", main(arguments))
"""
BROKEN = """
from xyfast import Config
[account] = Config.load().accounts()
raise ValueError([each.reveal() for each in account.cookies.values()])
"""


async def commanded(server: FakeServer, proxy: Proxy, canaries: Canaries) -> None:
    """Run each command in the folder of the client, also with --json."""
    folder = canaries.folder
    canaries.keep(KEY)
    cookies = f"{server.cookies(ME)}; odd={ODD}"
    (folder / "me.cookies").write_text(cookies)
    (folder / "bot.py").write_text(BROKEN)
    [device] = {each.device_id for each in server.ledger(ME).registrations}
    text = f"""
    store = "x.db"
    [secrets]
    store = "encrypted"
    [settings]
    url = "{server.url}"
    token_url = "{server.token_url}"
    proxy = "{proxy.url}"
    [[accounts]]
    cookies_file = "me.cookies"
    device_id = "{device}"
    proxy = "{proxy.url}"
    """
    (folder / "xyfast.toml").write_text(text)
    (folder / "broken.toml").write_text(f"{text}\nproxy = {proxy.url}\n")
    environment = {**os.environ, "XYFAST_SECRETS_KEY": KEY}
    environment["PYTHONPATH"] = str(Path(xyfast.__file__).parent.parent)

    store = SqliteStore(folder / "x.db", shared=True)
    await store.open()
    letters = await store.dead_letters()
    await store.close()
    commands = [["decode", "!"]]
    for line in COMMANDS:
        words = line.format(letter=letters[0][0]).split()
        commands += [words, [*words, "--json"]]
    commands.append(["run", "bot.py"])  # the last one: its accounts stay
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", ALL, json.dumps(commands)],
        **{"check": False, "capture_output": True, "text": True, "cwd": folder, "env": environment},
    )
    assert ran.returncode == 0, ran.stderr
    shown = ran.stdout + ran.stderr
    canaries.note("commands", shown)
    assert shown.count("command ended with code") == len(commands)
    # They have said something of what is secret.
    for words in (
        *("<secret>", "opens, and closes, in", "of 1 accounts, encrypted", "returns"),
        *("replayed ", "dropped ", "ValueError"),
    ):
        assert words in shown, words
    files = {"me.cookies", "xyfast.toml", "broken.toml"}  # ours: they hold what they hold
    for name in files:
        (folder / name).unlink()


async def test_nothing_shows_a_secret(
    server: FakeServer, proxy: Proxy, canaries: Canaries, capfd: pytest.CaptureFixture[str]
) -> None:
    await everything(server, proxy, canaries)
    await commanded(server, proxy, canaries)
    shown = capfd.readouterr()
    canaries.note("output", shown.out + shown.err)
    # The flows were gone through, and the canaries are what they should be.
    said = "\n".join(canaries.said)
    for sentence in (
        "token provider raised",
        "handler raised",
        "of a handler",
        "dead letter",
        "hook raised",
        "store failed",
        "proxy refuses",
        "account is kicked",
        "account needs login",
        "credential source raised",
    ):
        assert sentence in said, sentence
    assert len(canaries.values) > 12
    assert canaries.escaped() == []


@pytest.mark.parametrize("leak", ["redaction", "reveal", "exception", "metric"])
async def test_a_leak_that_is_built_in_is_found(
    leak: str,
    server: FakeServer,
    proxy: Proxy,
    canaries: Canaries,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if leak == "redaction":
        monkeypatch.setattr(Redaction, "filter", lambda self, record: True)
    elif leak == "reveal":
        monkeypatch.setattr(Secret, "__repr__", lambda self: f"Secret({self.reveal()!r})")
    elif leak == "metric":
        count = Metrics.__call__

        def leaking(metrics: Metrics, fact: Fact, /) -> None:
            if isinstance(fact, Troubled) and fact.name == "verification":
                fact = replace(fact, name=ODD)
            count(metrics, fact)

        monkeypatch.setattr(Metrics, "__call__", leaking)
    else:
        monkeypatch.setattr(StateError, "__str__", lambda self: f"refused: {ODD}", raising=False)
    await everything(server, proxy, canaries)
    assert canaries.escaped() != []


@pytest.mark.parametrize(
    "held",
    [
        calls.Answer(None, {"a": ODD}, {"b": ODD}),  # type: ignore[arg-type]
        tokens._Answer([("Set-Cookie", ODD)], ODD.encode()),
        reconcile._Entry("1.PNM", 1, ME, ODD),
        Facts(text=ODD, sender_name=ODD, images=(ODD,), red_reminder=ODD),
    ],
    ids=lambda held: type(held).__qualname__,
)
def test_what_tasks_and_futures_hold_shows_nothing(held: object) -> None:
    """asyncio shows results when it debugs, cut short."""
    assert "canary" not in repr(held)


# A bot at DEBUG, its event loop too, that dies in a handler with all that Python says then.
CRASHING = """
import asyncio, json, logging, os, resource, sys
from xyfast import Account, ChatMessage, Client, Settings
options = json.loads(sys.argv[1])
logging.basicConfig(level=logging.DEBUG)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # which would hold all there is

async def main():
    asyncio.get_running_loop().slow_callback_duration = 0.0
    client = Client(
        store=options["store"], secrets=options["secrets"], settings=Settings(**options["settings"])
    )

    @client.on(ChatMessage)
    async def crash(message):
        [account] = client.accounts
        os.abort()

    async with client:
        await client.add(Account.from_cookies(os.environ["COOKIES"], proxy=os.environ["PROXY"]))
        await asyncio.Event().wait()

asyncio.run(main(), debug=True)
"""


async def test_a_crash_shows_no_secret(
    server: FakeServer, proxy: Proxy, canaries: Canaries
) -> None:
    folder = canaries.folder
    options = {
        "store": str(folder / "x.db"),
        "secrets": str(folder / "secrets"),
        "settings": {"url": server.url, "token_url": server.token_url},
    }
    cookies = f"{server.cookies(ME)}; odd={ODD}"
    command = [sys.executable, "-X", "faulthandler", "-c", CRASHING, json.dumps(options)]
    environment = {**os.environ, "COOKIES": cookies, "PROXY": proxy.url}
    environment["PYTHONPATH"] = str(Path(xyfast.__file__).parent.parent)
    with (folder / "said").open("w") as out:  # a pipe would be full
        bot = await asyncio.create_subprocess_exec(
            *command, stdout=out, stderr=out, cwd=folder, env=environment
        )
    try:
        await server.wait(lambda: server.links(ME), timeout=20.0)
        server.push_text(ME, TEXTS[0])
        assert await asyncio.wait_for(bot.wait(), 30.0) == -signal.SIGABRT
    finally:
        if bot.returncode is None:
            bot.kill()
            await bot.wait()
    canaries.keep(*(part.split("=", 1)[1] for part in cookies.split("; ")[1:4]))
    canaries.keep(*server._platform._grants)
    canaries.keep(*(each.device_id for each in server.ledger(ME).registrations))
    canaries.files()
    said = (folder / "said").read_text()
    for sentence in ("account is connected", "Fatal Python error: Aborted", "asyncio"):
        assert sentence in said
    assert len(canaries.values) >= 9
    assert canaries.escaped() == []


def test_the_search_through_the_whole_suite_finds_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``pytest --canaries=bare`` does around every test."""
    cage = Cage()
    cage.watch(monkeypatch, bare=True)
    with listening(cage.record):
        word = Secret("canary-of-the-suite").reveal()
        logger("xyfast.test").debug("kept %s", base64.b64encode(f"a{word}".encode()).decode())
        Hooks([])(StateChanged(ME, State.CONNECTED, State.KICKED, quote(f"{word}/", safe="")))
    assert {place.partition(":")[0] for place in cage.escaped()} == {
        "log of xyfast.test",
        "fact StateChanged",
    }
