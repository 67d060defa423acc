"""One account's place in the server's stream: its position, and the asking for what is missing.

The server numbers what it pushes with positions (``pts``). On every new link, also after a
restart, it is told the position up to which everything is stored. What it then replays may
be all that came after that, or not, so its lists are compared with the inbox. Until that is
through, what comes is stored and held, since its order is not known, and no position of it
counts: the position must not pass what is still missing.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from xyfast import requests
from xyfast._core import DedupCache, Frame
from xyfast.calls import Calls
from xyfast.config import Settings
from xyfast.errors import XyfastError
from xyfast.facts import Facts
from xyfast.instrumentation import Hooks, Recovered
from xyfast.ledger import Ledger
from xyfast.logs import say, seconds
from xyfast.markers import SLACK, Markers
from xyfast.messages import Gap
from xyfast.reading import at, number
from xyfast.reconcile import Reconciler, Recovery
from xyfast.retry import PAUSES
from xyfast.store import Kept, Store

__all__ = ["Sync", "believable"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_AHEAD = 3_600_000  # milliseconds that a position may be ahead of its server's own clock
_FAR_AHEAD = 86_400_000  # the same for our clock, which may be wrong


def believable(pts: int, told_ms: int | None, now_ms: int) -> bool:
    """Whether a position (microseconds) can be true, beside the server's clock or else ours.

    One far in the future would make everything up to it count as received.
    """
    most = now_ms + _FAR_AHEAD if told_ms is None else told_ms + _AHEAD
    return pts <= most * 1000


class Sync:
    """Keeps the positions of one account and gets what it has missed over each new link.

    ``ledger`` says what is stored. ``hold`` and ``release`` are told whether what
    comes may be handed on, ``take_in`` commits what was fetched and gives the keys of what is
    new, ``seen`` is the dedup window, ``missing`` keeps and tells what cannot be fetched,
    ``saved`` waits until that is kept, ``begun`` is called when ``began`` is set. ``clock``
    gives seconds since the epoch, ``spawn`` starts a task that its owner awaits or cancels.
    """

    def __init__(
        self,
        account_id: str,
        calls: Calls,
        store: Store,
        settings: Settings,
        hooks: Hooks,
        *,
        seen: DedupCache,
        take_in: Callable[[Iterable[str]], Awaitable[Collection[str]]],
        missing: Callable[[Sequence[Gap]], None],
        saved: Callable[[], Awaitable[None]],
        hold: Callable[[str], None],
        release: Callable[[str], None],
        begun: Callable[[], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        clock: Callable[[], float],
    ) -> None:
        self.ledger = Ledger()
        self.began: int | None = None
        """When the account was first registered (milliseconds): older messages are not ours."""
        self.confirmed: int | None = None
        """The link that is caught up: positions of its pushes count."""
        self._account_id = account_id
        self._calls = calls
        self._store = store
        self._settings = settings
        self._hooks = hooks
        self._seen = seen
        self._take_in = take_in
        self._missing = missing
        self._saved = saved
        self._hold = hold
        self._release = release
        self._begun = begun
        self._spawn = spawn
        self._clock = clock
        self._pauses = [pause * settings.backoff_scale for pause in PAUSES]
        self._in_step = asyncio.Event()  # cleared from a link's opening to its catching up
        self._reconciler = Reconciler(
            account_id,
            ask=self._ask,
            known=self._known,
            take_in=take_in,
            pages=settings.history_pages,
            conversations=settings.history_conversations,
            pauses=self._pauses,
        )
        self._markers = Markers(
            account_id,
            self._reconciler,
            wait=settings.marker_wait,
            caught_up=self._in_step,
            known=self._known,
            tell=self._tell,
            spawn=spawn,
        )
        self._link: int | None = None
        self._slack = SLACK
        self._follows: int | None = None  # the link that brings what follows our position
        self._reached: int | None = None  # the highest position stored from it
        self._too_long = False
        self._work: asyncio.Task[None] | None = None
        self._replayed = asyncio.Event()
        self._replay: asyncio.TimerHandle | None = None
        self._holding: asyncio.TimerHandle | None = None
        self._incredible = False

    def load(self, kept: Kept, began: int | None) -> None:
        """Take up the stored positions.

        Of what is stored beyond them something may be missing before it, so it waits for the
        first link.
        """
        self.ledger = Ledger(kept.received)
        self.began = began
        if self.ledger.received is not None:
            # A marker's message may have been awaited when the last run ended.
            self._slack = SLACK + int(self._settings.marker_wait * 1000)
        self._hold_on()

    def registered(self, server_time: int | None) -> None:
        """A link is registered: a new account begins where the server is now (ms).

        Our own clock is not asked: it may be ahead.
        """
        if self.ledger.received is None and server_time is not None:
            # Positions are microseconds; what came in this very millisecond counts.
            self._begin_at(server_time * 1000 - 1, server_time)

    def start(self, link: int) -> None:
        """Send our position over a new link, and hold what it brings until that is in order."""
        self._link = link
        self._start_work(too_long=False)

    def skip(self, link: int) -> None:
        """The server cannot replay over ``link`` all that was missed."""
        if link != self._link:
            return
        self._too_long = True
        self._replayed.set()
        if self.confirmed is not None or self._work is None or self._work.done():
            self._start_work(too_long=True)

    def lost(self, link: int) -> None:
        """A link is over; what it owes is asked for over the next one."""
        if link == self._link:
            self._link = None
            self.suspend()
            self._end_work()

    def suspend(self) -> None:
        """Some of what the link brings is dropped: its positions say nothing any more."""
        self.confirmed = self._follows = None

    def stop(self) -> None:
        """Wait for nothing any more."""
        for timer in (self._replay, self._holding):
            if timer is not None:
                timer.cancel()

    # --- what links bring -----------------------------------------------------------

    def position(self, frame: Frame) -> int | None:
        """The position up to which all is here once a frame is stored; None if it says nothing.

        What a link pushes before the server's answer to our position may lie beyond a gap
        that the server is about to fill. From the answer on pushes come in order. An empty
        package says where the server is, not what we have.
        """
        pts = frame.max_pts
        if frame.link != self._follows or not frame.payloads or pts is None:
            return None
        if self._believes(pts, frame.timestamp):
            return pts
        return None

    def stored(self, frame: Frame, pts: int) -> None:
        """A frame with such a position is stored."""
        if frame.link == self.confirmed:
            self.ledger.stored(pts)
        elif frame.link == self._follows:
            self._reached = max(pts, self._reached or 0)
            if frame.has_more:
                self._replay_ends_soon()
            else:
                self._replayed.set()

    def marked(self, marker: Facts) -> None:
        """A marker is stored; its message is to come."""
        received = (self.ledger.received or 0) // 1000
        self._markers.came(marker, self._now(), self.began or 0, received)

    # --- catching up ----------------------------------------------------------------

    def _start_work(self, *, too_long: bool) -> None:
        self._end_work()
        self.suspend()
        self._reached = None
        self._too_long = too_long
        self._in_step.clear()
        self._hold_on()
        self._work = self._spawn(self._catch_up())

    def _end_work(self) -> None:
        if self._work is not None:
            self._work.cancel()
            self._work = None

    async def _catch_up(self) -> None:
        """Bring server and inbox to one position."""
        link, received = self._link, self.ledger.received
        recovery: Recovery | None = None
        if received is None:
            self._too_long = True  # the server told no time: begin at its position
        elif not self._too_long:
            await self._insist(partial(self._send_position, received))
            await self._replayed.wait()
            if not self._too_long:
                recovery = await self._reconcile(received)
        while True:
            if self._too_long:
                self._too_long = False
                recovery = await self._skip_gap()
            if recovery is None and self.ledger.received is not None:
                recovery = await self._reconcile(self.ledger.received)
            if recovery is not None:
                self._tell(recovery)
            await self._settled()
            await self._saved()  # gaps too, before a position passes them
            if not self._too_long:
                break
            await asyncio.sleep(self._pauses[0])  # told of again meanwhile
        await self._caught_up(link)

    async def _skip_gap(self) -> Recovery | None:
        """getState, history, then ackDiff: it moves the server on, past what was missed."""
        state, position = await self._insist(self._get_state)
        recovery, received = None, self.ledger.received
        if received is not None:
            recovery = await self._reconcile(received, end=position)
        await self._settled()  # the server counts what it has pushed before as confirmed
        if position is not None and received is None:
            self._begin_at(position, position // 1000)
            await self._insist(self._keep_position)
        build = partial(requests.ack_diff_state, state)
        await self._insist(partial(self._calls.ask, build, heard=self._follow))
        if position is not None:
            self._reached = max(position, self._reached or 0)
        return recovery

    async def _send_position(self, received: int) -> None:
        # It is kept, or a crash of a new account would begin again at "now".
        await self._keep_position()
        await self._settled()  # a new account may be given what is from before its beginning
        text = partial(requests.ack_diff, pts=received, now_ms=self._now())
        self._replayed.clear()
        await self._calls.ask(text, heard=self._follow)
        self._replay_ends_soon()

    def _follow(self, answer: Frame) -> None:
        """The server knows our position; its answer is the first that follows from it."""
        self._follows = answer.link

    async def _get_state(self) -> tuple[str, int | None]:
        """The server's state as text, since it goes back as it came, and its position."""
        heard: list[Frame] = []
        state = (await self._calls.ask(requests.get_state, heard=heard.append)).body
        position = requests.pts(state)
        told = number(at(state, "timestamp"))
        if position is not None and not self._believes(position, told):
            position = None
        return heard[0].body or "null", position

    async def _reconcile(self, received: int, *, end: int | None = None) -> Recovery:
        """Fetch what is missing from one position to another, or to now."""
        since = received // 1000
        start = max(since - self._slack, self.began or 0)
        until = self._now() if end is None else end // 1000
        return await self._reconciler.account(since, until, start=start)

    def _begin_at(self, position: int, time: int) -> None:
        """The account is new: the server will bring nothing from before."""
        self.began = time
        self.ledger.stored(position)
        self._begun()

    async def _caught_up(self, link: int | None) -> None:
        """From here on positions count; they are kept before anything is handed on."""
        if self._reached is not None:
            self.ledger.stored(self._reached)
        self.confirmed = link
        self._in_step.set()
        self._slack = SLACK
        try:
            await self._keep_position()
        except Exception as error:  # the next one that is kept does as well
            self._say("position not kept", error)
        self._set_free()

    async def _settled(self) -> None:
        """Wait until all that has come is stored."""
        await self._take_in(())

    async def _keep_position(self) -> None:
        if self.ledger.received is not None:
            await self._store.commit(received={self._account_id: self.ledger.received})

    # --- holding --------------------------------------------------------------------

    def _hold_on(self) -> None:
        self._hold(self._account_id)
        if self._holding is None:
            most = self._settings.hold_most
            self._holding = asyncio.get_running_loop().call_later(most, self._let_go)

    def _let_go(self) -> None:
        after = seconds(self._settings.hold_most)
        sentence = "still catching up; what is fetched from now on comes late"
        say(log, logging.WARNING, sentence, account=self._account_id, after=after)
        self._set_free()

    def _set_free(self) -> None:
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None
            self._release(self._account_id)

    def _replay_ends_soon(self) -> None:
        if self._replay is not None:
            self._replay.cancel()
        loop, wait = asyncio.get_running_loop(), self._settings.replay_wait
        self._replay = loop.call_later(wait, self._replayed.set)

    # --- what all of it needs -------------------------------------------------------

    async def _ask(self, build: Callable[..., str]) -> Any:
        return (await self._calls.ask(build)).body

    async def _known(self, keys: Collection[str]) -> Collection[str]:
        """Which messages the inbox has; waits while it cannot be read."""
        known = {key for key in keys if key in self._seen}
        if rest := [key for key in keys if key not in known]:
            known |= set(await self._insist(partial(self._store.known, self._account_id, rest)))
        return known

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it works: requests may be throttled, the store may fail for a while.

        A store is the user's own code, so what it raises is not foreseen.
        """
        for pause in itertools.chain(self._pauses, itertools.repeat(self._pauses[-1])):
            try:
                return await attempt()
            except Exception as error:
                self._say("not caught up yet", error)
                await asyncio.sleep(pause)
        raise AssertionError("there is always another pause")

    def _say(self, sentence: str, error: Exception) -> None:
        known = isinstance(error, XyfastError)
        say(
            log,
            logging.WARNING,
            sentence,
            account=self._account_id,
            reason=error if known else None,
            error=None if known else error,
        )

    def _tell(self, recovery: Recovery) -> None:
        """Say what was fetched and what is missing; the handlers are given each `Gap`."""
        account_id = self._account_id
        if not recovery.gaps:
            self._hooks(Recovered(account_id, recovery.messages, recovery.conversations))
        if recovery.messages:
            say(
                log,
                logging.INFO,
                "missed messages fetched",
                account=account_id,
                messages=recovery.messages,
                conversations=recovery.conversations,
            )
        for gap in recovery.gaps:
            say(
                log,
                logging.WARNING,
                "messages may be missing",
                account=account_id,
                conversation=gap.conversation_id,
                reason=gap.reason,
            )
        self._missing(recovery.gaps)

    def _believes(self, pts: int, told_ms: int | None) -> bool:
        if believable(pts, told_ms, self._now()):
            self._incredible = False
            return True
        if not self._incredible:  # a server that goes on with it is told of once
            say(
                log,
                logging.WARNING,
                "position is far in the future, not counted",
                account=self._account_id,
                position=pts,
            )
        self._incredible = True
        return False

    def _now(self) -> int:
        return int(self._clock() * 1000)
