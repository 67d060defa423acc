"""What the server's lists have of an account and we have not: found, fetched, told.

A replay may bring all that was missed, some of it or nothing. The list of conversations and
the history of each (`protocol.md` 9.3, 9.4) say what there was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from xyfast import envelope, history, requests
from xyfast.config import SLACK
from xyfast.errors import NotSent, RequestError, SendRefused
from xyfast.logs import logger, say
from xyfast.messages import Conversation, Gap

__all__ = ["Reconciler", "Recovery", "behind"]

log = logger(__name__)

_LISTED = 50  # conversations in a page
_PAGE = 20  # messages in a page
_KNOWN = 50  # times as many pages that bring nothing new


@dataclass(slots=True)
class Recovery:
    """What came of it: new messages, the conversations they are of, and what may be missing.

    ``others`` of the messages are not the account's own. ``newest`` is the time (milliseconds)
    of the newest change that the list of conversations showed first, 0 for none, and ``shown``
    the loop's time of that: all up to then was in the lists.
    """

    messages: int = 0
    others: int = 0
    conversations: int = 0
    gaps: list[Gap] = field(default_factory=list)
    newest: int = field(default=0, compare=False)
    shown: float = field(default=0.0, compare=False)


class _Span(NamedTuple):
    """What to look at: from ``start`` to ``end``; it is enough to get back to ``since``."""

    start: int
    since: int
    end: int


class _Entry(NamedTuple):
    key: str
    time: int | None
    sender: str | None
    payload: str

    def __repr__(self) -> str:
        return f"_Entry({self.key!r})"


class Reconciler:
    """Compares one account with the server's lists, one request at a time.

    ``ask(build)`` sends the request that ``build(mid=...)`` makes and gives the answer's
    body; ``known(keys)`` says which messages the inbox has; ``take_in(payloads)`` commits
    messages, oldest first, and gives the keys of the new ones. ``pauses`` are the seconds
    between tries of a request, ``complain`` is told of each that fails. At most ``pages`` pages
    that bring something new are read of a conversation, and ``conversations`` conversations
    whose last message is not here; what lies beyond is a `Gap`.
    """

    def __init__(
        self,
        account_id: str,
        *,
        ask: Callable[[Callable[..., str]], Awaitable[Any]],
        known: Callable[[Collection[str]], Awaitable[Collection[str]]],
        take_in: Callable[[Iterable[str]], Awaitable[Collection[str]]],
        pages: int,
        conversations: int,
        pauses: Sequence[float],
        complain: Callable[[Exception], None],
    ) -> None:
        self._account_id = account_id
        self._ask = ask
        self._known = known
        self._take_in = take_in
        self._pages = pages
        self._conversations = conversations
        self._pauses = pauses
        self._complain = complain
        self._turn = asyncio.Lock()

    async def account(self, since: int, end: int, *, start: int) -> Recovery:
        """Take in what the account has missed from ``since`` to ``end`` (milliseconds).

        Times of a server may differ a little, so pages are read back to ``start``. That the
        last message of a conversation is known proves nothing of those before it: a replay
        may begin too late, and a push comes while what precedes it is still missing.
        """
        recovery = Recovery()
        span = _Span(start, since, end)
        async with self._turn:
            for each in await self._changed(recovery, span):
                until = end if each.modified is None else max(each.modified, start)
                last, here = each.last_message_id, span._replace(end=until)
                await self._look(recovery, each.conversation_id, here, last)
        return recovery

    async def conversation(self, conversation_id: str, start: int, end: int) -> Recovery:
        """Take in what one conversation has missed from ``start`` to ``end``."""
        recovery = Recovery()
        async with self._turn:
            await self._look(recovery, conversation_id, _Span(start, end, end))
        return recovery

    # --- which conversations --------------------------------------------------------

    async def _changed(self, recovery: Recovery, span: _Span) -> list[Conversation]:
        """List the conversations that changed since ``start``, first those that miss the last.

        Of the others nothing may be missing, though very many have changed: only the length of
        the list bounds them. One that changes while pages are read moves to the front, where no
        later page has it. So the front is read again until one page is enough, or it is as it
        was.
        """
        found: dict[str, Conversation] = {}
        missing: set[str] = set()  # those whose last message is not here
        reason: str | None = None
        front: list[Conversation] | None = None
        floor, cursor, pages = span.start, requests.NEWEST, 0
        while True:
            try:
                build = partial(requests.list_conversations, cursor=cursor, limit=_LISTED)
                body = await self._patiently(build)
            except RequestError as error:
                reason = _why(error)
                break
            pages += 1
            page = envelope.conversations(body, self._account_id)
            changed = [one for one in page if one.modified is None or one.modified >= floor]
            if cursor == requests.NEWEST:
                if page == front:
                    break
                front, top = page, max([floor, *(one.modified or 0 for one in changed)])
                if pages == 1:
                    recovery.newest = max((one.modified or 0 for one in page), default=0)
                    recovery.shown = asyncio.get_running_loop().time()
            found.update((one.conversation_id, one) for one in changed)
            missing.difference_update(one.conversation_id for one in changed)
            missing.update(one.conversation_id for one in await self._behind(changed))
            older = requests.older(body, cursor)
            if len(changed) < len(page) or older is None:
                if cursor == requests.NEWEST:
                    break
                floor, cursor = top, requests.NEWEST
                continue
            if older == cursor:
                reason = "the list of conversations does not go on"
                break
            cursor = older
            if len(missing) >= self._conversations:
                reason = f"more than {self._conversations} conversations have changed"
                break
            if pages >= self._conversations:
                reason = "the list of conversations does not end"
                break
        if reason is not None:
            recovery.gaps.append(self._gap(span.start, min(cursor, span.end), reason))
        return sorted(found.values(), key=lambda one: one.conversation_id not in missing)

    async def _behind(self, listed: Sequence[Conversation]) -> list[Conversation]:
        """Those whose last message is not here, once all that was pushed before is stored."""
        if not await behind(listed, self._known):
            return []
        await self._take_in(())
        return await behind(listed, self._known)

    # --- one conversation -----------------------------------------------------------

    async def _look(
        self, recovery: Recovery, conversation_id: str, span: _Span, last: str | None = None
    ) -> None:
        """Fetch what a conversation has; whatever its answers do to us costs no other one."""
        try:
            await self._fetch(recovery, conversation_id, span, last)
        except Exception as error:
            sentence = "history could not be read"
            say(log, logging.ERROR, sentence, account=self._account_id, error=error)
            gap = self._gap(span.start, span.end, "its history cannot be read", conversation_id)
            recovery.gaps.append(gap)

    async def _fetch(
        self, recovery: Recovery, conversation_id: str, span: _Span, last: str | None
    ) -> None:
        """Read pages back to the start, and commit what they hold.

        Pages of known messages alone are passed over until one reaches back to ``since``,
        fifty times as many as count: a replay has brought them, and where it began too late,
        what is missing lies behind them. An unknown message from well before ``since`` says that
        more may be missing there. ``last`` names the message that the list shows.
        """
        entries: dict[str, _Entry] = {}  # the newest first
        known: set[str] = set()
        reached = shown = False
        reason: str | None = None
        cursor = oldest = requests.NEWEST
        pages = passed = 0
        since = span.since
        while True:
            if pages == self._pages or passed == _KNOWN * self._pages:
                reason = f"more than {max(pages, passed)} pages of history"
                break
            build = partial(requests.history, conversation_id, cursor=cursor, limit=_PAGE)
            try:
                body = await self._patiently(build)
            except RequestError as error:
                reason = _why(error)
                break
            page = [entry for model in history.models(body) if (entry := _entry(model))]
            inside = [each for each in page if not _before(each, span.start)]
            here = set(await self._known([each.key for each in page]))
            lowest = min([each.time for each in inside if each.time is not None], default=oldest)
            new = [each for each in inside if each.key not in here]
            if since > span.start and any(_before(each, since - SLACK) for each in new):
                since, reached = span.start, False
            reached = reached or any(_before(each, since) for each in page)
            if reached or lowest == oldest or new:
                pages += 1
                entries.update((each.key, each) for each in inside)
                known |= here
            else:
                passed += 1
            shown = shown or any(each.key == last for each in page)
            oldest = min(lowest, oldest)
            older = requests.older(body, cursor)
            if len(inside) < len(page) or older is None:
                break
            if older == cursor:
                reason = "the history does not go on"
                break
            cursor = older
        await self._commit(recovery, list(entries.values()), known)
        if reason is not None and not reached:
            end = min(oldest, span.end)
            recovery.gaps.append(self._gap(span.start, end, reason, conversation_id))
        elif not (reason or shown) and last is not None and not await self._known([last]):
            reason = "a message is listed and is not in the history"
            recovery.gaps.append(self._gap(span.start, span.end, reason, conversation_id))

    async def _commit(self, recovery: Recovery, entries: list[_Entry], known: set[str]) -> None:
        """Commit from the oldest new one on: what waits behind it takes its place anew."""
        while entries and entries[-1].key in known:
            entries.pop()
        if entries:
            new = await self._take_in([each.payload for each in reversed(entries)])
            recovery.messages += len(new)
            senders = {each.key: each.sender for each in entries}
            own = self._account_id
            recovery.others += sum(senders.get(key, own) != own for key in new)
            recovery.conversations += bool(new)

    # --- requests -------------------------------------------------------------------

    async def _patiently(self, build: Callable[..., str]) -> Any:
        """Ask until there is an answer; raises what is no use to try again, or too often.

        Flow control and a link that is away pass.
        """
        failures = tries = 0
        while True:
            try:
                return await self._ask(build)
            except NotSent:
                continue  # it has waited for a link
            except SendRefused as error:
                if error.error == "rejected":
                    raise
                if error.error != "throttled":
                    failures += 1
                self._complain(error)
                if failures > len(self._pauses):
                    raise
            except RequestError as error:
                failures += 1
                self._complain(error)
                if failures > len(self._pauses):
                    raise
            await asyncio.sleep(self._pauses[min(tries, len(self._pauses) - 1)])
            tries += 1

    def _gap(self, start: int, end: int, reason: str, conversation_id: str | None = None) -> Gap:
        return Gap(
            account_id=self._account_id,
            start=start,
            end=max(start, end),
            reason=reason,
            conversation_id=conversation_id,
        )


async def behind(
    listed: Sequence[Conversation], known: Callable[[Collection[str]], Awaitable[Collection[str]]]
) -> list[Conversation]:
    """Those whose last message is not in the inbox; ``known(keys)`` says which messages are."""
    keys = [key for one in listed if (key := one.last_message_id) is not None]
    here = await known(keys) if keys else ()
    return [one for one in listed if one.last_message_id not in here]


def _entry(model: object) -> _Entry | None:
    key = history.message_id(model)
    if key is None:
        return None
    return _Entry(key, history.time_ms(model), history.sender_id(model), history.payload(model))


def _before(entry: _Entry, time: int) -> bool:
    return entry.time is not None and entry.time < time


def _why(error: RequestError) -> str:
    if isinstance(error, SendRefused):
        return f"the server refuses to list it: {error.reason or error.code}"
    return "the server does not answer"
