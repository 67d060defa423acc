"""One account at work: performs what its session asks for, and tells it what happens.

`Driver.feed` is the whole loop: one event in, the session's actions carried out, one timer
set for the session's deadline.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from xyfast import requests
from xyfast._core import Closed, DedupCache, Frame, Opened
from xyfast.account import Account, format_cookies, make_device_id
from xyfast.calls import Calls, verdict
from xyfast.config import Settings
from xyfast.dispatch import Delivery
from xyfast.errors import LoginRequired, StateError, TokenError, XyfastError
from xyfast.events import (
    Action,
    AskCredentials,
    CloseLink,
    Dial,
    Event,
    FetchToken,
    Kicked,
    LinkLost,
    LinkOpened,
    LinkRefused,
    Moved,
    NewCredentials,
    Resume,
    State,
    Tick,
    TokenFailed,
    TokenReady,
)
from xyfast.holdback import Holdback
from xyfast.instrumentation import Hooks, StateChanged
from xyfast.ledger import Ledger
from xyfast.logs import say
from xyfast.messages import Gap, Sent
from xyfast.retry import Trouble
from xyfast.session import Session
from xyfast.store import Store
from xyfast.tokens import Token, TokenProvider
from xyfast.transport import Transport

__all__ = ["CredentialSource", "Driver", "Environment"]

log = logging.getLogger(__name__)

_LEVELS = {
    State.CONNECTING: logging.INFO,
    State.CONNECTED: logging.INFO,
    State.RECONNECTING: logging.WARNING,
    State.KICKED: logging.WARNING,
    State.FAILED: logging.ERROR,
    State.NEEDS_LOGIN: logging.ERROR,
}
_PAUSES = (2.0, 4.0, 6.0)  # seconds, as the web page's clients wait on flow control
_REPLAY_COMES = 5.0  # seconds from a registration within which early pushes wait for a replay
_REPLAY_STARTS = 0.5  # the same from the server's answer to the cursor
_TOKEN_TRIES = 5  # HTTP calls that a token may take
_TROUBLE = {"link": Trouble.LINK, "deaf": Trouble.LINK, "network": Trouble.NETWORK}


class CredentialSource(Protocol):
    """The user's hook for new credentials."""

    async def credentials(
        self, account: Account, reason: str, *, human: bool, url: str | None
    ) -> Account | None:
        """Give the account with new cookies, or None if there are none yet.

        Called once when dials have failed too often (``human`` false), and once when the
        platform waits for a human (``human`` true), who may find what to do at ``url``.
        `Client.replace_credentials` does the same at any later time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Environment:
    """What all accounts of a client share."""

    settings: Settings
    store: Store
    transport: Transport
    tokens: TokenProvider
    credentials: CredentialSource | None
    hooks: Hooks
    clock: Callable[[], float]
    """Seconds since the epoch."""
    dice: random.Random
    links: Iterator[int]
    """Numbers for new links, unique within the transport."""
    owners: dict[int, Driver]
    """Whose each link is, from its dial to its end."""
    deliver: Callable[[Sequence[Delivery]], None]
    """Hands messages to their handlers."""


class Driver:
    """The driver of one account. All methods run on the event loop."""

    def __init__(self, account: Account, env: Environment) -> None:
        settings = env.settings
        self.account = account
        self.session = Session(settings, env.dice.random, env.links)
        self.ledger = Ledger()
        self.synced: int | None = None
        """The link that has confirmed the cursor: positions of its pushes count."""
        self.held: Holdback[Delivery] = Holdback(settings.dedup_size)
        """Deliveries that must not overtake what the server has yet to bring."""
        self.known = DedupCache(settings.dedup_size, settings.dedup_ttl)
        self.calls = Calls(account.id, env.transport, self._mid, settings.request_timeout)
        self.sent = DedupCache(settings.dedup_size, settings.dedup_ttl)
        self._env = env
        self._given = _digest(account)
        self._loop = asyncio.get_running_loop()
        self._token: Token | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._resyncing: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._credentials_after = 0.0
        self._release_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._mids = requests.Mids(env.dice)
        self._uuids = requests.Uuids()

    @property
    def state(self) -> State:
        """Where the account stands."""
        return self.session.state

    # --- the loop -------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what the store kept: device id, rotated cookies, cursor."""
        stored: dict[str, Any] = {}
        blob = await self._env.store.load_session(self.account.id)
        if blob is not None:
            stored = json.loads(blob)
        if stored.get("given") == self._given:
            self.account = replace(self.account, cookies=stored["cookies"])
        device_id = (
            self.account.device_id
            or stored.get("device_id")
            or make_device_id(self.account.id, self._env.dice)
        )
        self.account = replace(self.account, device_id=device_id)
        await self._save()
        self.ledger = Ledger(await self._env.store.cursor(self.account.id))

    def feed(self, event: Event) -> None:
        """Tell the session, do what it asks for, and set the timer to its deadline."""
        for action in self.session.step(event, self._loop.time()):
            self._perform(action)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.session.deadline is not None:
            self._timer = self._loop.call_at(self.session.deadline, self.feed, Tick())

    def _perform(self, action: Action) -> None:
        match action:
            case FetchToken():
                if self._fetching is not None:
                    self._fetching.cancel()
                self._fetching = self._spawn(self._fetch())
            case Dial():
                self._dial(action)
            case Resume():
                self.calls.use(action.link)
                self._hold_back()
                self._spawn(self._resume(action.link))
            case CloseLink():
                self._env.transport.close(action.link)
            case AskCredentials():
                if self._asking is None or self._asking.done():
                    self._asking = self._spawn(self._ask(action))
            case Moved():
                self._moved(action)

    async def close(self) -> None:
        """Cancel and await everything that this driver has started."""
        for timer in (self._timer, self._release_timer):
            if timer is not None:
                timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            say(log, logging.ERROR, "a task failed", error=error, account=self.account.id)

    # --- what the session asks for --------------------------------------------------

    async def _fetch(self) -> None:
        bound = _TOKEN_TRIES * self._env.settings.token_timeout
        try:
            token = await asyncio.wait_for(self._env.tokens.token(self.account, self._keep), bound)
        except LoginRequired as error:
            self.feed(TokenFailed(str(error), human=True, url=error.url))
        except TokenError as error:
            trouble = Trouble.NETWORK if error.code == "network" else Trouble.OTHER
            self.feed(TokenFailed(str(error), trouble))
        except asyncio.TimeoutError:
            self.feed(TokenFailed(f"no token within {bound:g} s", Trouble.NETWORK))
        except Exception as error:
            say(log, logging.ERROR, "token provider raised", error=error, account=self.account.id)
            self.feed(TokenFailed(f"the token provider raised {type(error).__name__}"))
        else:
            self._token = token
            self.feed(TokenReady(token.lifetime))

    def _keep(self, account: Account) -> None:
        self.account = account
        self._spawn(self._save())

    async def _save(self) -> None:
        blob = {
            "device_id": self.account.device_id,
            "cookies": dict(self.account.cookies),
            "given": self._given,
        }
        await self._env.store.save_session(self.account.id, json.dumps(blob))

    def _dial(self, action: Dial) -> None:
        account, token = self.account, self._token
        if token is None or account.device_id is None:
            raise StateError(f"account {account.id}: dial without a token")
        headers = [("Origin", "https://www.goofish.com"), ("User-Agent", account.user_agent)]
        if account.send_cookies:
            headers.append(("Cookie", format_cookies(account.cookies)))
        register = requests.registration(
            token=token.value,
            device_id=account.device_id,
            user_agent=account.user_agent,
            mid=self._mid(),
        )
        try:
            self._env.transport.dial(action, headers, register)
        except XyfastError as error:
            lost = LinkLost(action.link, Trouble.OTHER, str(error))
            self._loop.call_soon(self.feed, lost)  # not inside the step that asked for it
        else:
            self._env.owners[action.link] = self

    async def _resume(self, link: int) -> None:
        """Tell the server the cursor, so that it pushes what came after it.

        What a link pushes before the answer may lie beyond a gap that the server is about
        to fill, so its position does not count; from the answer on, pushes come in order.
        """
        await self._insist("cursor not confirmed", link, self._send_cursor)

    async def _send_cursor(self) -> None:
        if self.ledger.cursor is None:
            await self._take_position()
            return
        # Kept first, or a crash of a new account would begin again at "now".
        await self._env.store.handled(self.account.id, (), self.ledger.cursor)
        text = partial(requests.ack_diff, pts=self.ledger.cursor, now_ms=self._now_ms())
        await self.calls.ask(text, heard=self._synced)

    async def _take_position(self) -> int | None:
        """getState, then ackDiff with its answer: the server's position becomes ours."""
        state = await self.ask(requests.get_state)
        await self.calls.ask(partial(requests.ack_diff_state, state), heard=self._synced)
        position = requests.pts(state)
        if position is not None:
            self.ledger.begin(position)
            await self._env.store.handled(self.account.id, (), self.ledger.cursor)
        return position

    async def _insist(
        self, what: str, link: int | None, attempt: Callable[[], Awaitable[None]]
    ) -> None:
        """Try until it works or ``link`` is over: requests may be throttled after /reg."""
        for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
            try:
                await attempt()
            except XyfastError as error:
                if link != self.session.link:
                    return
                say(log, logging.WARNING, what, account=self.account.id, reason=error)
                await asyncio.sleep(pause)
            else:
                return

    def _synced(self, answer: Frame) -> None:
        self.synced = answer.link
        self._release_in(_REPLAY_STARTS)

    def resync(self) -> None:
        """The server cannot replay all that was missed: go on from its position."""
        if self._resyncing is None or self._resyncing.done():
            self.synced = None  # until the gap is known, positions say nothing
            self._resyncing = self._spawn(self._resync(self.session.link))

    async def _resync(self, link: int | None) -> None:
        await self._insist("position not taken", link, self._skip_gap)

    async def _skip_gap(self) -> None:
        start = self.ledger.cursor
        end = await self._take_position()
        if start is not None and end is not None:
            gap = Gap(
                account_id=self.account.id,
                start=start // 1000,
                end=end // 1000,
                reason="the server keeps less than was missed",
            )
            say(log, logging.WARNING, "gap", account=gap.account_id, reason=gap.reason)
            self._env.deliver([Delivery(gap)])

    # --- order across a reconnect ---------------------------------------------------

    def _hold_back(self) -> None:
        self.held.hold()
        self._release_in(_REPLAY_COMES)

    def _release_in(self, seconds: float) -> None:
        if self._release_timer is not None:
            self._release_timer.cancel()
        self._release_timer = self._loop.call_later(seconds, self.release)

    def release(self) -> None:
        """Hand on what waited for the replay, in its order."""
        if self._release_timer is not None:
            self._release_timer.cancel()
            self._release_timer = None
        self._env.deliver(self.held.release())

    async def _ask(self, action: AskCredentials) -> None:
        """Ask the user's hook; an answer that comes too soon after the last one waits."""
        source = self._env.credentials
        if source is None:
            return
        try:
            account = await source.credentials(
                self.account, action.reason, human=action.human, url=action.url
            )
        except Exception as error:
            account_id = self.account.id
            say(log, logging.ERROR, "credential source raised", error=error, account=account_id)
            return
        if account is None or _digest(account) == self._given:
            return  # nothing new: the platform would say the same again
        await asyncio.sleep(self._credentials_after - self._loop.time())
        self._credentials_after = self._loop.time() + self._env.settings.token_retry
        self.replace_credentials(account)

    def replace_credentials(self, account: Account) -> None:
        """Go on with new cookies; the device id stays."""
        if account.id != self.account.id:
            raise StateError(f"credentials of {account.id} given for {self.account.id}")
        self._given = _digest(account)
        self._keep(replace(account, device_id=account.device_id or self.account.device_id))
        self.feed(NewCredentials())

    def _moved(self, move: Moved) -> None:
        say(
            log,
            _LEVELS.get(move.new, logging.INFO),
            f"account is {move.new.value}",
            account=self.account.id,
            reason=move.reason,
            wait=None if move.wait is None else round(move.wait, 2),
        )
        self._env.hooks(StateChanged(self.account.id, move.old, move.new, move.reason, move.wait))

    # --- what links tell ------------------------------------------------------------

    def opened(self, event: Opened) -> None:
        """A link is registered, for this account as the answer must say."""
        headers = json.loads(event.answer.headers)
        if requests.reg_uid(headers) in (None, self.account.id):
            # An account that was never connected begins where the server is now.
            server_time = requests.server_time(headers)
            if self.ledger.cursor is None and server_time is not None:
                # Positions are microseconds; what came in this very millisecond counts.
                self.ledger.begin(server_time * 1000 - 1)
            self.feed(LinkOpened(event.link))
        else:
            del self._env.owners[event.link]  # what it pushes is not ours
            self._env.transport.close(event.link)
            self.feed(LinkRefused(event.link, "rejected", "registered as another account"))

    def closed(self, event: Closed) -> None:
        """A link is over, or its registration was refused."""
        self.calls.lost(event.link)
        if event.answer is not None:
            judged = verdict(event.answer)
            self.feed(LinkRefused(event.link, judged.error or "server", judged.reason))
        else:
            trouble = _TROUBLE.get(event.trouble, Trouble.OTHER)
            self.feed(LinkLost(event.link, trouble, event.reason, event.trouble == "deaf"))

    def kicked(self, frame: Frame) -> None:
        """The server ended this session; kick frames are not acknowledged."""
        reason = "another login" if frame.kind == "kick" else "session removed"
        self.feed(Kicked(frame.link, reason))

    # --- what users ask for ---------------------------------------------------------

    async def ask(self, build: Callable[..., str]) -> Any:
        """Send the request that ``build(mid=...)`` makes; returns the answer's body."""
        return (await self.calls.ask(build)).body

    async def send(self, build: Callable[..., str]) -> Sent:
        """Send what ``build(uuid=..., mid=...)`` makes; the server's answer makes it `Sent`."""
        uuid = self._uuids.next(self._now_ms())
        answer = await self.calls.ask(partial(build, uuid=uuid), heard=self._note_sent)
        return Sent(
            message_id=requests.message_id(answer.body),
            uuid=uuid,
            time=requests.server_time(answer.headers),
        )

    def _note_sent(self, answer: Frame) -> None:
        """The echo of what we sent may be the very next frame."""
        message_id = requests.message_id(json.loads(answer.body or "null"))
        if message_id is not None:
            self.sent.add(message_id)

    def _mid(self) -> str:
        return self._mids.next(self._now_ms())

    def _now_ms(self) -> int:
        return int(self._env.clock() * 1000)


def _digest(account: Account) -> str:
    """Tells whether the user gave other cookies than last time."""
    return hashlib.blake2b(format_cookies(account.cookies).encode(), digest_size=16).hexdigest()
