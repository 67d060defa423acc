"""All that one account sends: in order, at a bearable pace, and with a known outcome.

A message waits in line for its turn, is written, and is answered. Where no answer comes, the
conversation's history says whether the server has taken it; nothing is sent again before
that is known. ``durable`` messages are in the store before they are written.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from xyfast import envelope, requests
from xyfast._core import DedupCache, Frame
from xyfast.calls import Calls
from xyfast.config import Settings
from xyfast.errors import (
    ConfigError,
    NotSent,
    RequestError,
    SendRefused,
    SendUnknown,
    StoreError,
    XyfastError,
)
from xyfast.facts import Facts, content_object, notice
from xyfast.instrumentation import Hooks, SendFinished, SendOutcome
from xyfast.logs import say
from xyfast.messages import Sent
from xyfast.pace import Line
from xyfast.reading import SUFFIX
from xyfast.retry import PAUSES
from xyfast.store import Posted, PostState, Store

__all__ = ["Outbox"]

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 60.0  # seconds, where another link may help, or time
_STORE_PAUSE = 1.0  # seconds until a store that failed is tried again
_MOST_UNKNOWN = 1000  # messages without an outcome that are kept in mind
_MOST_KNOWN = 1000  # durable messages with one that a new run keeps in mind


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class _Letter:
    """A message on its way.

    ``kept`` says that the store has it, ``says`` is what its echo will say. ``turn`` is done
    when it may be written, ``sent`` when the answer or an echo says that the server has it.
    ``since`` and ``until`` are the server's time of the first write and of giving up, ``wrote``
    our loop's of the last one. ``outcome`` is what those are told who wait, ``wanted`` is false
    when nobody does.
    """

    post: Posted
    durable: bool
    kept: bool
    asked: float
    says: Facts
    turn: asyncio.Future[None] = field(default_factory=_future)
    sent: asyncio.Future[Sent] = field(default_factory=_future)
    outcome: asyncio.Future[Sent | XyfastError] = field(default_factory=_future)
    work: asyncio.Task[None] = field(init=False)
    wrote: float | None = None
    since: int | None = None
    until: int | None = None
    wanted: bool = True

    def __post_init__(self) -> None:
        if self.post.state == "out":  # written by an earlier run
            self.since = self.post.created if self.post.time is None else self.post.time

    @property
    def lane(self) -> str:
        """The conversation."""
        return self.post.conversation_id

    def echoes(self, facts: Facts, skew: int) -> bool:
        """Whether a message of our own may be this one; ``skew`` is milliseconds."""
        if self.since is None or facts.time_ms is None or facts.conversation_id != self.lane:
            return False
        if facts.time_ms < self.since - skew:
            return False
        if self.until is not None and facts.time_ms > self.until + skew:
            return False
        if self.says.images:  # the text of a picture is a placeholder
            return facts.images == self.says.images
        # Nobody knows whether the platform keeps blanks at the ends.
        return (facts.text or "").strip() == (self.says.text or "").strip()


class Outbox:
    """Sends for one account.

    ``spawn`` starts a task that its owner cancels after `close`, ``clock`` gives seconds since
    the epoch.
    """

    def __init__(
        self,
        account_id: str,
        calls: Calls,
        store: Store,
        settings: Settings,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        clock: Callable[[], float],
        hooks: Hooks,
    ) -> None:
        self._account_id = account_id
        self._calls = calls
        self._store = store
        self._settings = settings
        self._spawn = spawn
        self._clock = clock
        self._hooks = hooks
        self._loop = asyncio.get_running_loop()
        self._uuids = requests.Uuids()
        self._skew = int(settings.clock_skew * 1000)
        self._pauses = [pause * settings.backoff_scale for pause in PAUSES]
        self._longest_pause = _LONGEST_PAUSE * settings.backoff_scale
        self._line: Line[_Letter] = Line(
            send=(settings.send_rate, settings.send_burst),
            conversation=(settings.conversation_rate, settings.conversation_burst),
        )
        self._out: dict[str, _Letter] = {}
        """By uuid, what was written and may be at the server: the last one last."""
        self._named: dict[str, _Letter] = {}
        """By name, the durable messages whose outcome is open."""
        self._ours = DedupCache(settings.dedup_size, settings.dedup_ttl)
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # --- what the driver tells ------------------------------------------------------

    async def load(self) -> None:
        """Take up the durable messages that an earlier run left, and know those it sent."""
        for post in await self._store.settled(self._account_id, _MOST_KNOWN):
            self._uuids.follow(post.uuid)
            if post.message_id is not None:
                self._ours.add(post.message_id)
        for post in await self._store.unsent(self._account_id):
            self._uuids.follow(post.uuid)
            self._begin(post, durable=True, kept=True)

    def pump(self) -> None:
        """Give turns to whoever may write now; to be called when a link can be written to."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed or not self._calls.usable:
            return
        while (letter := self._line.take(self._loop.time())) is not None:
            letter.turn.set_result(None)
        if (ready := self._line.next()) is not None:
            self._timer = self._loop.call_at(ready, self.pump)

    def claims(self, facts: Facts) -> bool:
        """Whether this client sent a message of the account's own.

        One that may be a message still without an answer answers it.
        """
        if not facts.is_self or facts.message_id is None:
            return False
        if facts.message_id in self._ours:
            return True
        fitting = (
            letter for letter in reversed(self._out.values()) if letter.echoes(facts, self._skew)
        )
        if (letter := next(fitting, None)) is None:
            return False
        self._taken(letter, facts.message_id, facts.time_ms)
        return True

    def close(self) -> None:
        """Send nothing more; what is durable stays in the store."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    # --- what users ask for ---------------------------------------------------------

    async def send(
        self,
        conversation_id: str,
        peer_id: str,
        content: str,
        *,
        durable: bool = False,
        name: str | None = None,
    ) -> Sent:
        """Send a content (JSON text); see `Client.send_text`."""
        if name is not None and not durable:
            raise ConfigError("a name is for durable messages: say durable=True")
        if self._closed:
            raise self._not_sent("the client is closed")
        letter = None if name is None else self._named.get(name)
        if letter is None:
            uuid = self._uuids.next(int(self._clock() * 1000))
            post = Posted(
                account_id=self._account_id,
                name=name or uuid,
                conversation_id=conversation_id.removesuffix(SUFFIX),
                peer_id=peer_id,
                content=content,
                uuid=uuid,
                created=self._now_ms(),
            )
            letter = self._begin(post, durable=durable)
        told = await self._told(letter)
        if isinstance(told, Sent):
            return told
        raise told

    async def _told(self, letter: _Letter) -> Sent | XyfastError:
        """Wait for an outcome; for that of a durable message as long as for any other."""
        settings = self._settings
        try:
            timeout = settings.send_timeout if letter.durable else None
            await asyncio.wait({letter.outcome}, timeout=timeout)
            if self._may_be_out(letter):
                patience = 3 * settings.request_timeout + 2 * settings.history_delay
                await asyncio.wait({letter.outcome}, timeout=patience)
        except asyncio.CancelledError:
            if not letter.durable:
                letter.wanted = False
                if not self._may_be_out(letter):
                    letter.work.cancel()
            raise
        return letter.outcome.result() if letter.outcome.done() else self._undecided(letter)

    def _begin(self, post: Posted, *, durable: bool, kept: bool = False) -> _Letter:
        """Take a place in line, at once; a task of its own sees the message through."""
        letter = _Letter(
            post=post,
            durable=durable,
            kept=kept,
            asked=self._loop.time(),
            says=notice(None, {}, content_object(post.content), self._account_id),
        )
        if durable:
            self._named[post.name] = letter
        if letter.since is not None:
            self._out[post.uuid] = letter
        self._line.put(letter.lane, letter)
        self.pump()
        letter.work = self._spawn(self._work(letter))
        letter.work.add_done_callback(partial(self._ended, letter))
        return letter

    async def _work(self, letter: _Letter) -> None:
        """See a message through: once it is out, its conversation waits for the outcome."""
        told: Sent | XyfastError
        try:
            told = await (self._settle if letter.durable else self._deliver)(letter)
        except (RequestError, StoreError) as error:
            told = error
        if not letter.outcome.done():
            letter.outcome.set_result(told)

    def _ended(self, letter: _Letter, _: asyncio.Task[None]) -> None:
        """The work is over, or was cancelled, maybe before it began."""
        if letter.durable:
            del self._named[letter.post.name]
        if not letter.outcome.done():
            letter.outcome.set_result(self._undecided(letter))
        self._line.leave(letter.lane, letter)
        self.pump()

    def _may_be_out(self, letter: _Letter) -> bool:
        return letter.post.uuid in self._out

    def _undecided(self, letter: _Letter) -> NotSent | SendUnknown:
        stays = "; it stays in the outbox" if letter.durable else ""
        if self._may_be_out(letter):
            return self._unknown(f"no answer came{stays}")
        return self._not_sent(f"it did not go out{stays}")

    # --- durable messages -----------------------------------------------------------

    async def _settle(self, letter: _Letter) -> Sent:
        """Deliver and record.

        Raises `SendRefused`, `SendUnknown` if it will never be known, and `StoreError` if it is
        not kept.
        """
        if not letter.kept:
            letter.post = await self._store.post(letter.post)
        post = letter.post
        if post.state == "sent":  # asked for by this name before
            return Sent(message_id=post.message_id, uuid=post.uuid, time=post.time)
        if post.state == "refused":
            raise SendRefused(
                f"account {self._account_id}: what was sent by this name was refused before",
                account_id=self._account_id,
            )
        if post.state == "unknown":
            raise self._unknown("what was sent by this name was never confirmed")
        try:
            sent = await self._deliver(letter)
        except SendRefused as error:
            say(log, logging.WARNING, "refused", account=self._account_id, reason=error.error)
            await self._mark(letter, "refused", error)
            raise
        except SendUnknown as error:
            say(log, logging.WARNING, "never confirmed", account=self._account_id, reason=error)
            await self._mark(letter, "unknown", error)
            raise
        await self._mark(letter, "sent", sent)
        return sent

    async def _mark(
        self, letter: _Letter, state: PostState, told: Sent | XyfastError | None = None
    ) -> None:
        """Record a state, however long the store fails; nobody is kept waiting for the last."""
        post = replace(letter.post, state=state)
        if state == "out":
            post = replace(post, time=self._now_ms())
        elif isinstance(told, Sent):
            post = replace(post, message_id=told.message_id, time=told.time)
        while True:
            try:
                await self._store.mark(
                    post.account_id,
                    post.name,
                    state,
                    message_id=post.message_id,
                    time=post.time,
                )
            except StoreError as error:
                say(log, logging.ERROR, "not recorded", account=post.account_id, reason=error)
                if told is not None and not letter.outcome.done():
                    letter.outcome.set_result(told)
                await asyncio.sleep(_STORE_PAUSE)
            else:
                letter.post = post
                return

    # --- one message ----------------------------------------------------------------

    async def _deliver(self, letter: _Letter) -> Sent:
        """Bring a message from its place in line to its outcome, and tell observers.

        Raises `NotSent`, `SendRefused` or `SendUnknown`; of these a durable message knows
        `SendRefused` if it will never be taken, and `SendUnknown` if its history will never
        say.
        """
        outcome: SendOutcome | None = None if letter.durable else "cancelled"
        try:
            sent = await self._until_known(letter)
            outcome = "sent"
        except NotSent:
            outcome = "not sent"
            raise
        except SendRefused:
            outcome = "refused"
            raise
        except SendUnknown:
            outcome = "unknown"
            raise
        finally:
            if outcome is not None:
                seconds = self._loop.time() - letter.asked
                self._hooks(SendFinished(self._account_id, outcome, seconds))
            self._give_up(letter)
        return sent

    async def _until_known(self, letter: _Letter) -> Sent:
        pauses = iter(self._pauses)
        while True:
            await self._turn(letter)
            try:
                await self._try(letter)
            except SendRefused as error:
                self._out.pop(letter.post.uuid, None)
                if error.error == "throttled":
                    pause = next(pauses, self._pauses[-1] if letter.durable else None)
                    if pause is None or not letter.wanted:
                        raise
                    await asyncio.sleep(pause)
                elif letter.durable and error.error in ("token", "limit"):
                    await self._calls.next_link(self._longest_pause)
                else:
                    raise
            except NotSent:
                self._out.pop(letter.post.uuid, None)
                if not letter.durable:
                    raise
            if letter.sent.done():
                return letter.sent.result()
            letter.turn = _future()
            self._line.back(letter.lane, letter)
            self.pump()

    async def _turn(self, letter: _Letter) -> None:
        """Wait for the turn; what is cancelled here has surely not been written."""
        timeout = self._settings.send_timeout
        left = None if letter.durable else max(letter.asked + timeout - self._loop.time(), 0.0)
        await asyncio.wait({letter.turn}, timeout=left)
        if not letter.turn.done():
            what = "its turn did not come" if self._calls.usable else "no link"
            raise self._not_sent(f"{what} within {timeout:g} s")

    async def _try(self, letter: _Letter) -> None:
        """Write a message and find out; returns without a result if there was no link.

        Raises `SendRefused`, `NotSent` if the server has surely not taken it, and
        `SendUnknown`.
        """
        if letter.wrote is None and letter.since is not None:
            letter.wrote = self._loop.time()  # or earlier
            await self._look(letter)
            return
        if letter.durable and letter.post.state == "queued":
            await self._mark(letter, "out")
        post = letter.post
        build = partial(
            requests.send,
            post.content,
            conversation_id=post.conversation_id,
            peer_id=post.peer_id,
            own_id=self._account_id,
            uuid=post.uuid,
        )
        call = self._calls.write(build, heard=partial(self._heard, letter))
        if call is None:
            return
        letter.wrote = self._loop.time()
        if letter.since is None:
            letter.since = self._now_ms()
        self._out[post.uuid] = letter
        await self._calls.wait(call, letter.sent)
        if letter.sent.done():
            return
        try:
            self._calls.read(call)
        except SendUnknown:
            await self._look(letter)
        except SendRefused as error:
            if error.error != "server" or not letter.durable:
                raise
            await self._look(letter)  # what broke may have broken after taking it

    def _heard(self, letter: _Letter, answer: Frame) -> None:
        """The server has taken a message; its echo may be the very next frame."""
        body, headers = json.loads(answer.body or "null"), json.loads(answer.headers)
        self._taken(letter, requests.message_id(body), requests.server_time(headers))

    def _taken(self, letter: _Letter, message_id: str | None, time: int | None) -> None:
        if message_id is not None:
            self._ours.add(message_id)
        self._out.pop(letter.post.uuid, None)
        if not letter.sent.done():
            sent = Sent(message_id=message_id, uuid=letter.post.uuid, time=time)
            letter.sent.set_result(sent)

    def _give_up(self, letter: _Letter) -> None:
        """Keep in mind, within bounds, what is out without an outcome: its echo may come."""
        letter.until = self._now_ms()
        if len(self._out) > _MOST_UNKNOWN:
            oldest = next((each for each in self._out.values() if each.until is not None), None)
            if oldest is not None:
                del self._out[oldest.post.uuid]

    # --- what the server has --------------------------------------------------------

    async def _look(self, letter: _Letter) -> None:
        """Find a message without an answer in the history, or in an echo.

        Asked twice, since nobody knows how soon history shows what was sent. Raises
        `NotSent` if it is surely not there, `SendUnknown` if the history cannot be read.
        """
        assert letter.wrote is not None
        rest = letter.wrote + self._settings.history_delay - self._loop.time()
        for _ in range(2):
            await asyncio.wait({letter.sent}, timeout=max(rest, 0.0))
            if not letter.sent.done():
                await self._read_history(letter)
            if letter.sent.done():
                return
            rest = self._settings.history_delay
        raise self._not_sent("the server has not taken it")

    async def _read_history(self, letter: _Letter) -> None:
        """Read history until a message is found or surely missing; a durable one has time.

        Raises `SendUnknown`.
        """
        timeout = None if letter.durable else self._settings.request_timeout
        reading = self._spawn(self._search(letter))
        either: set[asyncio.Future[Any]] = {reading, letter.sent}
        try:
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if letter.sent.done():
                return
            if not reading.done():
                raise self._unknown("no answer came; look at the history before sending it again")
            reading.result()
        finally:
            reading.cancel()

    async def _search(self, letter: _Letter) -> None:
        """Offer to `claims` what was said since the message was first written.

        Raises `SendUnknown` if the server will never tell.
        """
        cursor, pause = requests.NEWEST, self._pauses[0]
        while True:
            build = partial(requests.history, letter.lane, cursor=cursor)
            try:
                body = (await self._calls.ask(build)).body
            except SendRefused as error:
                if error.error == "rejected":
                    raise self._unknown("no answer came, and its history is refused") from error
                body = None
            except RequestError:
                body = None
            if not isinstance(body, dict):
                await self._calls.next_link(pause)
                pause = min(2 * pause, self._longest_pause)
                continue
            page = envelope.history(body, self._account_id)
            for facts in page:
                self.claims(facts)
            times = [facts.time_ms for facts in page if facts.time_ms is not None]
            assert letter.since is not None
            older = requests.older(body, cursor)
            if (
                letter.sent.done()
                or older is None
                or min(times, default=0) < letter.since - self._skew
            ):
                return
            if older == cursor:
                raise self._unknown("no answer came, and its history does not go on")
            cursor = older

    # --------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        """The server's time, or ours before it told us."""
        told = self._calls.server_ms()
        return int(self._clock() * 1000) if told is None else told

    def _not_sent(self, why: str) -> NotSent:
        return NotSent(f"account {self._account_id}: not sent: {why}", account_id=self._account_id)

    def _unknown(self, why: str) -> SendUnknown:
        return SendUnknown(f"account {self._account_id}: {why}", account_id=self._account_id)
