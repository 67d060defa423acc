"""One WebSocket connection, which can also misbehave below the protocol."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol, cast

from websockets.datastructures import Headers
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

__all__ = ["Link", "LinkOwner", "reset_transport"]

CLOSE_TIMEOUT = 5.0
LARGEST_MESSAGE = 4 << 20
PIECE = 64
"""Bytes that a trickling link writes at a time."""


class LinkOwner(Protocol):
    """What a link tells and asks."""

    def link_made(self, link: Link) -> None:
        """Take note of a new connection."""

    def handshake_delay(self) -> float:
        """Return the seconds to wait before a handshake is answered."""

    def trickles(self, link: Link) -> bool:
        """Return whether bytes are to be written in small pieces."""

    def link_opened(self, link: Link) -> None:
        """Take note of a link whose handshake is done."""

    def text_received(self, link: Link, text: str) -> None:
        """Take a whole text message."""

    def link_lost(self, link: Link) -> None:
        """Take note that the connection is gone."""


def reset_transport(transport: asyncio.Transport) -> None:
    """Cut a connection with RST, dropping what is not sent yet."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Link(asyncio.Protocol):
    """The server's side of one socket."""

    def __init__(self, owner: LinkOwner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._protocol = ServerProtocol(max_size=LARGEST_MESSAGE)
        self._frozen = False
        self._ended = False
        self._parts: list[bytes] = []
        self._pieces = bytearray()
        self._timers: set[asyncio.TimerHandle] = set()

    @property
    def open(self) -> bool:
        """Whether messages can be written; a frozen link looks open."""
        return self._protocol.state is State.OPEN and not self._transport.is_closing()

    def later(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Call back after ``delay`` seconds unless the link is gone by then."""

        def call() -> None:
            self._timers.discard(handle)
            callback(*args)

        handle = self._loop.call_later(delay, call)
        self._timers.add(handle)

    # What a well-behaved server does.

    def send_text(self, text: str) -> bool:
        """Write one message and return whether the link was there to take it."""
        if not self.open:
            return False
        self._protocol.send_text(text.encode())
        self._flush()
        return True

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake; a frozen link is dropped, nobody would answer."""
        if self._frozen:
            self.abort()
        if not self.open:
            return
        try:
            self._protocol.send_close(code, reason)
        except ProtocolError:  # a code that must not be on the wire, on purpose
            payload = struct.pack(">H", code) + reason.encode()
            self.write(Frame(Opcode.CLOSE, payload).serialize(mask=False))
            self._transport.close()
            return
        self._flush()

    # What a misbehaving network or server does.

    def reset(self) -> None:
        """Cut the connection with RST, dropping what is not sent yet."""
        reset_transport(self._transport)

    def abort(self) -> None:
        """Drop the connection without a closing handshake."""
        self._transport.abort()

    def freeze(self) -> None:
        """Go half-open: nothing is read or written any more, the socket stays."""
        self._frozen = True
        self._transport.pause_reading()

    def cut(self, text: str) -> None:
        """Write the first half of a frame and end the stream."""
        if self.open:
            frame = Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
            self.write(frame[: len(frame) // 2])
            self._transport.close()

    def write(self, data: bytes) -> None:
        """Write bytes as they are, whatever they do to the stream."""
        if self._frozen or self._ended or self._transport.is_closing():
            return
        if not (self._pieces or self._owner.trickles(self)):
            self._transport.write(data)
            return
        self._pieces += data
        if len(self._pieces) == len(data):
            self._trickle()

    def _trickle(self) -> None:
        if self._frozen:
            return
        self._transport.write(bytes(self._pieces[:PIECE]))
        del self._pieces[:PIECE]
        if self._pieces:
            self.later(0.001, self._trickle)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast("asyncio.Transport", transport)
        self._owner.link_made(self)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        if self._frozen:
            return
        self._protocol.receive_data(data)
        self._handle_events()
        self._flush()

    def eof_received(self) -> bool:  # noqa: D102
        self._protocol.receive_eof()
        self._flush()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._owner.link_lost(self)

    def _handle_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                delay = self._owner.handshake_delay()
                if delay:
                    self.later(delay, self._answer_handshake, event)
                else:
                    self._answer_handshake(event)
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    message = b"".join(self._parts)
                    self._parts.clear()
                    self._owner.text_received(self, message.decode(errors="replace"))

    def _answer_handshake(self, request: Request) -> None:
        # Clients that set a field which their library sets too send it twice.
        fields = dict.fromkeys((name.lower(), value) for name, value in request.headers.raw_items())
        request.headers = Headers(list(fields))
        self._protocol.send_response(self._protocol.accept(request))
        self._flush()
        if self.open:
            self._owner.link_opened(self)
            self._handle_events()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.write(data)
            elif not (self._pieces or self._frozen or self._transport.is_closing()):
                self._ended = True
                self._transport.write_eof()
        if self._protocol.close_expected():
            self.later(CLOSE_TIMEOUT, self.abort)
