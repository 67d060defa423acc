"""One account at work: performs what its session asks for, and tells it what happens.

`Driver.feed` is the whole loop: one event in, the session's actions carried out, one timer
set for the session's deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from xyfast import requests
from xyfast._core import Closed, DedupCache, Frame, Opened
from xyfast.account import Account, format_cookies
from xyfast.calls import Calls, headers_of, verdict
from xyfast.config import SLACK, Settings, way
from xyfast.dialler import Dialler
from xyfast.dispatch import Delivery
from xyfast.errors import StateError, XyfastError
from xyfast.events import (
    Action,
    AskCredentials,
    CloseLink,
    Dial,
    Event,
    FetchToken,
    Kicked,
    LinkDeaf,
    LinkLost,
    LinkOpened,
    LinkRefused,
    Moved,
    Resume,
    RetireLink,
    State,
    Stop,
    Tick,
)
from xyfast.gaps import Gaps
from xyfast.gates import SharedGate
from xyfast.instrumentation import (
    Hooks,
    LinkEnded,
    LinkRegistered,
    LinkReplaced,
    StateChanged,
    Troubled,
)
from xyfast.login import CredentialSource, Login
from xyfast.logs import logger, say, seconds
from xyfast.messages import Gap
from xyfast.outbox import Outbox
from xyfast.pulse import Pulse
from xyfast.saving import Saving, SessionMaterial
from xyfast.session import Session
from xyfast.store import SecretStore, Store
from xyfast.sync import Sync
from xyfast.tasks import Tasks
from xyfast.tokens import TokenProvider
from xyfast.transport import Transport
from xyfast.troubles import ANSWERS, KICKS, LINKS, Remedy, Row, raised

__all__ = ["Driver", "Environment"]

log = logger(__name__)

_LEVELS = {
    State.CONNECTING: logging.INFO,
    State.CONNECTED: logging.INFO,
    State.RECONNECTING: logging.WARNING,
    State.KICKED: logging.WARNING,
    State.FAILED: logging.ERROR,
    State.NEEDS_LOGIN: logging.ERROR,
}
_AT_REST = (State.DISCONNECTED, State.DRAINING, State.CLOSED)
_ANSWER = 5.0  # seconds that a link which is tested may take


@dataclass(frozen=True, slots=True)
class Environment:
    """What all accounts of a client share."""

    settings: Settings
    store: Store
    secrets: SecretStore | None
    """Where session material is kept apart from the store."""
    transport: Transport
    tokens: TokenProvider
    credentials: CredentialSource | None
    hooks: Hooks
    clock: Callable[[], float]
    """Seconds since the epoch."""
    dice: random.Random
    link_gate: SharedGate
    """Where dials wait for their turn."""
    token_gate: SharedGate
    """Where token calls do."""
    links: Iterator[int]
    """Numbers for new links, unique within the transport."""
    owners: dict[int, Driver]
    """Whose each link is, from its dial to its end."""
    deliver: Callable[[Sequence[Delivery]], None]
    """Hands to handlers what does not come from the store."""
    hold: Callable[[str, int], None]
    """From now on an account's messages beyond a position are stored and not handed on."""
    release: Callable[[str], None]
    """An account's messages are handed on again, those that were held first."""
    take_in: Callable[[Driver, Iterable[str]], Awaitable[Collection[str]]]
    """Commits messages that were fetched; returns the keys of the new ones."""
    settle: Callable[[Driver, int], Awaitable[None]]
    """Waits until all that has come is stored, and nothing up to a position is not."""


