"""All that one account sends: in order, at a bearable pace, and with a known outcome.

A message waits in line for its turn, is written, and is answered. Where no answer comes, the
conversation's history says whether the server has taken it; nothing is sent again before
that is known. ``durable`` messages are in the store before they are written.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from xyfast import requests
from xyfast.arguments import must_be_text
from xyfast.calls import Answer, Calls
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
from xyfast.logs import logger, say, seconds
from xyfast.messages import Sent
from xyfast.outbox.durable import Durable
from xyfast.outbox.letters import Letter, Out, new_future
from xyfast.outbox.lookup import Lookup
from xyfast.pace import Line
from xyfast.reading import SUFFIX
from xyfast.retry import LONGEST_PAUSE, PAUSES, growing
from xyfast.store import Posted, Store
from xyfast.tasks import Spawn

__all__ = ["Outbox"]

log = logger(__name__)

_MOST_KNOWN = 1000  # durable messages with an outcome that a new run keeps in mind


class Outbox:
    """Sends for one account.

    ``spawn`` starts a task that its owner cancels after `close`.
    """

    def __init__(
        self,
        account_id: str,
        calls: Calls,
        store: Store,
        settings: Settings,
        *,
        spawn: Spawn,
        hooks: Hooks,
    ) -> None:
        self._account_id = account_id
        self._calls = calls
        self._store = store
        self._settings = settings
        self._spawn = spawn
        self._hooks = hooks
        self._loop = asyncio.get_running_loop()
        self._uuids = requests.Uuids()
        self._pauses = [pause * settings.backoff_scale for pause in PAUSES]
        self._longest_pause = LONGEST_PAUSE * settings.backoff_scale
        self._line: Line[Letter] = Line(
            send=(settings.send_rate, settings.send_burst),
            conversation=(settings.conversation_rate, settings.conversation_burst),
        )
        self._out = Out(settings)
        self._lookup = Lookup(account_id, calls, self._out, settings, spawn=spawn)
        self._durable = Durable(store)
        self._named: dict[str, Letter] = {}
        """By name, the durable messages whose outcome is open."""
        self._timer: asyncio.TimerHandle | None = None
        self._working = 0
        self._closed = False

    # --- what the driver tells ------------------------------------------------------

    async def load(self) -> None:
        """Take up the durable messages that an earlier run left, and know those it sent."""
        for post in await self._store.settled(self._account_id, _MOST_KNOWN):
            self._uuids.follow(post.uuid)
            if post.message_id is not None:
                self._out.know(post.message_id)
        for post in await self._store.unsent(self._account_id):
            self._uuids.follow(post.uuid)
            self._begin(post, durable=True, kept=True)

    def pump(self) -> None:
        """Give turns to whoever may write now; to be called when a link can be written to."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed or self._calls.link is None:
            return
        while (letter := self._line.take(self._loop.time())) is not None:
            letter.turn.set_result(None)
        if (ready := self._line.next()) is not None:
            self._timer = self._loop.call_at(ready, self.pump)

    @property
    def open(self) -> int:
        """Messages whose outcome is open."""
        return self._working

    def claims(self, facts: Facts) -> bool:
        """Whether this client sent a message of the account's own; see `Out.claims`."""
        return self._out.claims(facts)

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
        must_be_text(conversation_id=conversation_id, peer_id=peer_id)
        if name is not None:
            must_be_text(name=name)
        if name is not None and not durable:
            raise ConfigError("a name is for durable messages: say durable=True")
        if self._closed:
            raise NotSent(
                f"account {self._account_id}: not sent: the client is closed",
                account_id=self._account_id,
            )
        letter = None if name is None else self._named.get(name)
        if letter is None:
            uuid = self._uuids.next(self._calls.now_ms())
            post = Posted(
                account_id=self._account_id,
                name=name or uuid,
                conversation_id=conversation_id.removesuffix(SUFFIX),
                peer_id=peer_id,
                content=content,
                uuid=uuid,
                created=self._calls.now_ms(),
            )
            letter = self._begin(post, durable=durable)
        told = await self._told(letter)
        if isinstance(told, Sent):
            return told
        raise told

    async def _told(self, letter: Letter) -> Sent | XyfastError:
        """Wait for an outcome; for that of a durable message as long as for any other."""
        settings = self._settings
        try:
            timeout = settings.send_timeout if letter.durable else None
            await asyncio.wait({letter.outcome}, timeout=timeout)
            if letter in self._out:
                patience = 3 * settings.request_timeout + 2 * settings.history_delay
                await asyncio.wait({letter.outcome}, timeout=patience)
        except asyncio.CancelledError:
            if not letter.durable:
                letter.wanted = False
                if letter not in self._out:
                    letter.work.cancel()
            raise
        return letter.outcome.result() if letter.outcome.done() else self._undecided(letter)

    def _begin(self, post: Posted, *, durable: bool, kept: bool = False) -> Letter:
        """Take a place in line, at once; a task of its own sees the message through."""
        letter = Letter(
            post=post,
            durable=durable,
            kept=kept,
            asked=self._loop.time(),
            says=notice(None, {}, content_object(post.content), self._account_id),
        )
        if durable:
            self._named[post.name] = letter
        if letter.since is not None:
            self._out.add(letter)
        self._line.put(letter.lane, letter)
        self.pump()
        self._working += 1
        letter.work = self._spawn(self._work(letter))
        letter.work.add_done_callback(partial(self._ended, letter))
        return letter

    async def _work(self, letter: Letter) -> None:
        """See a message through: once it is out, its conversation waits for the outcome."""
        told: Sent | XyfastError
        try:
            if letter.durable:
                told = await self._durable.settle(letter, self._deliver)
            else:
                told = await self._deliver(letter)
        except (RequestError, StoreError) as error:
            told = error
        if not letter.outcome.done():
            letter.outcome.set_result(told)

    def _ended(self, letter: Letter, _: asyncio.Task[None]) -> None:
        """The work is over, or was cancelled, maybe before it began."""
        self._working -= 1
        if letter.durable:
            del self._named[letter.post.name]
        if not letter.outcome.done():
            letter.outcome.set_result(self._undecided(letter))
        self._line.leave(letter.lane, letter)
        self.pump()

    def _undecided(self, letter: Letter) -> NotSent | SendUnknown:
        stays = "; it stays in the outbox" if letter.durable else ""
        if letter in self._out:
            return letter.unknown(f"no answer came{stays}")
        return letter.not_sent(f"it did not go out{stays}")

    # --- one message ----------------------------------------------------------------

    async def _deliver(self, letter: Letter) -> Sent:
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
                took = self._loop.time() - letter.asked
                self._hooks(SendFinished(self._account_id, outcome, took))
                self._tell(letter.post, outcome, took)
            self._out.give_up(letter, self._calls.now_ms())
        return sent

    def _tell(self, post: Posted, outcome: SendOutcome, took: float) -> None:
        say(
            log,
            logging.DEBUG,
            "send finished",
            account=post.account_id,
            conversation=post.conversation_id,
            post=post.name,
            outcome=outcome,
            took=seconds(took),
        )

    async def _until_known(self, letter: Letter) -> Sent:
        pauses, again = iter(self._pauses), growing(self._settings.backoff_scale)
        lost = False  # at an earlier try
        while True:
            await self._turn(letter)
            try:
                await self._try(letter)
            except SendRefused as error:
                self._out.discard(letter)
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
                self._out.discard(letter)
                if not letter.durable:
                    raise
                if lost:  # a server that breaks on it may do so for ever
                    await self._calls.next_link(next(again))
                lost = True
            if letter.sent.done():
                return letter.sent.result()
            letter.turn = new_future()
            self._line.back(letter.lane, letter)
            self.pump()

    async def _turn(self, letter: Letter) -> None:
        """Wait for the turn; what is cancelled here has surely not been written."""
        timeout = self._settings.send_timeout
        left = None if letter.durable else max(letter.asked + timeout - self._loop.time(), 0.0)
        await asyncio.wait({letter.turn}, timeout=left)
        if not letter.turn.done():
            what = "no link" if self._calls.link is None else "its turn did not come"
            raise letter.not_sent(f"{what} within {timeout:g} s")

    async def _try(self, letter: Letter) -> None:
        """Write a message and find out; returns without a result if there was no link.

        Raises `SendRefused`, also for what can never go out, `NotSent` if the server has
        surely not taken it, and `SendUnknown`.
        """
        if letter.wrote is None and letter.since is not None:
            letter.wrote = self._loop.time()  # or earlier
            await self._lookup.find(letter)
            return
        if not self._calls.timed and (link := self._calls.link) is not None:
            await self._calls.beat(link)  # it is looked for by the time that its answer tells
        if letter.durable and letter.post.state == "queued":
            await self._durable.mark_out(letter, self._calls.now_ms())
        post = letter.post
        build = partial(
            requests.send,
            post.content,
            conversation_id=post.conversation_id,
            peer_id=post.peer_id,
            own_id=self._account_id,
            uuid=post.uuid,
        )
        try:
            call = self._calls.write(build, heard=partial(self._heard, letter))
        except ConfigError as error:  # no frame: one that an earlier version kept is too long
            raise SendRefused(
                f"account {self._account_id}: it can never go out: {error}",
                account_id=self._account_id,
                reason=str(error),
                error="rejected",
            ) from None
        if call is None:
            return
        letter.wrote = self._loop.time()
        if letter.since is None:
            letter.since = self._calls.now_ms()
        self._out.add(letter)
        await self._calls.wait(call, letter.sent)
        if letter.sent.done():
            return
        try:
            self._calls.read(call)
        except SendUnknown:
            await self._lookup.find(letter)
        except SendRefused as error:
            if error.error != "server" or not letter.durable:
                raise
            await self._lookup.find(letter)  # what broke may have broken after taking it

    def _heard(self, letter: Letter, answer: Answer) -> None:
        """The server has taken a message; its echo may be the very next frame."""
        message_id, time = requests.message_id(answer.body), requests.server_time(answer.headers)
        self._out.taken(letter, message_id, time)
