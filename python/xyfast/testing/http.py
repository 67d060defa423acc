"""One HTTP connection of the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

import h11

from xyfast.testing.link import reset_transport
from xyfast.testing.mtop import Request, Response

__all__ = ["HttpConnection"]

LARGEST_BODY = 1 << 20


class HttpConnection(asyncio.Protocol):
    """Reads requests and writes what ``answer`` returns, one at a time.

    ``clock`` gives the time that answers are dated with, milliseconds since 1970.
    """

    def __init__(
        self,
        answer: Callable[[Request], Response],
        clock: Callable[[], int],
        connections: set[HttpConnection],
    ) -> None:
        self._answer = answer
        self._clock = clock
        self._connections = connections
        self._h11 = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def reset(self) -> None:
        """Cut the connection with RST."""
        reset_transport(self._transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:  # noqa: D102
        self._h11.receive_data(data)
        self._read()

    def eof_received(self) -> bool:  # noqa: D102
        return False

    def _read(self) -> None:
        while not self._transport.is_closing():
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    self._write(Response(error.error_status_hint, [], b""))
                self._transport.close()
                return
            if isinstance(event, h11.Request):
                self._request = event
                self._body.clear()
                if self._h11.they_are_waiting_for_100_continue:
                    self._send(h11.InformationalResponse(status_code=100, headers=[]))
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > LARGEST_BODY:
                    self._write(Response(413, [], b""))
                    self._transport.close()
                    return
            elif isinstance(event, h11.EndOfMessage):
                self._respond()
            else:  # NEED_DATA, PAUSED or the end of the connection
                return

    def _respond(self) -> None:
        assert self._request is not None
        request = Request(
            self._request.method.decode(),
            self._request.target.decode(),
            [(name.decode(), value.decode("latin-1")) for name, value in self._request.headers],
            bytes(self._body),
        )
        response = self._answer(request)
        if response.dropped:
            reset_transport(self._transport)
        elif response.delay:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(response.delay, self._write_late, response)
        else:
            self._write(response)

    def _write_late(self, response: Response) -> None:
        self._timer = None
        self._write(response)
        self._read()

    def _write(self, response: Response) -> None:
        length = ("content-length", str(len(response.body)))
        date = ("date", formatdate(self._clock() / 1000, usegmt=True))
        self._send(
            h11.Response(
                status_code=response.status,
                reason=HTTPStatus(response.status).phrase,
                headers=[*response.headers, date, length],
            )
        )
        self._send(h11.Data(data=response.body))
        self._send(h11.EndOfMessage())
        if self._h11.our_state is h11.MUST_CLOSE:
            self._transport.close()
        elif self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()

    def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data:
            self._transport.write(data)
