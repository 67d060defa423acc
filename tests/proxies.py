"""An HTTP proxy that asks for a login."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import unquote


class Proxy:
    """HTTP CONNECT for ``login`` (user:password, as in a URL); ``status`` is what it answers."""

    def __init__(self, login: str) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.status = "200 x"
        self._expected = base64.b64encode(unquote(login).encode()).decode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert f"Proxy-Authorization: Basic {self._expected}\r\n" in head
            self.asked.append(place := head.split()[1])
            writer.write(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
            if self.status.startswith("2"):
                host, port = place.split(":")
                back, to = await asyncio.open_connection(host, int(port))
                await asyncio.gather(carry(reader, to), carry(back, writer))
        writer.close()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def proxying(login: str) -> AsyncIterator[Proxy]:
    """A proxy that was given no other login, as is checked at the end."""
    proxy = Proxy(login)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(proxy.serve(reader, writer)))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    proxy.url = f"http://{login}@127.0.0.1:{port}"
    yield proxy
    listener.close()
    for task in tasks:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [error for error in done if isinstance(error, AssertionError)] == []
