"""Secrets that are canaries go through all that a client does, at DEBUG, and nothing shows them."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import xyfast
from canaries import ENCODERS, Cage, listening
from proxies import Proxy, proxying
from world import ME, World, fast_settings
from xyfast import (
    Account,
    ChatMessage,
    LoginRequired,
    NotSent,
    PlatformTokens,
    Secret,
    SendRefused,
    SqliteStore,
    State,
    StateError,
    Token,
    calls,
    reconcile,
    tokens,
)
from xyfast.facts import Facts
from xyfast.instrumentation import Fact, Hooks, StateChanged
from xyfast.logs import logger
from xyfast.redaction import Redaction
from xyfast.store import Outcome, Row
from xyfast.testing import FakeServer, Fault, samples

pytestmark = pytest.mark.leaks

ODD = "canary=odd+%2F\"cookie'/\\名=="
PASSWORD = "canary-pass%40word"
TEXTS = ("canary-text-received", "canary-text-sent")


class Canaries(Cage):
    """What one client knows, and all that it shows."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.said: list[str] = []
        self.keep(ODD, PASSWORD, "canary-pass@word", *TEXTS)

    def record(self, record: logging.LogRecord) -> None:
        """See `Cage.record`."""
        super().record(record)
        self.said.append(record.getMessage())

    def error(self, error: BaseException) -> None:
        """An exception that was raised to the user."""
        told = "".join(traceback.format_exception(error))
        self.note(type(error).__name__, f"{error!r} {told} {vars(error)}")

    def known(self, account: Account) -> None:
        """The secrets of an account of now."""
        values = [each.reveal() for name, each in account.cookies.items() if name != "unb"]
        self.keep(*(value for value in values if value != "synthetic"))
        if account.device_id is not None:
            self.keep(account.device_id.reveal())

    def objects(self) -> None:
        """The repr of everything of the package that lives."""
        for each in gc.get_objects():
            module = type(each).__module__
            if module.startswith("xyfast.") and not module.startswith("xyfast.testing"):
                self.note(f"repr of {type(each).__qualname__}", repr(each))

    def files(self) -> None:
        """All files but the stores themselves."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path.suffix != ".session" and not path.name.startswith("x.db"):
                self.note(f"file {path.name}", path.read_bytes().decode("utf-8", "replace"))


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


class Noisy(SqliteStore):
    """A store whose errors quote what they can."""

    words = ""

    async def commit(
        self, rows: Sequence[Row] = (), outcomes: Sequence[Outcome] = (), **more: Any
    ) -> Collection[tuple[str, str]]:
        if self.words:
            words, self.words = self.words, ""
            raise RuntimeError(words)
        return await super().commit(rows, outcomes, **more)


class Quoting(PlatformTokens):
    """Tokens as they are; the first call quotes the cookies, and all tokens are canaries."""

    quoted = False
    canaries: Canaries

    async def token(self, account: Account, keep: Any, /) -> Token:
        self.canaries.known(account)
        if not self.quoted:
            self.quoted = True
            raise RuntimeError({name: value.reveal() for name, value in account.cookies.items()})
        token = await super().token(account, keep)
        self.canaries.keep(token.value.reveal())
        return token


class Human:
    """A hook that fails with all it knows, and gives cookies the next time."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.asked = 0

    async def credentials(self, account: Account, reason: str, **more: Any) -> Account | None:
        self.asked += 1
        raise LookupError("; ".join(value.reveal() for value in account.cookies.values()))


def quote_all(account: Account) -> str:
    """Words that a careless handler may raise."""
    cookie = account.cookies["odd"].reveal()
    shown = " ".join(encode(cookie) for encode in ENCODERS.values())
    basic = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    device = "" if account.device_id is None else account.device_id.reveal()
    return f"{shown} Proxy-Authorization: Basic {basic} {device} {quote(device)}"


