"""What has come and waits for its commit: first come first, and bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from xyfast._core import Frame
from xyfast.driver import Driver
from xyfast.entries import Entry
from xyfast.transport import Transport

__all__ = ["Arrival", "Arrivals"]

_FRAME = 1024  # bytes that a frame takes beside its text


class Arrival:
    """Entries on their way through the store, of a frame or of a caller that waits for them.

    ``pts`` is the frame's position, None where it does not count. It was ``decoded`` at that
    time of the loop, ``age`` seconds after its link had read it.
    """

    __slots__ = ("age", "decoded", "driver", "entries", "frame", "pts", "size", "stored")

    def __init__(self, driver: Driver, frame: Frame | None = None, pts: int | None = None) -> None:
        self.driver = driver
        self.frame = frame
        self.pts = pts
        self.size = 0 if frame is None else frame.size + _FRAME
        self.entries: list[Entry] = []
        self.stored: asyncio.Future[list[str]] | None = None
        self.decoded = 0.0
        self.age: float | None = None

    def read(self) -> int:
        """Read a frame's payloads, unless that is done; returns what it counts in a batch."""
        frame = self.frame
        if frame is not None and not self.entries and frame.payloads:
            account_id, pts = self.driver.account.id, frame.max_pts
            time = frame.timestamp
            if time is None:
                time = self.driver.calls.now_ms()
            self.entries = [
                Entry.pushed(account_id, payload, pts, time) for payload in frame.payloads
            ]
            self.decoded, self.age = asyncio.get_running_loop().time(), frame.age
        return max(len(self.entries), 1)


class Arrivals:
    """A queue that leaves in the transport what goes beyond ``most`` bytes.

    If the store fails then, ``stall(True)`` asks for the links to be closed, since nothing that
    they bring can be kept, and ``stall(False)`` for new ones once it works: the server is told
    what is stored and brings the rest again.
    """

    def __init__(self, transport: Transport, most: int, stall: Callable[[bool], None]) -> None:
        self.stalled = False
        """Whether nothing more can be kept, so that links are of no use."""
        self._transport = transport
        self._most = most
        self._stall = stall
        self._waiting: deque[Arrival] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def size(self) -> int:
        """What they take, in bytes."""
        return self._bytes

    def put(self, arrival: Arrival) -> None:
        """Queue one."""
        self._waiting.append(arrival)
        self._bytes += arrival.size
        if self._bytes >= self._most and not self.stalled:
            self._transport.pause()

    def batch(self, most: int) -> list[Arrival]:
        """The first ones, with ``most`` entries or a few more; they stay until `leave`."""
        batch: list[Arrival] = []
        size = 0
        for arrival in self._waiting:
            if size >= most:
                break
            size += arrival.read()
            batch.append(arrival)
        return batch

    def has(self, driver: Driver, position: int) -> bool:
        """Whether a frame of an account waits that brings something up to a position."""
        for arrival in self._waiting:
            if arrival.driver is driver and arrival.frame is not None:
                arrival.read()
                if any(entry.position <= position for entry in arrival.entries):
                    return True
        return False

    def leave(self, batch: list[Arrival]) -> None:
        """Such a batch is stored."""
        for arrival in batch:
            self._waiting.popleft()
            self._bytes -= arrival.size

    def go_on(self) -> None:
        """Take more, if there is room: what was stored is handed on."""
        if self._bytes < self._most // 2:
            self._transport.resume()
            if self.stalled:
                self.stalled = False
                self._stall(False)

    def fail(self) -> None:
        """The store fails."""
        if self._bytes >= self._most and not self.stalled:
            self.stalled = True
            self._stall(True)
            self._transport.resume()  # or nobody would hear that the links are closed
