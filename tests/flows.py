"""All that a client does, gone through with secrets that are canaries."""

from __future__ import annotations

import base64
import gc
import json
import logging
import re
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest

from canaries import ENCODERS, Cage
from proxies import Proxy
from world import ME, World, fast_settings
from xyfast import (
    Account,
    ChatMessage,
    LoginRequired,
    NotSent,
    PlatformTokens,
    SendRefused,
    SqliteStore,
    State,
    StateError,
    Token,
)
from xyfast.instrumentation import Fact
from xyfast.instrumentation.metrics import Metrics
from xyfast.instrumentation.otel import OpenTelemetry
from xyfast.instrumentation.prometheus import Collector, render
from xyfast.store import Outcome, Row
from xyfast.testing import FakeServer, Fault, samples

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


class Exporters:
    """What Prometheus and OpenTelemetry are given of a client."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.reader, self.spans = InMemoryMetricReader(), InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.hook = OpenTelemetry(
            self.metrics,
            meter_provider=MeterProvider([self.reader]),
            tracer_provider=tracers,
            spans=True,
        )

    def note(self, canaries: Canaries) -> None:
        """All of it, as it goes out."""
        text = render(self.metrics.snapshot())
        assert re.search(r'^xyfast_errors_total\{.*"proxy-refused"\} [1-9]', text, re.MULTILINE)
        canaries.note("Prometheus", text)
        registry = CollectorRegistry()
        registry.register(Collector(self.metrics))
        canaries.note("Prometheus' registry", generate_latest(registry).decode())
        canaries.note("snapshot", json.dumps(self.metrics.snapshot().as_json()))
        data = self.reader.get_metrics_data()
        assert data is not None
        canaries.note("OpenTelemetry's metrics", data.to_json())
        spans = self.spans.get_finished_spans()
        assert spans
        canaries.note("OpenTelemetry's spans", "".join(span.to_json() for span in spans))


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
    exporters = Exporters()
    options = {"tokens": tokens, "store": store, "credentials": human}
    options |= {"hooks": [hook, exporters.hook]}
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
        exporters.note(canaries)
        for _, row in await store.dead_letters():
            canaries.note("dead letter", f"{row!r} {row.dead!r}")
    with pytest.raises(StateError) as closed:
        await client.add(Account.from_cookies(cookies))
    canaries.error(closed.value)
    canaries.files()
