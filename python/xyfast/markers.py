"""Markers: the server says that a message exists, and the message is to come by itself."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Sequence

from xyfast.config import SLACK
from xyfast.facts import Facts
from xyfast.logs import logger, say
from xyfast.messages import Gap
from xyfast.reconcile import Reconciler, Recovery
from xyfast.tasks import Spawn

__all__ = ["Markers"]

log = logger(__name__)

_QUIET = 60.0  # seconds between two lines about markers that are too many
_MOST = 1000  # awaited at once; a flood of markers takes no more memory
_OLD = 3_600_000  # milliseconds before our position from which on a marker is history


class Markers:
    """Waits for the messages that markers announce, and fetches those that do not come.

    A marker whose message never arrives is a hint of a loss (`protocol.md` 8.6). ``wait`` is
    in seconds. ``caught_up`` is cleared while the account's lists are compared: they go
    first, and may bring what was announced. ``known(keys)`` says which messages the inbox has,
    ``tell`` gets what came of a fetch, with a `Gap` for one that cannot be had; ``missing`` gets
    the gaps of those that are too many to be fetched. ``spawn``
    starts a task that its owner awaits or cancels.
    """

    def __init__(
        self,
        account_id: str,
        reconciler: Reconciler,
        *,
        wait: float,
        caught_up: asyncio.Event,
        known: Callable[[Collection[str]], Awaitable[Collection[str]]],
        tell: Callable[[Recovery], None],
        missing: Callable[[Sequence[Gap]], None],
        spawn: Spawn,
    ) -> None:
        self._account_id = account_id
        self._reconciler = reconciler
        self._wait = wait
        self._caught_up = caught_up
        self._known = known
        self._tell = tell
        self._missing = missing
        self._spawn = spawn
        self._awaited: dict[str, int] = {}  # with the times of their messages
        self._turn = asyncio.Lock()
        self._too_many = 0  # since the last line about them
        self._told_at = -math.inf

    @property
    def oldest(self) -> int | None:
        """The lowest time (milliseconds) of a message that is awaited."""
        return min(self._awaited.values(), default=None)

    def came(self, marker: Facts, now: int, began: int = 0, received: int = 0) -> None:
        """A marker was stored; ``now`` (milliseconds) is its time if it bears none.

        Nothing from before ``began`` is announced or fetched, nor from long before
        ``received``, up to which everything is stored: a server tells of old messages in
        bulk, and one that the inbox has forgotten would be handled again.
        """
        key, conversation_id = marker.message_id, marker.conversation_id
        if key is None or conversation_id is None or key in self._awaited:
            return
        time = now if marker.time_ms is None else marker.time_ms
        if time < max(began, received - _OLD):
            return
        if len(self._awaited) >= _MOST:
            self._pass_over(conversation_id, time)
            return
        self._awaited[key] = time
        self._spawn(self._await(key, conversation_id, max(time - SLACK, began), time))

    def _pass_over(self, conversation_id: str, time: int) -> None:
        """Say so now and then: how many there are is up to the server."""
        reason = "too many messages are announced at once"
        self._missing([self._gap(conversation_id, time, reason)])
        self._too_many += 1
        now = asyncio.get_running_loop().time()
        if now >= self._told_at + _QUIET:
            account, count = self._account_id, self._too_many
            sentence = "messages may be missing"
            say(log, logging.WARNING, sentence, account=account, reason=reason, count=count)
            self._told_at, self._too_many = now, 0

    async def _await(self, key: str, conversation_id: str, start: int, time: int) -> None:
        try:
            await asyncio.sleep(self._wait)
            async with self._turn:  # so that no more than one is ahead of the lists
                await self._caught_up.wait()
                await self._fetch(key, conversation_id, start, time)
        finally:
            del self._awaited[key]

    async def _fetch(self, key: str, conversation_id: str, start: int, time: int) -> None:
        if await self._known([key]):
            return
        found = await self._reconciler.conversation(conversation_id, start, time)
        if not found.gaps and not await self._known([key]):
            reason = "a message was announced and is not in the history"
            found.gaps.append(self._gap(conversation_id, time, reason))
        self._tell(found)

    def _gap(self, conversation_id: str, time: int, reason: str) -> Gap:
        return Gap(
            account_id=self._account_id,
            start=time - SLACK,
            end=time,
            reason=reason,
            conversation_id=conversation_id,
        )
