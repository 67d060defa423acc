"""The same job on the links of other libraries, as their users would write it well.

Compression is off and there are no automatic pings. Libraries are imported by the client that uses
them, so that no process has those of others in memory.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import naive
from links import REGISTER, Client, Inbox, Job, Link, Told

ECHO = ("mid", "sid", "app-key", "ua", "dt")
HEARTBEAT = b'{"lwp":"/!","headers":{"mid":"2 0"}}'

Read = Callable[[Any], "tuple[Any, list[Any]] | None"]
"""From a frame to its ack, JSON text or its bytes, and its dicts; None if it is an answer."""


def reader(job: Job) -> Read:
    """Return the reader that takes the quickest packages there are."""
    import orjson

    from peers import quickest_b64decode, with_ormsgpack

    loads, dumps = orjson.loads, orjson.dumps
    b64decode = quickest_b64decode(job.length)

    def read(data: Any) -> tuple[bytes, list[Any]] | None:
        frame = loads(data)
        if "code" in frame:
            return None
        headers = frame["headers"]
        if job.timed:
            job.mids.append(headers["mid"])
        entries = frame["body"]["syncPushPackage"]["data"]
        trees = [with_ormsgpack(b64decode(entry["data"])) for entry in entries]
        echo = {name: headers[name] for name in ECHO if name in headers}
        return dumps({"code": 200, "headers": echo}), trees

    return read


def reader_in_python(job: Job) -> Read:
    """Return the reader that scripts have today."""

    def read(data: str) -> tuple[str, list[Any]] | None:
        frame = json.loads(data)
        if "code" in frame:
            return None
        headers = frame["headers"]
        if job.timed:
            job.mids.append(headers["mid"])
        entries = frame["body"]["syncPushPackage"]["data"]
        trees = [naive.unpackb(base64.b64decode(entry["data"])) for entry in entries]
        echo = {name: headers[name] for name in ECHO if name in headers}
        return json.dumps({"code": 200, "headers": echo}), trees

    return read


@contextlib.asynccontextmanager
async def beating(job: Job, send: Callable[[bytes], Awaitable[None]]) -> AsyncIterator[None]:
    """Send heartbeats meanwhile, from a task as everybody does."""

    async def beat() -> None:
        while True:
            await send(HEARTBEAT)
            await asyncio.sleep(job.heartbeat)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


# --- on asyncio -----------------------------------------------------------------------


@contextlib.asynccontextmanager
async def picows(job: Job) -> AsyncIterator[Link]:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    read, inbox = reader(job), Inbox(job)

    class Listener(WSListener):
        def __init__(self, told: Told) -> None:
            self.told = told

        def on_ws_connected(self, transport: WSTransport) -> None:
            transport.send(WSMsgType.TEXT, REGISTER.encode())

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
                return
            received = read(frame.get_payload_as_memoryview())
            if received is None:
                self.told()
            else:
                ack, trees = received
                transport.send(WSMsgType.TEXT, ack)
                inbox.put(trees)

    async def link(told: Told) -> None:
        transport, _ = await ws_connect(lambda: Listener(told), job.url)

        async def send(text: bytes) -> None:
            transport.send(WSMsgType.TEXT, text)

        async with beating(job, send):
            await transport.wait_disconnected()

    async with inbox.running():
        yield link


@contextlib.asynccontextmanager
async def websockets(job: Job) -> AsyncIterator[Link]:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    read = reader(job)

    async def link(told: Told) -> None:
        options: dict[str, Any] = {"compression": None, "ping_interval": None}
        async with connect(job.url, max_size=None, **options) as socket:
            await socket.send(REGISTER)
            await socket.recv()
            told()
            send = partial(socket.send, text=True)
            with contextlib.suppress(ConnectionClosed):
                async with beating(job, send):
                    while True:
                        if received := read(await socket.recv(decode=False)):
                            ack, trees = received
                            await send(ack)
                            for tree in trees:
                                await job.handle(tree)

    yield link


@contextlib.asynccontextmanager
async def upstream(job: Job) -> AsyncIterator[Link]:
    """Take pushes as scripts do: websockets, and all else in Python."""
    from websockets.asyncio.client import connect

    read = reader_in_python(job)

    async def link(told: Told) -> None:
        options: dict[str, Any] = {"compression": None, "ping_interval": None}
        async with connect(job.url, max_size=None, **options) as socket:
            await socket.send(REGISTER)
            await socket.recv()
            told()
            async with beating(job, partial(socket.send, text=True)):
                async for text in socket:
                    if received := read(text):
                        ack, trees = received
                        await socket.send(ack)
                        for tree in trees:
                            await job.handle(tree)

    yield link


@contextlib.asynccontextmanager
async def aiohttp(job: Job) -> AsyncIterator[Link]:
    from aiohttp import ClientSession, TCPConnector, WSMsgType

    read = reader(job)

    async def link(told: Told) -> None:
        async with session.ws_connect(job.url, decode_text=False) as socket:
            await socket.send_str(REGISTER)
            await socket.receive()
            told()
            send = partial(socket.send_frame, opcode=WSMsgType.TEXT)
            async with beating(job, send):
                async for message in socket:
                    if received := read(message.data):
                        ack, trees = received
                        await send(ack)
                        for tree in trees:
                            await job.handle(tree)

    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        yield link


@contextlib.asynccontextmanager
async def curl_cffi(job: Job) -> AsyncIterator[Link]:
    from curl_cffi import AsyncSession, CurlWsFlag

    read = reader(job)

    async def link(told: Told) -> None:
        async with session.ws_connect(job.url) as socket:
            await socket.send_str(REGISTER)
            await socket.recv()
            told()
            send = partial(socket.send, flags=CurlWsFlag.TEXT)
            async with beating(job, send):
                async for data in socket:
                    if received := read(data):
                        ack, trees = received
                        await send(ack)
                        for tree in trees:
                            await job.handle(tree)

    async with AsyncSession() as session:
        yield link


@contextlib.asynccontextmanager
async def httpx_ws(job: Job) -> AsyncIterator[Link]:
    import httpx
    from httpx_ws import WebSocketDisconnect, aconnect_ws

    read = reader(job)

    async def link(told: Told) -> None:
        pings: dict[str, Any] = {"keepalive_ping_interval_seconds": None}
        async with aconnect_ws(job.url, client, **pings) as socket:

            async def send(text: bytes) -> None:
                await socket.send_text(text.decode())

            await socket.send_text(REGISTER)
            await socket.receive_text()
            told()
            with contextlib.suppress(WebSocketDisconnect):
                async with beating(job, send):
                    while True:
                        if received := read(await socket.receive_text()):
                            ack, trees = received
                            await send(ack)
                            for tree in trees:
                                await job.handle(tree)

    async with httpx.AsyncClient() as client:
        yield link


# --- with threads ---------------------------------------------------------------------


@contextlib.asynccontextmanager
async def websocket_client(job: Job) -> AsyncIterator[Link]:
    """Receive in a thread for each link; heartbeats come from the event loop."""
    from websocket import ABNF, WebSocket, create_connection

    read = reader(job)

    def receive(socket: WebSocket) -> None:
        while True:
            opcode, data = socket.recv_data()
            if opcode == ABNF.OPCODE_CLOSE:
                return
            if received := read(data):
                ack, trees = received
                socket.send(ack)
                for tree in trees:
                    # The handler waits for nothing: it ends in its first step.
                    with contextlib.suppress(StopIteration):
                        job.handle(tree).send(None)

    async def link(told: Told) -> None:
        # orjson finds bad UTF-8 as well, and much faster.
        options = {"enable_multithread": True, "skip_utf8_validation": True}
        socket = await asyncio.to_thread(create_connection, job.url, **options)

        async def send(text: bytes) -> None:
            socket.send(text)

        socket.send(REGISTER)
        await asyncio.to_thread(socket.recv)
        told()
        async with beating(job, send):
            await asyncio.to_thread(receive, socket)

    yield link


PEERS: dict[str, Client] = {
    "picows": picows,
    "websockets": websockets,
    "aiohttp": aiohttp,
    "curl_cffi": curl_cffi,
    "websocket-client": websocket_client,
    "httpx-ws": httpx_ws,
    "upstream": upstream,
}