async def everything(server: FakeServer, proxy: Proxy, canaries: Canaries) -> None:
    """Go through the main flows of a client."""
    folder = canaries.folder

    def hook(fact: Fact) -> None:
        canaries.fact(fact)
        if canaries.values and type(fact).__name__ == "Recovered":
            raise ValueError(sorted(canaries.values))

    settings = {"request_timeout": 1.0}
    tokens = Quoting(fast_settings(server))
    tokens.canaries = canaries
    store = Noisy(folder / "x.db", synchronous="normal")
    human = Human(server)
    options = {"hooks": [hook], "tokens": tokens, "store": store, "credentials": human}
    world = World(server, secrets=folder / "secrets", settings=settings, **options)
    client = world.client

    @client.on(ChatMessage)
    async def careless(message: ChatMessage) -> None:
        [account] = client.accounts
        canaries.known(account)
        log = logging.getLogger("xyfast.dispatch")
        if message.text == "raise":
            log.debug("kept %r", {name: value.reveal() for name, value in account.cookies.items()})
            try:
                raise ValueError(quote_all(account))
            except ValueError:
                log.exception("of a handler")
                raise

    async with client:
        cookies = f"{server.cookies(ME)}; odd={ODD}"
        await client.add(Account.from_cookies(cookies, proxy=proxy.url))
        await world.until(lambda: client.state(ME) is State.CONNECTED)
        # Messages: good, undecodable, and one whose handler fails until it is a dead letter.
        server.push(ME, [server.message(ME, TEXTS[0]), samples.bad_msgpack(), samples.bad_base64()])
        server.push_text(ME, "raise")
        await world.until(lambda: any("dead letter" in said for said in canaries.said))
        store.words = quote_all(client.accounts[0])
        server.push_text(ME, "while the store fails")
        await world.until(lambda: "while the store fails" in world.texts)
        # Sends: refused, and without a link.
        server.fault(ME, Fault.SEND_REFUSED)
        with pytest.raises(SendRefused) as refused:
            await client.send_text(ME, "70000000011", TEXTS[1], peer_id="1")
        canaries.error(refused.value)
        server.heal(ME)
        # The token is refreshed, the link is cut, the registration refused.
        server.expire_signatures(ME)
        server.expire_tokens(ME)
        server.reset(ME)
        registered = len(server.ledger(ME).registrations)
        await world.until(lambda: len(server.ledger(ME).registrations) > registered)
        await world.until(lambda: client.state(ME) is State.CONNECTED)
        # The proxy refuses, and is right again.
        proxy.status = "407 x"
        server.reset(ME)
        await world.until(lambda: any("proxy refuses" in said for said in canaries.said))
        proxy.status = "200 x"
        await world.until(lambda: client.state(ME) is State.CONNECTED)
        # Kicked, and back.
        server.kick(ME)
        await world.until(lambda: client.state(ME) is State.KICKED)
        with pytest.raises(StateError) as again:
            await client.add(client.accounts[0])
        canaries.error(again.value)
        client.resume(ME)
        await world.until(lambda: client.state(ME) is State.CONNECTED)
        # A human is asked for, by a hook that fails; then there are new cookies.
        server.fault(ME, Fault.RISK_CONTROL)
        server.expire_tokens(ME)
        server.reset(ME)
        await world.until(lambda: client.state(ME) is State.NEEDS_LOGIN and human.asked)
        with pytest.raises(LoginRequired) as required:
            await tokens.token(client.accounts[0], lambda account: None)
        canaries.error(required.value)
        with pytest.raises(NotSent) as unsent:
            await client.request(ME, "/r/x", [TEXTS[1]])
        canaries.error(unsent.value)
        fresh = f"{server.log_in(ME)}; odd={ODD}"
        client.replace_credentials(Account.from_cookies(fresh))
        await world.until(lambda: client.state(ME) is State.CONNECTED)
        canaries.known(client.accounts[0])
        canaries.objects()
        for _, row in await store.dead_letters():
            canaries.note("dead letter", f"{row!r} {row.dead!r}")
    with pytest.raises(StateError) as closed:
        await client.add(Account.from_cookies(cookies))
    canaries.error(closed.value)
    canaries.files()


async def test_nothing_shows_a_secret(
    server: FakeServer, proxy: Proxy, canaries: Canaries, capfd: pytest.CaptureFixture[str]
) -> None:
    await everything(server, proxy, canaries)
    store = str(canaries.folder / "x.db")
    for arguments in (["dead", "list"], ["dead", "show", "1"], ["outbox", "list"], ["decode", "!"]):
        command = [sys.executable, "-m", "xyfast", *arguments]
        command += [] if "decode" in arguments else ["--store", store]
        ran = await asyncio.to_thread(
            subprocess.run, command, check=False, capture_output=True, text=True
        )
        assert ran.returncode in (0, 1), ran.stderr
        canaries.note(" ".join(arguments), ran.stdout + ran.stderr)
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


@pytest.mark.parametrize("leak", ["redaction", "reveal", "exception"])
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
