"""A server of one link that writes bytes as they are, and reads with strict eyes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from scripted import PATIENCE

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes = b"",
    head: bytes | None = None,
) -> bytes:
    """Return a frame; ``head`` takes the place of its length."""
    size = len(payload)
    if head is None and size < 126:
        head = bytes([size])
    elif head is None:
        head = b"\x7e" + struct.pack(">H", size) if size < 65536 else long(size)
    assert head is not None
    if mask:
        head = bytes([head[0] | 128]) + head[1:]
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([fin << 7 | rsv << 4 | opcode]) + head + mask + payload


def long(size: int) -> bytes:
    """Return a length in eight bytes."""
    return b"\x7f" + struct.pack(">Q", size)


def text(payload: str | bytes, **options: bool | int | bytes) -> bytes:
    """Return a text frame."""
    data = payload.encode() if isinstance(payload, str) else payload
    return frame(TEXT, data, **options)  # type: ignore[arg-type]


def fragments(opcode: int, *parts: bytes) -> list[bytes]:
    """Return a message's frames, one for each part."""
    last = len(parts) - 1
    return [
        frame(CONTINUATION if index else opcode, part, fin=index == last)
        for index, part in enumerate(parts)
    ]


def close(code: int, reason: str | bytes = b"") -> bytes:
    """Return a close frame."""
    data = reason.encode() if isinstance(reason, str) else reason
    return frame(CLOSE, struct.pack(">H", code) + data)


def envelope(mid: str = "") -> str:
    """Return the smallest text that is an envelope."""
    return '{"headers":{"mid":"' + mid + '"}}'


def sized(size: int) -> str:
    """Return an envelope of so many bytes."""
    return envelope("x" * (size - len(envelope())))


class Read(NamedTuple):
    """A frame that the link sent."""

    opcode: int
    payload: bytes
    mask: bytes


class Peer:
    """The server's end of the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._data = bytearray()
        self.head = b""

    async def request(self) -> bytes:
        """Read the link's half of the handshake and return what accepts its key."""
        while b"\r\n\r\n" not in self._data:
            assert await self._more(), "no handshake"
        head, _, rest = bytes(self._data).partition(b"\r\n\r\n")
        self.head, self._data = head, bytearray(rest)
        found = re.search(rb"(?im)^sec-websocket-key: *(\S+)\r?$", head)
        assert found, head
        assert len(base64.b64decode(found[1], validate=True)) == 16
        return base64.b64encode(hashlib.sha1(found[1] + GUID).digest())

    async def accept(self, then: bytes = b"") -> None:
        """Answer the handshake as it should be, and write more with the same call."""
        await self.write(switching(await self.request()) + then)

    async def register(self) -> None:
        """Accept the link's registration."""
        registration = await self.read()
        assert registration is not None
        assert registration.opcode == TEXT
        found = re.search(rb'"mid":"([^"]+)"', registration.payload)
        assert found
        mid = found[1].decode()
        await self.write(text('{"code":200,"headers":{"mid":"' + mid + '"}}'))

    async def write(self, data: bytes) -> bool:
        """Write bytes; False if the link is gone."""
        with contextlib.suppress(ConnectionError):
            await self._loop.sock_sendall(self._connection, data)
            return True
        return False

    async def trickle(self, data: bytes) -> None:
        """Write bytes one by one, each in a segment of its own."""
        for byte in data:
            await self.write(bytes([byte]))
            await asyncio.sleep(0)

    async def read(self) -> Read | None:
        """Read one frame, which must be as RFC 6455 wants it; None at the end."""
        head = await self._take(2)
        if head is None:
            return None
        assert head[0] & 0x70 == 0, "reserved bits"
        assert head[0] & 0x80, "links do not fragment"
        assert head[1] & 0x80, "clients mask"
        opcode, size = head[0] & 15, head[1] & 127
        assert opcode in (TEXT, CLOSE, PONG), opcode
        if size >= 126:
            width = 2 if size == 126 else 8
            least = 126 if size == 126 else 65536
            size = int.from_bytes(await self._need(width), "big")
            assert least <= size < 1 << 63, "the shortest length that does"
            assert opcode == TEXT, "control frames are short"
        mask = await self._need(4)
        payload = await self._need(size)
        return Read(opcode, bytes(b ^ mask[i % 4] for i, b in enumerate(payload)), mask)

    async def rest(self) -> list[Read]:
        """Read frames until the link is gone."""
        found = []
        while (read := await self.read()) is not None:
            found.append(read)
        return found

    def reset(self) -> None:
        """Cut the connection so that the link sees a reset."""
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()

    def hang_up(self) -> None:
        """Say that nothing more will be written, if the link is still there."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    async def _need(self, size: int) -> bytes:
        found = await self._take(size)
        assert found is not None, "half a frame"
        return found

    async def _take(self, size: int) -> bytes | None:
        while len(self._data) < size:
            if not await self._more():
                assert not self._data, "half a frame"
                return None
        found = bytes(self._data[:size])
        del self._data[:size]
        return found

    async def _more(self) -> bool:
        try:
            data = await self._loop.sock_recv(self._connection, 1 << 16)
        except ConnectionError:
            return False
        self._data += data
        return bool(data)


def switching(accept: bytes, *lines: bytes) -> bytes:
    """Return a whole answer to a handshake, with more headers if any are given."""
    head = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    return b"\r\n".join([*head, b"Sec-WebSocket-Accept: " + accept, *lines, b"", b""])


@asynccontextmanager
async def served(script: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve one connection as the script says, and bring its failed assertions to light."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)

    async def serve() -> None:
        connection, _ = await loop.sock_accept(listener)
        with connection:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await script(Peer(connection))

    with listener:
        task = asyncio.create_task(serve())
        try:
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        except BaseException:
            task.cancel()
            raise
        await asyncio.wait_for(task, PATIENCE)
