"""One account's place in the server's stream: its position, and the asking for what is missing.

The server numbers what it pushes with positions (``pts``). On every new link, also after a
restart, it is told the position up to which everything is stored. What it then replays may
be all that came after that, or not, so its lists are compared with the inbox. Until that is
through, what comes is stored, and held where its order is not known, and no position of it
counts: the position must not pass what is still missing.

A comparison outlives its link: its requests wait for the next one. When it is through, all
that had happened by the newest change in the list is here, so the position moves up to that
time, and the next comparison begins there however short links live.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TypeVar

from xyfast import requests
from xyfast._core import DedupCache, Frame
from xyfast.calls import Answer, Calls
from xyfast.config import LOOK_BACK, SLACK, Settings
from xyfast.errors import NotSent, SendRefused
from xyfast.facts import Facts
from xyfast.holding import Holding
from xyfast.instrumentation import Hooks
from xyfast.lists import Lists, insist
from xyfast.logs import complain, logger
from xyfast.messages import Gap
from xyfast.patience import Patience
from xyfast.position import Position
from xyfast.probe import Probe
from xyfast.reading import at, number
from xyfast.reconcile import Recovery
from xyfast.replay import Replay
from xyfast.retry import PAUSES
from xyfast.store import Kept, Store
from xyfast.tasks import Spawn

__all__ = ["Sync"]

log = logger(__name__)

T = TypeVar("T")


class Sync:
    """Keeps the positions of one account and gets what it has missed over each new link.

    ``hold`` and ``release`` are told whether what comes may be handed on, ``take_in`` commits
    what was fetched and gives the keys of what is new, ``settle`` waits until all that has come
    is stored, and nothing up to a position is not, ``seen`` is the dedup window,
    ``missing`` keeps and tells what cannot be fetched, ``saved`` waits until that is kept,
    ``unkept`` says whether some is not yet, ``begun`` is called when ``began`` is set, ``deaf``
    asks for another link in the place of one that hears nothing, and says whether it comes.
    ``dice`` gives floats in [0, 1), ``spawn`` starts a task that its owner awaits or cancels.
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
        settle: Callable[[int], Awaitable[None]],
        missing: Callable[[Sequence[Gap]], None],
        saved: Callable[[], Awaitable[None]],
        unkept: Callable[[], bool],
        hold: Callable[[str, int], None],
        release: Callable[[str], None],
        begun: Callable[[], None],
        deaf: Callable[[int], bool],
        spawn: Spawn,
        dice: Callable[[], float],
    ) -> None:
        self.confirmed: int | None = None
        """The link that is caught up: positions of its pushes count."""
        self._account_id = account_id
        self._calls = calls
        self._settings = settings
        self._settle = settle
        self._saved = saved
        self._position = Position(
            account_id, calls, store, begun=begun, announced=self._announced, unkept=unkept
        )
        self._spawn = spawn
        self._pauses = [pause * settings.backoff_scale for pause in PAUSES]
        self._patience = Patience(account_id, settings.backoff_scale, dice)
        self._holding = Holding(account_id, settings.hold_most, hold, release)
        self._lists = Lists(
            account_id,
            calls,
            store,
            settings,
            hooks,
            seen=seen,
            take_in=take_in,
            missing=missing,
            pauses=self._pauses,
            complain=self._patience.complain,
            useless=self._useless,
            spawn=spawn,
        )
        self._probe = Probe(
            account_id,
            after=settings.probe_after,
            again=settings.second_look,
            ask=self._lists.ask,
            known=self._lists.known,
            compare=self._look_again,
            deaf=deaf,
            hooks=hooks,
            spawn=spawn,
            dice=dice,
        )
        self._reach = SLACK  # milliseconds before our position, where the next comparison begins
        self._link: int | None = None
        self._follows: int | None = None  # the link that brings what follows our position
        self._too_long = False
        self._due = asyncio.Event()  # there is something to compare
        self._replay = Replay(settings.replay_wait, self._due.set)
        self._again: asyncio.TimerHandle | None = None  # sets it
        self._greeting: asyncio.Task[None] | None = None
        self._work: asyncio.Task[None] | None = None

    @property
    def received(self) -> int | None:
        """See `Position.received`."""
        return self._position.received

    @property
    def began(self) -> int | None:
        """See `Position.began`."""
        return self._position.began

    def load(self, kept: Kept, began: int | None) -> None:
        """Take up the stored positions."""
        self._position.load(kept, began)
        self._reach = LOOK_BACK

    def hold(self) -> None:
        """Let what is stored beyond our position wait for the first link."""
        self._holding.begin(self.received)

    def registered(self, server_time: int | None) -> None:
        """A link is registered: a new account begins where the server is now (ms).

        Our own clock is not asked: it may be ahead.
        """
        if self.received is None and server_time is not None:
            # Positions are microseconds; what came in this very millisecond counts.
            self._position.begin(server_time * 1000 - 1, server_time)

    def start(self, link: int) -> None:
        """Send our position over a new link, and hold what it brings until that is in order."""
        self._leave()
        self._link = link
        self._patience.begin()
        self._holding.begin(self.received)
        self._greeting = self._spawn(self._greet())
        if self._work is None or self._work.done():
            self._work = self._spawn(self._catch_up())

    def skip(self, link: int) -> None:
        """The server cannot replay over ``link`` all that was missed."""
        if link == self._link:
            self._replay.end()
            self.suspend()
            self._too_long = True
            self._holding.begin(self.received)
            self._due.set()

    def lost(self, link: int) -> None:
        """A link is over; what it owes is asked for over the next one."""
        if link == self._link:
            self._leave()
        elif self.received is not None:
            # It may have been registered without our knowing, since it was dialled.
            known = self.received // 1000 - SLACK
            self._probe.other_ended(known - int(self._settings.open_timeout * 1000))

    def suspend(self) -> None:
        """Some of what the link brings is dropped: its positions say nothing any more."""
        self.confirmed = self._follows = None
        self._replay.cut()
        self._probe.end()

    def stop(self) -> None:
        """Wait for nothing any more."""
        self._replay.cut()
        if self._again is not None:
            self._again.cancel()
        self._holding.stop()

    def _leave(self) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
        if self._again is not None:
            self._again.cancel()
        self._link = None
        self._too_long = False  # the next one is told too, if it is so
        self.suspend()

    # --- what links bring -----------------------------------------------------------

    def heard(self, link: int) -> None:
        """A link brought something that people or the platform said."""
        if link == self.confirmed:
            self._probe.heard()

    def position(self, frame: Frame) -> int | None:
        """The position up to which all is here once a frame is stored; None if it says nothing.

        What a link pushes before the server's answer to our position may lie beyond a gap
        that the server is about to fill. From the answer on pushes come in order. An empty
        package says where the server is, not what we have.
        """
        pts = frame.max_pts
        if frame.link != self._follows or not frame.payloads or pts is None:
            return None
        if self._position.believes(pts, frame.timestamp):
            self._replay.came()
            return pts
        return None

    def counted(self, position: int) -> int | None:
        """See `Position.counted`."""
        return self._position.counted(position)

    def stored(self, frame: Frame, pts: int) -> None:
        """A frame with such a position is stored."""
        if frame.link == self.confirmed:
            self._position.rise(self.counted(pts))
        elif frame.link == self._follows:
            self._replay.stored(pts, more=frame.has_more)

    def marked(self, marker: Facts) -> None:
        """A marker is stored; its message is to come."""
        received = (self.received or 0) // 1000
        self._lists.markers.came(marker, self._calls.now_ms(), self.began or 0, received)

    # --- what a link replays --------------------------------------------------------

    async def _greet(self) -> None:
        """Tell the server over a new link how far we have come, until it says that it knows.

        Before that the link does not tell what follows, so the lists are compared without it:
        at once, since handlers wait for what was missed; then when a few tries have failed and
        after each further one. The position moves with them, past what no list has.
        """
        failures = 0
        while True:
            # What it replays would crowd out a comparison that goes on: that comes first.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._lists.idle.wait(), self._settings.hold_most)
            try:
                await self._tell_position()
            except NotSent:
                continue  # it has waited for a link
            except Exception as error:  # whatever an answer made of it
                self._patience.complain(error)
                # Flow control passes, and lists are under it too.
                if not isinstance(error, SendRefused) or error.error != "throttled":
                    failures += 1
                    self._replay.fail()
                    if failures == 1 or failures > len(PAUSES):
                        self._due.set()
            else:
                return
            await asyncio.sleep(self._patience.wait())

    async def _tell_position(self) -> None:
        received = self.received
        if received is None:
            build = partial(requests.ack_diff_state, await self._begin())
        else:
            build = partial(requests.ack_diff, pts=received, now_ms=self._calls.now_ms())
        if (self.received or 0) // 1000 <= (self.began or 0):
            # It is kept, or a crash of a new account would begin again at "now".
            await insist(self._pauses, self._patience.complain, self._position.keep)
        # Up to there the server counts all as received, also what an older link has not brought
        # and this one has: where both share what is pushed, or from before our beginning.
        await self._settle(self.received or 0)
        await self._lists.ask_patiently(build, heard=self._replays)

    async def _begin(self) -> str:
        """The server told no time at the registration: begin at its position."""
        state, position = await self._get_state()
        if position is not None:
            self._position.begin(position, position // 1000)
        return state

    def _replays(self, answer: Answer) -> None:
        if answer.frame.link == self._link:
            self._follow(answer)
            self._replay.begin()

    def _follow(self, answer: Answer) -> None:
        """The server knows our position; its answer is the first that follows from it."""
        if answer.frame.link == self._link:
            self._follows, self._replay.reached = self._link, None

    def _useless(self) -> None:
        """Requests say that another link is needed."""
        if self._link is not None:
            self._probe.useless(self._link)

    # --- catching up ----------------------------------------------------------------

    async def _catch_up(self) -> None:
        """Bring server and inbox to one position, whenever a link may have left them apart."""
        while True:
            await self._due.wait()
            self._due.clear()
            await self._move(self._replay.here)
            too_long = self._too_long
            try:
                link, self._replay.listed = await self._compare()
            except Exception as error:  # whatever an answer made of it: else nobody is caught up
                self._too_long = self._too_long or too_long
                self._once_more(error)
                continue
            over = not self._replay.goes_on and not self._due.is_set()  # else there is another
            if over and link is not None and link == self._follows:
                await self._caught_up(link)
            elif self._too_long:
                await asyncio.sleep(self._pauses[0])  # told again meanwhile

    async def _compare(self) -> tuple[int | None, int | None]:
        """Fetch what the lists have and the inbox has not.

        Returns the link that brings all else if it still lives, and the position up to which
        nothing is missing, each if it can be told.
        """
        link, received = self._follows, self.received
        state, through = "", None
        if self._too_long:
            link, self._too_long = self._link, False
            told = await self._try(self._get_state)
            if told is None:
                link = None
            else:
                state, through = told
        if received is not None:
            since = received // 1000
            start = since - self._reach
            if (doubt := self._probe.doubt) is not None:
                since, start = min(since, doubt + SLACK), min(start, doubt - SLACK)
            await self._fetch(since, start=start)
            self._reach = SLACK
            if through is None:
                through = self._lists.compared * 1000
        await self._saved()  # gaps, before a position passes them
        await self._settle(through or 0)  # the server counts that as received
        if state:
            move_on = partial(requests.ack_diff_state, state)
            ask = partial(self._lists.ask_patiently, move_on, heard=self._follow)
            if await self._try(ask) is None:
                link = None
        return link, through

    async def _try(self, attempt: Callable[[], Awaitable[T]]) -> T | None:
        """Ask for a step past a gap that is too long; if it fails, all of that comes once more.

        What was missed is fetched meanwhile: the lists do not depend on it.
        """
        link = self._link
        try:
            return await attempt()
        except Exception as error:  # whatever an answer made of it
            if link == self._link:  # else the next one is told, if it is so
                self._too_long = True
                self._replay.fail()
            self._once_more(error)
            return None

    async def _look_again(self, since: int | None) -> Recovery:
        """Fetch and tell what is missing, beside what the link brings: what is found comes late.

        From a time of the server (milliseconds) on, or from the last that came or was listed
        if that is earlier.
        """
        last = max((self.received or 0) // 1000, self._lists.compared)
        if not last:
            return Recovery()  # no position was ever told: nothing is known to be ours
        since = last if since is None else min(since, last)
        return await self._fetch(since, start=since - SLACK)

    async def _fetch(self, since: int, *, start: int) -> Recovery:
        """Fetch and tell what is missing since a time of the server, read back to ``start``."""
        recovery = await self._lists.compare(since, start=max(start, self.began or 0))
        self._probe.compared(start, self._lists.compared)
        return recovery

    async def _get_state(self) -> tuple[str, int | None]:
        """The server's state as text, since it goes back as it came, and its position."""
        answer = await self._lists.ask_patiently(requests.get_state)
        position = requests.pts(answer.body)
        told = number(at(answer.body, "timestamp"))
        if position is not None and not self._position.believes(position, told):
            position = None
        return answer.frame.body or "null", position

    async def _caught_up(self, link: int) -> None:
        """From here on positions count; they are kept before anything is handed on."""
        self.confirmed = link
        self._patience.end()
        self._probe.begin(link, self._lists.compared or None)
        await self._move(self._replay.listed, self._replay.reached)
        if self.confirmed == link:
            self._holding.end()

    async def _move(self, *positions: int | None) -> None:
        """All up to the highest of these positions is stored, but for what is announced."""
        highest = max((each for each in positions if each is not None), default=0)
        while (position := self.counted(highest)) is None:
            await self._saved()
        if position <= (self.received or 0):
            return
        self._position.rise(position)
        try:
            await self._position.keep()
        except Exception as error:  # the next one that is kept does as well
            complain(log, logging.WARNING, "position not kept", self._account_id, error)
        self._holding.moved(position)

    def _announced(self) -> int | None:
        return self._lists.markers.oldest

    def _once_more(self, error: Exception) -> None:
        """Compare again in a while."""
        self._patience.complain(error)
        if self._again is not None:
            self._again.cancel()
        loop, wait = asyncio.get_running_loop(), self._patience.wait()
        self._again = loop.call_later(wait, self._compare_again)

    def _compare_again(self) -> None:
        """A while is over; until our position is told and the replay is over, that compares."""
        told = self._greeting is not None and self._greeting.done()
        if self._link is not None and told and not self._replay.goes_on:
            self._due.set()
