"""A server that follows a script, and a user of links, for the tests of links."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from xyfast._core import Closed, Frame, Invalid, Links, Opened

REGISTER = '{"lwp":"/reg","headers":{"mid":"11767225600000 0"}}'
PATIENCE = 20.0
Event = Opened | Frame | Invalid | Closed
Script = Callable[[ServerConnection], None]


def answer(peer: ServerConnection, request: dict[str, Any], code: int = 200) -> None:
    peer.send(json.dumps({"code": code, "headers": {"mid": request["headers"]["mid"]}}))


def request(peer: ServerConnection) -> dict[str, Any]:
    """Return the next request that is no heartbeat; heartbeats are answered."""
    while True:
        found: dict[str, Any] = json.loads(peer.recv(timeout=PATIENCE))
        if found.get("lwp") != "/!":
            return found
        answer(peer, found)


def push(number: int) -> str:
    package = {"data": [{"data": "gQGhYQ=="}], "maxPts": number}
    headers = {"mid": f"{number} 0"}
    return json.dumps({"lwp": "/s/x", "headers": headers, "body": {"syncPushPackage": package}})


def url_of(server: Server) -> str:
    return f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"


def idle(peer: ServerConnection) -> None:
    """Answer heartbeats until the link is gone."""
    while True:
        request(peer)


@contextlib.contextmanager
def registered(script: Script) -> Iterator[str]:
    """A server in threads of its own, so that no loop of a test can hold it up."""
    failed: list[BaseException] = []

    def handle(peer: ServerConnection) -> None:
        try:
            answer(peer, request(peer))
            script(peer)
        except ConnectionClosed:
            pass
        except BaseException as error:
            failed.append(error)
            raise

    server: Server = serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield url_of(server)
    finally:
        server.shutdown()
        thread.join()
    assert not failed, failed


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


class User:
    """Takes events out of a mailbox, woken by the running loop."""

    def __init__(self) -> None:
        self.links = Links()
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.wakes = 0
        asyncio.get_running_loop().add_reader(self.links.fileno(), self._take)

    def _take(self) -> None:
        self.wakes += 1
        for event in self.links.drain():
            self.events.put_nowait(event)

    async def next(self) -> Event:
        return await asyncio.wait_for(self.events.get(), PATIENCE)

    async def opened(self, url: str, link: int = 1, **options: Any) -> None:
        self.links.dial(link, url, headers=[], register=REGISTER, **options)
        event = await self.next()
        assert isinstance(event, Opened), event

    def end(self) -> None:
        asyncio.get_running_loop().remove_reader(self.links.fileno())
        self.links.shutdown()
