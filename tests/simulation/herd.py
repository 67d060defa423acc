"""Thousands of accounts of one process that lose their server at the same moment."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from functools import partial
from typing import cast

from simulation.loop import VirtualLoop, simulate
from xyfast.config import Settings
from xyfast.events import (
    CloseLink,
    Dial,
    Event,
    FetchToken,
    LinkLost,
    LinkOpened,
    Moved,
    Start,
    State,
    Tick,
    TokenReady,
)
from xyfast.gate import Pace
from xyfast.gates import Gates, Turn
from xyfast.retry import Trouble
from xyfast.session import Session

__all__ = ["Herd", "run"]


class Herd:
    """``count`` accounts and their server, which is away for ``outage`` seconds.

    Times are seconds from the server's return. With ``swallow`` a server that is away leaves
    dials without an answer, instead of refusing them at once. When it is back the event loop is
    ``busy`` for so long, again and again, and free for a quarter of that in between.
    """

    def __init__(
        self, count: int, outage: float, seed: int, *, swallow: bool = False, busy: float = 0.0
    ) -> None:
        self.settings = Settings()
        self.dice = random.Random(seed)
        self.links = itertools.count(1)
        self.loop = cast("VirtualLoop", asyncio.get_running_loop())
        self.outage = outage
        self.swallow = swallow
        self.busy = busy
        self.up = True
        self.back: list[float] = []
        """When each account was connected again, in order."""
        self.dialled: list[float] = []
        """When each dial went out after the server was gone."""
        pace = Pace(self.settings.dial_rate, self.settings.dial_burst)
        self.gate = Gates(clock=self.loop.time, dice=self.dice.random).at("ws://x", pace)
        self.accounts = [_Account(self) for _ in range(count)]
        self._apart = set(self.accounts)  # not connected
        self._complete = asyncio.Event()

    @property
    def refused(self) -> list[float]:
        """When each dial went out that found no server."""
        return [time for time in self.dialled if time < 0]

    async def play(self) -> None:
        """Connect, lose the server, get it back."""
        for account in self.accounts:
            account.feed(Start())
        await self._complete.wait()
        await asyncio.sleep(self.settings.healthy_after)
        self.up, returns = False, self.loop.time() + self.outage
        self.dialled.clear()
        self._complete.clear()
        for account in self.accounts:
            account.lose()
        await asyncio.sleep(self.outage)
        self.up = True
        while self.busy and self._apart:
            self.loop.block(self.busy)
            await asyncio.sleep(self.busy / 4)
        await self._complete.wait()
        self.dialled = [time - returns for time in self.dialled]
        self.back = sorted(account.moved_at - returns for account in self.accounts)

    def moved(self, account: _Account, state: State) -> None:
        """An account has another state."""
        if state is State.CONNECTED:
            self._apart.discard(account)
        else:
            self._apart.add(account)
        if not self._apart:
            self._complete.set()


class _Account:
    """What a driver does for its session, as far as dials go."""

    def __init__(self, herd: Herd) -> None:
        self.session = Session(herd.settings, herd.dice.random, herd.links)
        self.moved_at = 0.0
        self._herd = herd
        self._turn: Turn | None = None
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, event: Event) -> None:
        herd = self._herd
        for action in self.session.step(event, herd.loop.time()):
            match action:
                case FetchToken():
                    herd.loop.call_soon(self.feed, TokenReady())
                case Dial():
                    self._turn = Turn(herd.gate, partial(self._dial, action.link))
                    self._turn.ask()
                case CloseLink():
                    raise AssertionError("nothing is closed here")
                case Moved():
                    self.moved_at = herd.loop.time()
                    herd.moved(self, action.new)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (deadline := self.session.deadline) is not None:
            self._timer = herd.loop.call_at(deadline, self.feed, Tick())

    def lose(self) -> None:
        """The server is gone: its links end one after the other."""
        link = self.session.link
        assert link is not None
        self._later(0.2, self.feed, LinkLost(link, Trouble.LINK, "reset"))

    def _dial(self, link: int) -> None:
        herd = self._herd
        herd.dialled.append(herd.loop.time())
        if herd.up:
            self._later(0.3, self._arrived, link)
        elif herd.swallow:
            herd.loop.call_later(herd.settings.open_timeout, self._failed, link)
        else:
            self._later(0.1, self._failed, link)

    def _arrived(self, link: int) -> None:
        if not self._herd.up:
            self._failed(link)
            return
        assert self._turn is not None
        self._turn.reached()
        self.feed(LinkOpened(link))

    def _failed(self, link: int) -> None:
        assert self._turn is not None
        self._turn.missed(Trouble.NETWORK)
        self.feed(LinkLost(link, Trouble.NETWORK, "refused"))

    def _later(self, most: float, call: Callable[..., object], *args: object) -> None:
        self._herd.loop.call_later(self._herd.dice.random() * most, call, *args)


def run(count: int, outage: float, seed: int, *, swallow: bool = False, busy: float = 0.0) -> Herd:
    """Play a herd to the end."""

    async def main() -> Herd:
        herd = Herd(count, outage, seed, swallow=swallow, busy=busy)
        await herd.play()
        return herd

    return simulate(main())