class Driver:
    """The driver of one account. All methods run on the event loop."""

    def __init__(self, account: Account, env: Environment) -> None:
        settings = env.settings
        self._tasks = Tasks(account.id)
        self.session = Session(settings, env.dice.random, env.links)
        self.known = DedupCache(settings.dedup_size, settings.dedup_ttl)
        self.calls = Calls(
            account.id, env.transport, settings.request_timeout, clock=env.clock, dice=env.dice
        )
        self._material = SessionMaterial(account.id, env.store, env.secrets)
        saving = partial(Saving, account.id, retry=settings.store_retry, spawn=self._tasks.spawn)
        # One for each place: gaps, for which positions wait, need the store alone.
        self._saving, self._saving_secret = saving(self._save_rest), saving(self._save_secret)
        self.gaps = Gaps(env.deliver, self._saving.begin, env.hooks)
        self.pulse = Pulse(env.transport)
        self.login = Login(
            account,
            settings,
            env.tokens,
            env.credentials,
            env.token_gate,
            feed=self.feed,
            changed=self._login_changed,
            trouble=self._trouble,
            spawn=self._tasks.spawn,
        )
        self.sync = Sync(
            account.id,
            self.calls,
            env.store,
            settings,
            env.hooks,
            seen=self.known,
            take_in=partial(env.take_in, self),
            settle=partial(env.settle, self),
            missing=self.gaps.tell,
            saved=self._saving.wait,
            unkept=self._unkept,
            hold=env.hold,
            release=env.release,
            begun=self._saving.begin,
            deaf=self._deaf,
            spawn=self._tasks.spawn,
            dice=env.dice.random,
        )
        self.outbox = Outbox(
            account.id,
            self.calls,
            env.store,
            settings,
            spawn=self._tasks.spawn,
            hooks=env.hooks,
        )
        self._env = env
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._events: deque[Event] = deque()
        self._dialler = Dialler(env.link_gate, self._open)
        self.cut = -1
        """Links up to this number are cut: some of what they brought was dropped."""

    @property
    def account(self) -> Account:
        """The account as it is by now."""
        return self.login.account

    @property
    def state(self) -> State:
        """Where the account stands."""
        return self.session.state

    # --- the loop -------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what the store kept: device id, rotated cookies, positions."""
        kept, stored = await self._material.load()
        self.sync.load(kept, stored.get("began"))
        self.login.load(stored, self._env.dice)
        self.gaps.load(stored.get("gaps", ()))
        await self._save_secret()
        await self._save_rest()
        await self.outbox.load()

    def feed(self, event: Event) -> None:
        """Tell the session, do what it asks for, and set the timer to its deadline.

        What happens while that is done (an observer pauses the account) comes after it. A part
        of it that fails costs no other one: a transport may be anybody's code.
        """
        self._events.append(event)
        if len(self._events) > 1:
            return
        try:
            while self._events:
                for action in self.session.step(self._events[0], self._loop.time()):
                    self._try(action)
                self._events.popleft()
        finally:
            self._events.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.session.deadline is not None:
            self._timer = self._loop.call_at(self.session.deadline, self.feed, Tick())

    def _try(self, action: Action) -> None:
        try:
            self._perform(action)
        except Exception as error:
            what = type(action).__name__
            account_id = self.account.id
            say(log, logging.ERROR, "action failed", error=error, account=account_id, action=what)

    def _perform(self, action: Action) -> None:
        match action:
            case FetchToken():
                self.login.fetch()
            case Dial():
                self._dialler.dial(action)
            case Resume():
                self.calls.use(action.link)
                self.outbox.pump()
                self.sync.start(action.link)
            case CloseLink():
                self._dialler.drop(action.link)
                self._env.transport.close(action.link)
            case RetireLink():
                self._tasks.spawn(self._retire_link(action.link))
                self._env.hooks(LinkReplaced(self.account.id))
            case AskCredentials():
                self.login.ask(action)
            case Moved():
                self._moved(action)

    async def close(self) -> None:
        """Cancel and await everything that this driver has started, and save what is not yet."""
        unsaved = [each for each in (self._saving, self._saving_secret) if each.unsaved]
        if self._timer is not None:
            self._timer.cancel()
        self.sync.stop()
        self.outbox.close()
        self.login.give_up()
        self._dialler.close()
        await self._tasks.end()
        for saving in unsaved:
            await saving.end()

    def _login_changed(self) -> None:
        self._saving_secret.begin()
        self._saving.begin()  # it keeps when that was

    async def _save_secret(self) -> None:
        await self._material.save_secret(self.login.saved())

    async def _save_rest(self) -> None:
        rest = {"began": self.sync.began, "gaps": self.gaps.saved()}
        rest["saved"] = int(self._env.clock() * 1000)
        await self._material.save_rest(self.login.saved(), rest)

    def _unkept(self) -> bool:
        """Whether there may be gaps that a crash would make nobody know of."""
        return len(self.gaps) > 0 and self._saving.unsaved

    def unread(self) -> None:
        """A frame cannot be read; what it brought will not be here when positions pass it."""
        now = self.calls.now_ms()
        received = self.sync.received
        gap = Gap(
            account_id=self.account.id,
            start=now if received is None else min(received // 1000, now),
            end=now + SLACK,  # the server's clock is ahead of when its answers came
            reason="a frame could not be read",
        )
        self.gaps.tell([gap])

    # --- links ----------------------------------------------------------------------

    def stall(self, stalled: bool) -> None:
        """While nothing can be stored, have no link: what it brings could not be kept.

        The session is told of a link that is over, and its next dial waits here.
        """
        if stalled:
            for link in self.mute():
                self._env.transport.close(link)
        self._dialler.stall(stalled)

    def retire(self) -> None:
        """Stop, and hand nothing more on; handlers that run may still answer."""
        for link in self.mute():
            self.sync.lost(link)
        self.sync.stop()
        self._env.hold(self.account.id, -1)
        self.feed(Stop())

    def mute(self) -> list[int]:
        """Take nothing more of what the links of now bring; returns them.

        One that waits for its turn has not been dialled, and will bring what the server has.
        """
        self.sync.suspend()
        dialled = self._env.owners
        links = [link for link in self.session.links if link in dialled]
        self.cut = max(self.cut, *links, -1)
        return links

    def _open(self, action: Dial) -> None:
        account, token = self.account, self.login.token
        if token is None or account.device_id is None:
            raise StateError(f"account {account.id}: dial without a token")
        headers = requests.handshake(account.user_agent)
        if account.send_cookies:
            headers.append(("Cookie", format_cookies(account.cookies)))
        register = requests.registration(
            token=token.value.reveal(),
            device_id=account.device_id.reveal(),
            user_agent=account.user_agent,
            mid=self.calls.new_mid(),
        )
        try:
            proxy = account.proxy_or(self._env.settings.proxy)
            self._env.transport.dial(action, headers, register, proxy)
        except Exception as error:  # whatever it is: nobody else tells the session
            self._dialler.drop(action.link)
            row, reason = raised(error), type(error).__name__
            if isinstance(error, XyfastError):
                reason = str(error)
            elif isinstance(error, OSError):
                reason = error.strerror or reason
            self._trouble(row, reason)
            self.feed(LinkLost(action.link, row.backoff, reason))
        else:
            self._env.owners[action.link] = self

    async def _retire_link(self, link: int) -> None:
        """Close a link that was replaced, when nothing is under way on it or time is up."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._finish(link), self._env.settings.close_timeout)
        self._env.transport.close(link)

    async def _finish(self, link: int) -> None:
        """Wait until its requests are answered, and what it pushed is stored and acknowledged."""
        await self.calls.answers(link)
        await self.calls.beat(link)  # its answer stands behind all that was pushed before
        await self._env.take_in(self, ())

    def test_link(self) -> None:
        """Give the link up unless it answers within a few seconds."""
        if self.session.link is not None:
            self._tasks.spawn(self._test(self.session.link))

    async def _test(self, link: int) -> None:
        answered: bool | None = None
        with contextlib.suppress(asyncio.TimeoutError):
            answered = await asyncio.wait_for(self.calls.beat(link), _ANSWER)
        if answered or link != self.session.link:
            return
        self._env.transport.close(link)
        self.calls.lost(link)
        self.sync.lost(link)
        late = "no good answer after sleep"
        self.feed(LinkLost(link, LINKS["link"].backoff, late, deaf=answered is False))

    def _moved(self, move: Moved) -> None:
        if move.new in _AT_REST:
            self.login.give_up()
        say(
            log,
            _LEVELS.get(move.new, logging.INFO),
            f"account {'' if move.new is State.NEEDS_LOGIN else 'is '}{move.new.value}",
            account=self.account.id,
            reason=move.reason,
            wait=None if move.wait is None else seconds(move.wait),
        )
        self._env.hooks(StateChanged(self.account.id, move.old, move.new, move.reason, move.wait))

    # --- what links tell ------------------------------------------------------------

    def opened(self, event: Opened) -> None:
        """A link is registered, for this account as the answer must say."""
        self._dialler.opened(event.link)
        told = headers_of(event.answer)
        if requests.reg_uid(told) in (None, self.account.id):
            self.calls.opened(requests.server_time(told))
            self.sync.registered(requests.server_time(told))
            self.pulse.opened(event.link)
            self._env.hooks(LinkRegistered(self.account.id))
            self.feed(LinkOpened(event.link))
        else:
            del self._env.owners[event.link]  # what it pushes is not ours
            self._env.transport.close(event.link)
            reason = "registered as another account"
            self._trouble(ANSWERS["rejected"], reason)
            self.feed(LinkRefused(event.link, "rejected", reason))

    def closed(self, event: Closed) -> None:
        """A link is over, or its registration was refused."""
        failed = self._dialler.closed(event)
        last = self.pulse.closed(event)
        self._env.hooks(LinkEnded(self.account.id, event.trouble, last.age, last.beats, last.good))
        self.calls.lost(event.link)
        self.sync.lost(event.link)
        if event.answer is not None:
            refusal = verdict(event.answer)
            name = refusal.error or "server"
            self._trouble(ANSWERS[name], refusal.reason or None, event.code)
            self.feed(LinkRefused(event.link, name, refusal.reason))
        else:
            row = LINKS[event.trouble]
            proxy = self.account.proxy_or(self._env.settings.proxy)
            server = way(self._env.settings.url, proxy) if failed and row.page else None
            self._trouble(row, event.reason, event.code, server)
            deaf = row.remedy is Remedy.RENEW
            self.feed(LinkLost(event.link, row.backoff, event.reason, deaf))

    def kicked(self, frame: Frame) -> None:
        """The server ended this session; kick frames are not acknowledged."""
        row = KICKS[frame.kind]
        self._trouble(row, None)
        self.feed(Kicked(frame.link, row.sentence))

    def _trouble(
        self, row: Row, reason: str | None, code: int | None = None, server: str | None = None
    ) -> None:
        """Tell what went wrong; as an error only what goes on until it is set right."""
        level = logging.ERROR if row.remedy is Remedy.CONFIGURE else logging.INFO
        tell = partial(say, log, level, row.sentence, account=self.account.id, reason=reason)
        tell(code=code, server=server, page=row.page)
        if row.remedy is not Remedy.NONE:
            self._env.hooks(Troubled(self.account.id, row.name))

    # --- what users ask for ---------------------------------------------------------

    async def ask(self, build: Callable[..., str]) -> Any:
        """Send the request that ``build(mid=...)`` makes; returns the answer's body."""
        return (await self.calls.ask(build)).body

    def _deaf(self, link: int) -> bool:
        self.feed(LinkDeaf(link))
        return self.session.renewing
