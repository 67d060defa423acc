"""The server of the status page: sockets, and who may hold one for how long."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from xyfast.config import address_of
from xyfast.errors import ConfigError
from xyfast.logs import logger, say
from xyfast.status import http
from xyfast.status.http import Refused, Request, Response

__all__ = ["StatusServer"]

T = TypeVar("T")

log = logger(__name__)

_CONNECTIONS = 32
_VIEWERS = 8  # of these, those that are sent events
_PATIENCE = 5.0  # seconds that a request may take to come
_TAKING = 10.0  # seconds that a viewer may take for what was sent
_LEAVING = (
    1.0  # seconds that a client may take to hang up; cut off earlier it might lose the answer
)
_SPEED = 1.0  # seconds between two events
_TURNS = 3  # of asyncio's loop, after which a socket that it has accepted is a connection

Events = Callable[[Request], Awaitable[bytes]]
"""Gives the next event of a viewer."""


class StatusServer:
    """Serves ``answer`` at the address of `Settings.status`, and events to those who watch.

    A request for ``/events`` is answered by what ``event`` gives for it, every ``every`` seconds.
    A viewer that does not take that in time is dropped; meanwhile nothing more is made for it.
    """

    def __init__(
        self,
        status: str,
        answer: Callable[[Request], Awaitable[Response]],
        event: Events,
        *,
        every: float = _SPEED,
    ) -> None:
        self._status = status
        self._answer = answer
        self._event = event
        self._every = every
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._viewers = 0
        self.url: str | None = None
        """Where the page is, while it is served."""

    async def start(self) -> None:
        """Listen; raises `ConfigError` if that cannot be."""
        host, port = address_of(self._status)
        try:
            self._server = await asyncio.start_server(
                self._connected, host, port, limit=http.HEAD_MOST
            )
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ConfigError(
                f"Settings.status: nothing can be served at {self._status} ({why}); "
                "give another port, or 0 for any that is free"
            ) from None
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        say(log, logging.INFO, "status page is served", url=self.url)

    async def close(self) -> None:
        """Stop listening and hang up on everybody."""
        if self._server is None:
            return
        server, self._server, self.url = self._server, None, None
        for listener in server.sockets:
            with contextlib.suppress(RuntimeError):  # of loops that are not asyncio's
                asyncio.get_running_loop().remove_reader(listener.fileno())
        for _ in range(_TURNS):  # else asyncio forgets what it has accepted, and leaves it open
            await asyncio.sleep(0)
        server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await server.wait_closed()

    # --- one connection -------------------------------------------------------------------

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # it came while we closed
            writer.transport.abort()
            return
        if len(self._serving) >= _CONNECTIONS:
            writer.write(_refusal(Refused(503, "too many connections")).encode())
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = writer.transport
        transport.set_write_buffer_limits(high=0)  # so that drain() waits until all is taken
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.TimeoutError):
            pass  # it went, or is too slow
        except Exception as error:
            say(log, logging.ERROR, "status page failed", error=error)
        finally:
            transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await self._request(reader)
            if request is None:
                return
            if (request.method, request.path) == ("GET", ("events",)):
                return await self._watch(request, writer)
            response = await self._respond(request)
        except Refused as error:
            response = _refusal(error)
        writer.write(response.encode())
        await asyncio.wait_for(writer.drain(), _TAKING)
        writer.write_eof()
        await asyncio.wait_for(_rest(reader), _LEAVING)

    async def _request(self, reader: asyncio.StreamReader) -> Request | None:
        try:
            return await asyncio.wait_for(http.read(reader), _PATIENCE)
        except asyncio.TimeoutError:
            raise Refused(408, "the request did not come in time") from None

    async def _respond(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except Refused:
            raise
        except Exception as error:
            say(log, logging.ERROR, "status page failed", error=error)
            raise Refused(500, "this failed; the log says where") from None

    async def _watch(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self._viewers >= _VIEWERS:
            raise Refused(503, "too many viewers; ask for /status.json now and then")
        self._viewers += 1
        try:
            event = await self._event(request)
            writer.write(http.stream_head())
            while True:
                writer.write(b"data: " + event + b"\n\n")
                await asyncio.wait_for(writer.drain(), _TAKING)
                await asyncio.sleep(self._every)
                event = await self._event(request)
        finally:
            self._viewers -= 1


async def _rest(reader: asyncio.StreamReader) -> None:
    """Read what nobody wants until the other side hangs up."""
    while await reader.read(http.HEAD_MOST):
        pass


def _refusal(error: Refused) -> Response:
    return Response.of_json({"error": str(error)}, error.status, **error.headers)
