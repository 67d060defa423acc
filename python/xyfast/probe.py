"""The probe: whether a link that is up hears what is pushed, and what another one swallowed.

A link may answer every heartbeat and push nothing (`protocol.md` 5.7), and a server that
shares pushes between the links of an account gives some of them to one that is dead without
its knowing. Neither is seen on the link, so the server's lists are looked at again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, NamedTuple

from xyfast import envelope, requests
from xyfast.errors import RequestError, SendRefused
from xyfast.instrumentation import FoundDeaf, Hooks
from xyfast.logs import logger, say
from xyfast.messages import Conversation
from xyfast.reconcile import Recovery, behind
from xyfast.tasks import Spawn

__all__ = ["Probe"]

log = logger(__name__)

_SPREAD = 0.25  # of each time: a crowd of accounts does not ask at once
_ON_ITS_WAY = 1 / 12  # of `after`: what the list shows may take so long to be pushed
_FRONT = 10  # conversations, those that changed last
_SPARING = 10.0  # of `after`, before a link is replaced whose predecessor heard nothing


class _Look(NamedTuple):
    """A comparison from ``since`` (server's milliseconds) on, at ``due`` by the loop's clock."""

    since: int
    due: float


class Probe:
    """Looks again over a link that is caught up.

    After ``after`` seconds without a push the server is asked which conversations changed last,
    in one small request. If the inbox does not have the last message of one that is not as it
    was, and nothing is pushed within a twelfth of that time, the lists are compared from there
    on, beside what the link brings: a link over which others' messages should have come is deaf,
    and ``deaf(link)`` asks for another one (and says whether it comes), as it does when the
    server says that the session is gone. Any other answer, or none, proves nothing here: whoever
    asks knows of links that answer no request. While new links are deaf as well, what they miss
    is still fetched this way, and no more than one of them is replaced in ten times ``after``.

    ``again`` seconds after the account was caught up, or after the end of another of its
    links, the lists are compared once more, from `doubt` on, silent or not: by then the server
    has given up what was dead. Links that end meanwhile do not put that off, they are looked
    after in their turn. The first time may be a quarter shorter, the second one longer.

    ``ask(build)`` sends a request and gives the body of its answer, ``known(keys)`` says which
    messages the inbox has, ``compare(since)`` fetches and tells what is missing since a time
    of the server (milliseconds; None: since the last message), or since the last message if
    that is earlier. ``dice`` gives floats in
    [0, 1), ``spawn`` starts a task that its owner awaits or cancels.
    """

    def __init__(
        self,
        account_id: str,
        *,
        after: float,
        again: float,
        ask: Callable[[Callable[..., str]], Awaitable[Any]],
        known: Callable[[Collection[str]], Awaitable[Collection[str]]],
        compare: Callable[[int | None], Awaitable[Recovery]],
        deaf: Callable[[int], bool],
        hooks: Hooks,
        spawn: Spawn,
        dice: Callable[[], float],
    ) -> None:
        self._account_id = account_id
        self._after = after
        self._again = again
        self._ask = ask
        self._known = known
        self._compare = compare
        self._deaf = deaf
        self._hooks = hooks
        self._spawn = spawn
        self._dice = dice
        self._task: asyncio.Task[None] | None = None
        self._quiet_since = 0.0  # the last push or answer, by the loop's clock as all here
        self._patience = after
        self._suspect = False  # something was missed in this silence, which may end yet
        self._pushes = 0
        self._look: _Look | None = None
        self._next: _Look | None = None  # for links that have ended since then
        self._since: int | None = None  # all up to here was compared when the link was caught up
        self._judged: list[Conversation] = []  # changed last when we looked last
        self._spare_until = 0.0
        self._quiet_until = 0.0
        self._told = False

    @property
    def doubt(self) -> int | None:
        """Time (server's milliseconds) from which a dead link may have been given pushes."""
        return min([each.since for each in (self._look, self._next) if each], default=None)

    def begin(self, link: int, since: int | None) -> None:
        """A link is caught up: compared with the lists of ``since``, or new to the server."""
        self.end()
        self._be_patient()
        self._told = False
        self._since = since
        if since is not None and self._next is not None:  # it may not have been looked after
            since = min(since, self._next.since)
        self._look = None if since is None else _Look(since, self._give_time())
        self._next = None
        self._task = self._spawn(self._run(link))

    def compared(self, start: int, end: int) -> None:
        """The lists were compared from ``start`` on, and had all up to ``end``."""

        def settled(look: _Look | None) -> _Look | None:
            if look is None or look.since < start:
                return look
            return look._replace(since=max(look.since, end))

        self._look, self._next = settled(self._look), settled(self._next)

    def heard(self) -> None:
        """The link brought a message."""
        self._quiet_since = self._now()
        self._suspect = False
        self._pushes += 1
        self._spare_until = 0.0

    def useless(self, link: int) -> None:
        """Requests over a link show that its session is gone, or none of them is answered."""
        if self._now() >= self._quiet_until:
            self._quiet_until = self._now() + self._after
            self._replace(link)

    def other_ended(self, since: int) -> None:
        """Another link of the account is over; the server may have used it from ``since`` on."""
        if self._next is not None:
            since = min(since, self._next.since)
        look = _Look(since, self._give_time())
        if self._look is None and self._task is not None:
            self._look = look
        else:
            self._next = look

    def end(self) -> None:
        """The link is over, or must be caught up anew."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, link: int) -> None:
        while True:
            try:
                await self._watch(link)
            except Exception as error:  # whatever an answer made of it: nobody else looks
                sentence = "a look at the lists failed"
                say(log, logging.WARNING, sentence, account=self._account_id, error=error)
                await asyncio.sleep(self._after)

    async def _watch(self, link: int) -> None:
        while True:
            now, look = self._now(), self._look
            silent = self._quiet_since + self._patience
            due = silent if look is None else min(silent, look.due)
            if now < due:
                await asyncio.sleep(min(due - now, self._again))  # it may move to an earlier time
                continue
            self._suspect = await self._hears_nothing() or self._suspect
            if silent <= now:
                if self._suspect:
                    self._replace(link)
                self._be_patient()
            if look is not None and look.due <= now:
                await self._look_back()

    def _be_patient(self) -> None:
        """Count the silence from now."""
        self._suspect = False
        self._quiet_since = self._now()
        self._patience = self._after * (1.0 - _SPREAD * self._dice())

    def _give_time(self) -> float:
        """When the server will have given up a link that is dead by now."""
        return self._now() + self._again * (1.0 + _SPREAD * self._dice())

    async def _look_back(self) -> None:
        await self._compare(self.doubt)
        self._look, self._next = self._next, None

    async def _hears_nothing(self) -> bool:
        """Whether the server has what this link should have brought."""
        pushes, others = self._pushes, 0
        try:
            body = await self._ask(partial(requests.list_conversations, limit=_FRONT))
        except SendRefused as error:
            return error.error == "token"
        except RequestError:
            return False
        front = envelope.conversations(body, self._account_id)
        if await self._unknown(front):
            await asyncio.sleep(self._after * _ON_ITS_WAY)
            if self._pushes > pushes:
                return False
            # What has changed may be no message at all, or one of the account's own.
            if unknown := await self._unknown(front):
                times = [one.modified for one in unknown if one.modified is not None]
                others = (await self._compare(min(times, default=None))).others
        self._judged = front
        return others > 0 and self._pushes == pushes

    async def _unknown(self, front: list[Conversation]) -> list[Conversation]:
        """Those that have changed since and whose last message is not in the inbox."""
        since = self._since or 0
        changed = [
            one
            for one in front
            if one not in self._judged and (one.modified is None or one.modified >= since)
        ]
        return await behind(changed, self._known)

    def _replace(self, link: int) -> None:
        """Ask for another link, but not for one after the other."""
        spared = self._now() < self._spare_until
        replaced = not spared and self._deaf(link)
        if replaced:
            self._spare_until = self._now() + _SPARING * self._after
            sentence = "link hears nothing, it is replaced"
        elif spared:
            sentence = "new link hears nothing either; what it misses is fetched"
        else:
            sentence = "link hears nothing and cannot be replaced; what it misses is fetched"
        if replaced or not self._told:
            say(log, logging.WARNING, sentence, account=self._account_id)
        self._told = self._told or not replaced
        self._hooks(FoundDeaf(self._account_id, replaced))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
