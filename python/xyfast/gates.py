"""The dial gates of a process: one for each endpoint, over all its clients and event loops.

A `Turn` is one dial's way through: it waits in the event loop in which it was made, is called
back there, and tells what became of it. Whoever waits keeps a timer in a loop of its own, so no
loop that is blocked or over keeps others waiting. Nothing here makes a task or a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import random
import threading
import time
import urllib.parse
import weakref
from collections.abc import AsyncIterator, Callable
from functools import partial

from xyfast.gate import Gate, Pace
from xyfast.retry import Trouble

__all__ = ["PROCESS", "Gates", "SharedGate", "Turn"]

_LOOK = 5.0  # seconds between two looks for loops that were closed
_GRAIN = 0.001  # seconds: a timer may be early by less than that


class _Home:
    """The turns of one event loop that are in line or under way, and its timer."""

    __slots__ = ("due", "loop", "timer", "turns")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.turns: set[Turn] = set()
        self.due = float("inf")
        self.timer: asyncio.TimerHandle | None = None


class Turn:
    """One dial's way through a gate; all methods run in the loop in which it was made.

    ``go`` is called once, when the dial may go out: before `ask` returns where nobody has to
    wait. What is told after `leave`, or twice, changes nothing.
    """

    def __init__(self, gate: SharedGate, go: Callable[[], object]) -> None:
        self.loop = asyncio.get_running_loop()
        self.context = contextvars.copy_context()
        self._gate = gate
        self._go = go
        self._over = False

    def ask(self) -> None:
        """Stand in line."""
        if self._gate.put(self):
            self.go()

    def go(self) -> None:
        """Be let through; nothing happens to one that has left."""
        if not self._over:
            self._go()

    def reached(self) -> None:
        """The endpoint has answered, whatever it said."""
        self._end(lambda gate, now: gate.reached(self, now))

    def missed(self, trouble: Trouble) -> None:
        """The endpoint was not reached."""
        self._end(lambda gate, now: gate.missed(self, trouble, now))

    def leave(self) -> None:
        """Wait no longer, or be over in a way that says nothing of the endpoint."""
        self._end(lambda gate, now: gate.leave(self, now))

    def _end(self, tell: Callable[[Gate[Turn], float], None]) -> None:
        if not self._over:
            self._over = True
            self._gate.end(self, tell)

    def there(self) -> bool:
        """Whether its event loop runs, so that it could go."""
        return self.loop.is_running()


class SharedGate:
    """The `Gate` of one endpoint behind a lock, and the loops of those that wait at it."""

    def __init__(self, pace: Pace, clock: Callable[[], float], dice: Callable[[], float]) -> None:
        self._gate: Gate[Turn] = Gate(pace, dice)
        self._clock = clock
        # A collection of garbage, which may come at any time, closes coroutines that hold turns.
        self._lock = threading.RLock()
        self._homes: dict[asyncio.AbstractEventLoop, _Home] = {}

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return len(self._gate)

    def keep_to(self, pace: Pace) -> None:
        """See `Gate.keep_to`."""
        with self._lock:
            self._gate.keep_to(pace)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait for a turn; it has left at the end of the block unless it has told more."""
        may: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def go() -> None:
            if not may.done():  # cancelled
                may.set_result(None)

        turn = Turn(self, go)
        turn.ask()
        try:
            if not may.done():
                await may
            yield turn
        finally:
            turn.leave()

    # --- for turns ------------------------------------------------------------------

    def put(self, turn: Turn) -> bool:
        """Stand in line; True if the turn may go at once."""
        with self._lock:
            home = self._homes.get(turn.loop)
            if home is None:
                home = self._homes[turn.loop] = _Home(turn.loop)
            home.turns.add(turn)
            self._gate.put(turn)
            return self._pump(turn.loop, turn)

    def end(self, turn: Turn, tell: Callable[[Gate[Turn], float], None]) -> None:
        """A turn is over: ``tell`` the gate how."""
        with self._lock:
            tell(self._gate, self._clock())
            if (home := self._homes.get(turn.loop)) is not None:
                home.turns.discard(turn)
            self._pump(turn.loop)

    # --- behind the lock ------------------------------------------------------------

    def _due(self, here: asyncio.AbstractEventLoop) -> None:
        """It is time, or another loop says that the time to look has changed."""
        with self._lock:
            if (home := self._homes.get(here)) is not None:
                home.due = float("inf")
            self._pump(here)

    def _pump(self, here: asyncio.AbstractEventLoop, asking: Turn | None = None) -> bool:
        """Let through all that may go, and have every loop look again in time.

        ``here`` is the loop that runs in this thread. Whether ``asking`` is among those that
        may go is returned; all others are called back.
        """
        now = self._clock()
        self._bury(now)
        at_once = False
        while (turn := self._gate.take(now, Turn.there)) is not None:
            if turn is asking:
                at_once = True
            else:
                _call(turn.loop, turn.go, turn.context)
        due = self._gate.next(now)
        for home in list(self._homes.values()):
            if due is None or not home.turns:
                self._rest(home, here)
            elif (look := min(due, now + _LOOK)) < home.due:
                home.due = look
                if home.loop is here:
                    self._set(home, max(look - now, _GRAIN))
                else:
                    _call(home.loop, partial(self._due, home.loop))
        return at_once

    def _set(self, home: _Home, delay: float) -> None:
        if home.timer is not None:
            home.timer.cancel()
        home.timer = home.loop.call_later(delay, self._due, home.loop)

    def _rest(self, home: _Home, here: asyncio.AbstractEventLoop) -> None:
        """Nobody waits for this loop's timer; one of another loop runs out by itself."""
        if home.loop is here and home.timer is not None:
            home.timer.cancel()
            home.timer = None
            home.due = float("inf")
        if not home.turns:
            del self._homes[home.loop]

    def _bury(self, now: float) -> None:
        """Forget the turns of loops that are closed: nobody will tell how they ended."""
        for home in [home for home in self._homes.values() if home.loop.is_closed()]:
            for turn in home.turns:
                self._gate.leave(turn, now)
            del self._homes[home.loop]


def _call(
    loop: asyncio.AbstractEventLoop,
    call: Callable[[], object],
    context: contextvars.Context | None = None,
) -> None:
    with contextlib.suppress(RuntimeError):  # closed meanwhile: the next look buries its turns
        loop.call_soon_threadsafe(call, context=context)


class Gates:
    """Gates by endpoint, for as long as somebody holds them.

    ``clock`` gives seconds that pass at one pace in all threads.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._dice = dice
        self._lock = threading.Lock()
        self._gates: weakref.WeakValueDictionary[str, SharedGate] = weakref.WeakValueDictionary()

    def at(self, url: str, pace: Pace) -> SharedGate:
        """The gate of the endpoint of ``url``: its scheme, host and port.

        Of all that ask for it the strictest pace counts.
        """
        parts = urllib.parse.urlsplit(url)
        endpoint = f"{parts.scheme}://{parts.netloc}".lower()
        with self._lock:
            gate = self._gates.get(endpoint)
            if gate is None:
                gate = self._gates[endpoint] = SharedGate(pace, self._clock, self._dice)
        gate.keep_to(pace)
        return gate

    def forget(self) -> None:
        """Begin anew, in the child of a fork: what waits and runs is the parent's."""
        self._lock = threading.Lock()
        self._gates = weakref.WeakValueDictionary()


PROCESS = Gates()
"""The gates of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=PROCESS.forget)
