"""The server's lists of one account: asked with patience, taken in, and what came of it told."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from xyfast import requests
from xyfast._core import DedupCache
from xyfast.calls import Answer, Calls
from xyfast.config import SLACK, Settings
from xyfast.errors import RequestError, SendRefused, SendUnknown
from xyfast.instrumentation import Hooks, Recovered
from xyfast.logs import logger, say
from xyfast.markers import Markers
from xyfast.messages import Gap
from xyfast.reconcile import Reconciler, Recovery
from xyfast.retry import LONGEST_PAUSE
from xyfast.store import Store
from xyfast.tasks import Spawn

__all__ = ["Lists", "insist"]

log = logger(__name__)

T = TypeVar("T")


class Lists:
    """Compares the inbox with them, over however many links that takes.

    ``seen`` is the dedup window, ``take_in`` commits what was fetched and gives the keys of
    what is new, ``missing`` keeps and tells what cannot be fetched. ``pauses`` are the seconds
    between tries, ``complain`` is told of each that fails, ``useless`` is called when another
    link is needed: the session is gone, or this one answers nothing. ``spawn`` starts a task
    that its owner awaits or cancels.
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
        pauses: Sequence[float],
        complain: Callable[[Exception], None],
        useless: Callable[[], None],
        spawn: Spawn,
    ) -> None:
        self._account_id = account_id
        self._calls = calls
        self._store = store
        self._hooks = hooks
        self._seen = seen
        self._missing = missing
        self._useless = useless
        self._longest_pause = LONGEST_PAUSE * settings.backoff_scale
        self._complain = complain
        self._insist = partial(insist, pauses, complain)
        self.compared = 0
        """The time (server's milliseconds) up to which lists were read; 0 before the first."""
        self._shown = 0, asyncio.get_running_loop().time()  # the newest change in one, and when
        self.idle = asyncio.Event()
        """Cleared while the account is compared."""
        self.idle.set()
        self._reconciler = Reconciler(
            account_id,
            ask=self._ask_for_list,
            known=self.known,
            take_in=take_in,
            pages=settings.history_pages,
            conversations=settings.history_conversations,
            pauses=pauses,
            complain=complain,
        )
        self.markers = Markers(
            account_id,
            self._reconciler,
            wait=settings.marker_wait,
            caught_up=self.idle,
            known=self.known,
            tell=self._tell,
            missing=missing,
            spawn=spawn,
        )

    async def compare(self, since: int, *, start: int) -> Recovery:
        """See `Reconciler.account`, up to now; what came of it is told."""
        now, shown = self._calls.now_ms(), self._shown_now()
        self.idle.clear()
        try:
            recovery = await self._reconciler.account(since, now, start=start)
            self._tell(recovery)
        finally:
            self.idle.set()
        newest = min(recovery.newest, now)  # one odd entry proves nothing
        if newest > shown:
            self._shown = newest, recovery.shown
        self.compared = max(min(max(newest, shown), now) - SLACK, start)
        return recovery

    def _shown_now(self) -> int:
        """What the server's clock (milliseconds) shows at least, by the lists of earlier.

        What it tells may be ahead, and a position that follows it pass what comes next.
        """
        shown, at = self._shown
        return shown + int((asyncio.get_running_loop().time() - at) * 1000)

    async def ask(self, build: Callable[..., str]) -> Any:
        """Ask for a list, over the next link if the answer is lost with one."""
        try:
            return (await self._ask(build)).body
        except SendUnknown:
            if not await self._answers():
                self._useless()
            raise

    async def ask_patiently(
        self, build: Callable[..., str], *, heard: Callable[[Answer], None] | None = None
    ) -> Answer:
        """Ask until the server knows the session; that one is gone costs the link.

        So does a link that answers nothing at all. Another one is waited for: the same one
        would say the same again.
        """
        while True:
            link = self._calls.link
            try:
                return await self._ask(build, heard)
            except SendRefused as error:
                if error.error != "token":
                    raise
                trouble: RequestError = error
            except SendUnknown as error:
                if await self._answers():
                    raise
                trouble = error
            self._complain(trouble)
            self._useless()
            if self._calls.link in (link, None):
                await self._calls.next_link(self._longest_pause)

    async def _answers(self) -> bool:
        """Whether a request that any server answers is answered, however that is."""
        try:
            await self._ask(partial(requests.list_conversations, limit=1))
        except SendRefused:
            pass
        except RequestError:
            return False
        return True

    async def _ask_for_list(self, build: Callable[..., str]) -> Any:
        return (await self.ask_patiently(build)).body

    async def _ask(
        self, build: Callable[..., str], heard: Callable[[Answer], None] | None = None
    ) -> Answer:
        while True:
            losses = self._calls.losses
            try:
                return await self._calls.ask(build, heard=heard)
            except SendUnknown:
                if losses == self._calls.losses:
                    raise

    async def known(self, keys: Collection[str]) -> Collection[str]:
        """Which messages the inbox has; waits while it cannot be read."""
        known = {key for key in keys if key in self._seen}
        if rest := [key for key in keys if key not in known]:
            known |= set(await self._insist(partial(self._store.known, self._account_id, rest)))
        return known

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


async def insist(
    pauses: Sequence[float],
    complain: Callable[[Exception], None],
    attempt: Callable[[], Awaitable[T]],
) -> T:
    """Ask the store until it works: it is the user's code, so what it raises is not foreseen."""
    for pause in itertools.chain(pauses, itertools.repeat(pauses[-1])):
        try:
            return await attempt()
        except Exception as error:
            complain(error)
            await asyncio.sleep(pause)
    raise AssertionError("there is always another pause")
