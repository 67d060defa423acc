"""A TCP proxy that cuts a connection at one chunk of the traffic."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.parse
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from xyfast.testing.link import reset_transport

__all__ = ["Cut", "Proxy"]

CHUNK = 4096
"""Bytes read at a time: cuts fall between frames and into them."""

Direction = Literal["up", "down"]


@dataclass
class Cut:
    """Where connections are cut: at chunk ``at`` of a direction, before or after it went on.

    ``seen`` counts the chunks of that direction, over all connections of all proxies.
    """

    direction: Direction
    at: int
    delivered: bool
    seen: int = 0

    def here(self, direction: Direction) -> bool:
        """Count a chunk and say whether it is the one."""
        if direction != self.direction:
            return False
        self.seen += 1
        return self.seen == self.at


class Proxy:
    """Stands before a server's address; ``url`` is the same address through it."""

    def __init__(self, url: str, cut: Cut) -> None:
        self._parts = urllib.parse.urlsplit(url)
        self._cut = cut
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._listener.sockets[0].getsockname()[1]
        self.url = self._parts._replace(netloc=f"127.0.0.1:{port}").geturl()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError):
                await self._connect(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        try:
            ways = [self._pump("up", reader, back), self._pump("down", there, writer)]
            tasks = [asyncio.ensure_future(way) for way in ways]
            done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if any(task.result() for task in done if task.exception() is None):
                reset_transport(writer.transport)
                reset_transport(back.transport)
            elif rest:  # an end of one side: what the other one still says goes on
                await asyncio.wait(rest, timeout=1.0)
            for task in rest:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            back.transport.abort()

    async def _pump(
        self, direction: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> bool:
        """Carry chunks until one side ends; returns whether the connection is to be cut."""
        while data := await source.read(CHUNK):
            cut = self._cut.here(direction)
            if cut and not self._cut.delivered:
                return True
            sink.write(data)
            await sink.drain()
            if cut:
                return True
        sink.write_eof()
        return False
