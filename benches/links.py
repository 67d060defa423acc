"""What a client does with a push, and our links doing it.

The job is that of a bot: the push's text to dicts, the ack, ``await handler(dict)``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from messages import respell
from xyfast import Settings
from xyfast._core import Closed, Frame, Opened
from xyfast.events import Dial
from xyfast.transport import LinkEvent, RustTransport

REGISTER = '{"lwp":"/reg","headers":{"mid":"1 0"}}'
CHECKED = 8
"""Dicts of each client that are compared with what was sent."""


@dataclass
class Job:
    """What a client is to do, and what it has seen."""

    url: str
    heartbeat: float
    """Seconds between two heartbeats of a link."""
    expected: Any
    """What every push brings, with names as JSON has them."""
    length: int
    """Characters of what it brings, in base64."""
    timed: bool
    """Whether it is to be seen when the handler gets each: noting that costs much of a message."""
    mids: list[str] = field(default_factory=list)
    """Of every push, in the order in which the handler gets them, if `timed`."""
    times: list[int] = field(default_factory=list)
    """The `time.time_ns` at which the handler got each, if `timed`."""
    handled: int = 0
    wrong: int = 0
    """Dicts that are not as expected."""
    wakeups: int | None = None
    """How often the event loop was told that there is something; None where nobody counts."""

    async def handle(self, tree: Any) -> None:
        """Take what a push has brought: the handler."""
        self.handled += 1
        if self.timed:
            self.times.append(time.time_ns())
        if self.handled <= CHECKED:
            self.wrong += respell(tree) != self.expected


Told = Callable[[], None]
Link = Callable[[Told], Awaitable[None]]
"""Opens a link, says when it is registered, and returns when it is over."""
Client = Callable[[Job], contextlib.AbstractAsyncContextManager[Link]]


class Inbox:
    """What was received by a callback and waits for the handler."""

    def __init__(self, job: Job) -> None:
        self._handle = job.handle
        self._trees: deque[Any] = deque()
        self._some = asyncio.Event()
        self._over = False

    def put(self, trees: Iterable[Any]) -> None:
        self._trees.extend(trees)
        self._some.set()

    async def run(self) -> None:
        """Await the handler with one after the other."""
        while not self._over:
            await self._some.wait()
            self._some.clear()
            while self._trees:
                await self._handle(self._trees.popleft())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run meanwhile; all that was put is handled in the end."""
        task = asyncio.create_task(self.run())
        yield
        self._over = True
        self._some.set()
        await task


@contextlib.asynccontextmanager
async def xyfast(job: Job) -> AsyncIterator[Link]:
    """Take batches as the client does, without its store."""
    transport = RustTransport(Settings(url=job.url))
    inbox = Inbox(job)
    opened: list[Told] = []
    over: list[asyncio.Event] = []
    job.wakeups = 0

    def sink(events: Sequence[LinkEvent]) -> None:
        frames = [event for event in events if isinstance(event, Frame)]
        for event in events if len(frames) < len(events) else ():
            if isinstance(event, Opened):
                opened[event.link]()
            elif isinstance(event, Closed):
                over[event.link].set()
        if frames:
            assert job.wakeups is not None
            job.wakeups += 1
            trees = [payload.tree for frame in frames for payload in frame.payloads]
            transport.ack(frames)
            if job.timed:
                job.mids += [frame.mid or "" for frame in frames]
            inbox.put(trees)

    async def link(told: Told) -> None:
        number = len(over)
        opened.append(told)
        over.append(asyncio.Event())
        policy = Dial(number, heartbeat=job.heartbeat, timeout=30.0, misses=3)
        transport.dial(policy, (), REGISTER, None)
        await over[number].wait()

    transport.start(sink)
    async with inbox.running():
        yield link
    transport.stop()
