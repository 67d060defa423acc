"""Whoever visits a status page, byte by byte on sockets of their own, and whose page it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from world import World, running
from xyfast.testing import FakeServer

PATIENCE = 30.0  # seconds within which whatever is not stuck has answered
TOKEN = "a-token-for-tests-alone"
PAGES = ("/", "/page.css", "/page.js", "/icon.svg")
SAID = ("/status.json", "/dead.json", "/healthz", "/readyz", "/metrics")


class Answer:
    """What came back."""

    def __init__(self, data: bytes) -> None:
        head, self.end, self.body = data.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        self.raw = data
        self.status = int(line.split(" ")[1])
        self.fields = {
            name.lower(): value for name, _, value in (f.partition(": ") for f in fields)
        }

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def dial(url: str | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    assert url is not None
    where = urlsplit(url)
    return await asyncio.open_connection(where.hostname, where.port)


async def exchange(url: str | None, data: bytes, *, end: bool = False) -> bytes:
    """Send bytes, and with ``end`` nothing more; all that comes back until the other side ends."""
    reader, writer = await dial(url)
    try:
        writer.write(data)
        if end:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), PATIENCE)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def request(url: str | None, path: str, method: str = "GET", **fields: str) -> bytes:
    """The bytes of a request; ``fields`` take the place of what a browser sends."""
    assert url is not None
    given = {"Host": urlsplit(url).netloc, **fields}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


async def visit(url: str | None, path: str, method: str = "GET", **fields: str) -> Answer:
    """Make a request and read its answer."""
    return Answer(await exchange(url, request(url, path, method, **fields)))


async def act(url: str | None, path: str, token: str = TOKEN) -> Answer:
    """Ask for a write action."""
    return await visit(url, path, "POST", Authorization=f"Bearer {token}")


class Viewer:
    """Somebody who watches the events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def come(cls, url: str | None, path: str = "/events") -> Viewer:
        viewer = cls(*await dial(url))
        viewer.writer.write(request(url, path))
        return viewer

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)

    async def event(self) -> Any:
        line = await asyncio.wait_for(self.reader.readuntil(b"\n\n"), PATIENCE)
        assert line.startswith(b"data: ")
        return json.loads(line[6:])

    async def rest(self) -> bytes:
        """What comes until the other side ends; a cut connection has no more."""
        try:
            return await asyncio.wait_for(self.reader.read(), PATIENCE)
        except ConnectionError:
            return b""

    def go(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def watched(server: FakeServer, **options: Any) -> AsyncIterator[World]:
    """A client with a status page; its address is `World.client.status_url`."""
    given = options.pop("settings", {})
    settings = {"status": "127.0.0.1:0", "status_token": TOKEN, "measure_every": 0.2, **given}
    async with running(server, settings=settings, **options) as world:
        yield world


async def status_of(world: World, query: str = "") -> Any:
    return (await visit(world.client.status_url, f"/status.json?query={query}")).json


async def until(world: World, wanted: Callable[[Any], object]) -> Any:
    """The first event of which something is true."""
    viewer = await Viewer.come(world.client.status_url)
    try:
        await viewer.head()
        while not wanted(event := await viewer.event()):
            pass
        return event
    finally:
        viewer.go()
