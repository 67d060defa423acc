"""One account's place in the server's stream: the cursor, and the asking for what is missing.

The server numbers what it pushes with positions (``pts``). On every new link, also after a
restart, it is told the position up to which everything is stored, and it pushes what came
after that. Until that is through, what comes is stored and held: its order is not known.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from xyfast import requests
from xyfast._core import Frame
from xyfast.calls import Calls
from xyfast.dispatch import Delivery
from xyfast.errors import XyfastError
from xyfast.ledger import Ledger
from xyfast.logs import say
from xyfast.messages import Gap
from xyfast.store import Kept, Store

__all__ = ["Sync"]

log = logging.getLogger(__name__)

_PAUSES = (2.0, 4.0, 6.0)  # seconds, as the web page's clients wait on flow control
_REPLAY_COMES = 5.0  # seconds from a registration within which early pushes wait for a replay
_REPLAY_STARTS = 0.5  # the same from the server's answer to the cursor


class Sync:
    """Keeps the positions of one account and asks for what it has missed over each new link.

    ``ledger`` says what is stored and handled. ``hold`` and ``release`` are told whether what
    comes may be handed on, ``deliver`` gets what cannot be fetched. ``clock`` gives seconds
    since the epoch, ``spawn`` starts a task that its owner awaits or cancels.
    """

    def __init__(
        self,
        account_id: str,
        calls: Calls,
        store: Store,
        *,
        deliver: Callable[[Sequence[Delivery]], None],
        hold: Callable[[str], None],
        release: Callable[[str], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        clock: Callable[[], float],
    ) -> None:
        self.ledger = Ledger()
        self.confirmed: int | None = None
        """The link on which the server knows our position: positions of its pushes count."""
        self._account_id = account_id
        self._calls = calls
        self._store = store
        self._deliver = deliver
        self._hold = hold
        self._release = release
        self._spawn = spawn
        self._clock = clock
        self._link: int | None = None
        self._skipping: asyncio.Task[None] | None = None
        self._holding = False
        self._finishing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def load(self, kept: Kept) -> None:
        """Take up the stored positions."""
        self.ledger = Ledger(kept.cursor, kept.received)

    def registered(self, server_time: int | None) -> None:
        """A link is registered: a new account begins where the server is now (ms).

        Our own clock is not asked: it may be ahead.
        """
        if self.ledger.received is None and server_time is not None:
            # Positions are microseconds; what came in this very millisecond counts.
            self.ledger.begin(server_time * 1000 - 1)

    def start(self, link: int) -> None:
        """Send our position over a new link, and hold what it brings before the replay.

        What a link pushes before the answer may lie beyond a gap that the server is about
        to fill, so its position does not count; from the answer on, pushes come in order.
        """
        self._link = link
        if self._finishing is not None:
            self._finishing.cancel()
            self._finishing = None
        self._holding = True
        self._hold(self._account_id)
        self._replayed_in(_REPLAY_COMES)
        self._spawn(self._insist("cursor not confirmed", link, self._send_cursor))

    def skip(self) -> None:
        """The server cannot replay all that was missed: go on from its position."""
        if self._link is not None and (self._skipping is None or self._skipping.done()):
            self.confirmed = None  # until the gap is known, positions say nothing
            work = self._insist("position not taken", self._link, self._skip_gap)
            self._skipping = self._spawn(work)

    def replayed(self) -> None:
        """The replay is through: what the link brings from now on comes in order."""
        if self._holding and self._finishing is None:
            self.stop()
            self._finishing = self._spawn(self._finish())

    def stop(self) -> None:
        """Wait no longer for a replay."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def suspend(self) -> None:
        """Some of what the link brings is dropped: its positions say nothing any more."""
        self.confirmed = None

    async def _finish(self) -> None:
        await self._reconcile()
        self._holding, self._finishing = False, None
        self._release(self._account_id)

    async def _reconcile(self) -> None:
        """Fetch what the server has not replayed, before anything held is handed on."""

    async def _keep_position(self) -> None:
        """Keep our position, or a crash of a new account would begin again at "now"."""
        if self.ledger.received is not None:
            await self._store.commit(received={self._account_id: self.ledger.received})

    async def _send_cursor(self) -> None:
        received = self.ledger.received
        if received is None:
            await self._take_position()
            return
        await self._keep_position()
        now_ms = int(self._clock() * 1000)
        text = partial(requests.ack_diff, pts=received, now_ms=now_ms)
        await self._calls.ask(text, heard=self._confirm)

    async def _take_position(self) -> int | None:
        """getState, then ackDiff with its answer: the server's position becomes ours."""
        state = (await self._calls.ask(requests.get_state)).body
        await self._calls.ask(partial(requests.ack_diff_state, state), heard=self._confirm)
        position = requests.pts(state)
        if position is not None:
            self.ledger.begin(position)
            await self._keep_position()
        return position

    async def _skip_gap(self) -> None:
        start = self.ledger.received
        end = await self._take_position()
        if start is not None and end is not None:
            gap = Gap(
                account_id=self._account_id,
                start=start // 1000,
                end=end // 1000,
                reason="the server keeps less than was missed",
            )
            say(log, logging.WARNING, "gap", account=gap.account_id, reason=gap.reason)
            self._deliver([Delivery(gap)])

    async def _insist(self, what: str, link: int, attempt: Callable[[], Awaitable[None]]) -> None:
        """Try until it works or the link has a successor: requests may be throttled."""
        for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
            try:
                await attempt()
            except XyfastError as error:
                if link != self._link:
                    return
                say(log, logging.WARNING, what, account=self._account_id, reason=error)
                await asyncio.sleep(pause)
            else:
                return

    def _confirm(self, answer: Frame) -> None:
        self.confirmed = answer.link
        self._replayed_in(_REPLAY_STARTS)

    def _replayed_in(self, seconds: float) -> None:
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.replayed)
