"""One account at work: performs what its session asks for, and tells it what happens.

`Driver.feed` is the whole loop: one event in, the session's actions carried out, one timer
set for the session's deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Protocol

from xyfast import requests
from xyfast._core import Closed, DedupCache, Frame, Opened
from xyfast.account import Account, format_cookies, make_device_id
from xyfast.calls import Calls, verdict
from xyfast.config import Settings
from xyfast.dispatch import Delivery
from xyfast.errors import (
    ConfigError,
    LoginRequired,
    StateError,
    StoreError,
    TokenError,
    XyfastError,
)
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
    NewCredentials,
    Resume,
    RetireLink,
    State,
    Stop,
    Tick,
    TokenFailed,
    TokenReady,
)
from xyfast.gates import SharedGate, Turn
from xyfast.instrumentation import Hooks, StateChanged
from xyfast.logs import say, seconds
from xyfast.messages import Gap
from xyfast.outbox import Outbox
from xyfast.session import Session
from xyfast.store import Store
from xyfast.sync import Sync
from xyfast.tokens import Token, TokenProvider
from xyfast.transport import Transport
from xyfast.troubles import ANSWERS, KICKS, LINKS, TOKENS, Remedy, Row, raised

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
_AT_REST = (State.DISCONNECTED, State.DRAINING, State.CLOSED)
_MOST_GAPS = 1000  # that are kept one by one
_ANSWER = 5.0  # seconds that a link which is tested may take
_BROKEN = range(500, 600)  # answers to a handshake by which a server says that it cannot
_TOKEN_TRIES = 5  # HTTP calls that a token may take


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


class Driver:
    """The driver of one account. All methods run on the event loop."""

    def __init__(self, account: Account, env: Environment) -> None:
        settings = env.settings
        self.account = account
        self.session = Session(settings, env.dice.random, env.links)
        self.known = DedupCache(settings.dedup_size, settings.dedup_ttl)
        self.calls = Calls(account.id, env.transport, self._mid, settings.request_timeout)
        self.sync = Sync(
            account.id,
            self.calls,
            env.store,
            settings,
            env.hooks,
            seen=self.known,
            take_in=partial(env.take_in, self),
            missing=self._tell_gaps,
            saved=self._saved,
            hold=env.hold,
            release=env.release,
            begun=self._keep_session,
            deaf=self._deaf,
            spawn=self._spawn,
            clock=env.clock,
            dice=env.dice.random,
        )
        self.outbox = Outbox(
            account.id,
            self.calls,
            env.store,
            settings,
            spawn=self._spawn,
            clock=env.clock,
            hooks=env.hooks,
        )
        self._env = env
        self._given = _digest(account)
        self._loop = asyncio.get_running_loop()
        self._token: Token | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        # Whose handlers have not ended, by conversation and reason.
        self._gaps: dict[tuple[str | None, str], Gap] = {}
        self._saving: asyncio.Task[None] | None = None
        self._unsaved = False
        self._closed = False
        self._credentials_after = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.cut = -1
        """Links up to this number are cut: some of what they brought was dropped."""
        self._stalled = False
        self._postponed: Dial | None = None
        self._turns: dict[int, Turn] = {}  # of links whose dials are not over
        self._mids = requests.Mids(env.dice)

    @property
    def state(self) -> State:
        """Where the account stands."""
        return self.session.state

    # --- the loop -------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what the store kept: device id, rotated cookies, positions."""
        kept = await self._env.store.load(self.account.id)
        stored: dict[str, Any] = {} if kept.session is None else json.loads(kept.session)
        self.sync.load(kept, stored.get("began"))
        if stored.get("given") == self._given:
            self.account = replace(self.account, cookies=stored["cookies"])
        device_id = (
            self.account.device_id
            or stored.get("device_id")
            or make_device_id(self.account.id, self._env.dice)
        )
        self.account = replace(self.account, device_id=device_id)
        self._gaps = {}
        for gap in stored.get("gaps", ()):
            self._merge(Gap(**gap))
        await self._save()
        await self.outbox.load()

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
                self.outbox.pump()
                self.sync.start(action.link)
            case CloseLink():
                if self._postponed is not None and self._postponed.link == action.link:
                    self._postponed = None
                self._no_turn(action.link)
                self._env.transport.close(action.link)
            case RetireLink():
                self._spawn(self._retire_link(action.link))
            case AskCredentials():
                if self._asking is None or self._asking.done():
                    self._asking = self._spawn(self._ask(action))
            case Moved():
                self._moved(action)

    async def close(self) -> None:
        """Cancel and await everything that this driver has started, and save what is not yet."""
        self._closed = True
        unsaved = self._saving is not None and not self._saving.done()
        if self._timer is not None:
            self._timer.cancel()
        self.sync.stop()
        self.outbox.close()
        for link in list(self._turns):
            self._no_turn(link)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if unsaved:
            try:
                await self._save()
            except StoreError as error:
                account_id, sentence = self.account.id, "session material not saved"
                say(log, logging.ERROR, sentence, account=account_id, reason=error)

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
        async with self._env.token_gate.turn() as turn:
            event: Event
            try:
                call = self._env.tokens.token(self.account, self._keep)
                token = await asyncio.wait_for(call, bound)
            except asyncio.TimeoutError:
                event = self._no_token(turn, LINKS["network"], f"no token within {bound:g} s")
            except Exception as error:
                row, reason = raised(error), str(error)
                if not isinstance(error, (TokenError, ConfigError)):  # its words may hold secrets
                    account_id, sentence = self.account.id, "token provider raised"
                    reason = f"the {sentence} {type(error).__name__}"
                    say(log, logging.ERROR, sentence, error=error, account=account_id)
                url = error.url if isinstance(error, LoginRequired) else None
                event = self._no_token(turn, row, reason, url)
            else:
                turn.reached()
                self._token = token
                event = TokenReady(token.lifetime)
        self.feed(event)

    def _no_token(self, turn: Turn, row: Row, reason: str, url: str | None = None) -> TokenFailed:
        if row is LINKS["network"]:
            turn.missed(row.backoff)
        elif row.name in TOKENS:
            turn.reached()
        self._trouble(row, reason)
        return TokenFailed(reason, row.backoff, human=row.remedy is Remedy.HUMAN, url=url)

    def _keep(self, account: Account) -> None:
        self.account = account
        self._keep_session()

    def _keep_session(self) -> None:
        """Save what an account needs to go on, as it is by then; try until that works."""
        self._unsaved = True
        if not self._closed and (self._saving is None or self._saving.done()):
            self._saving = self._spawn(self._save_all())

    async def _save_all(self) -> None:
        told = False
        while self._unsaved:
            self._unsaved = False
            try:
                await self._save()
            except StoreError as error:
                self._unsaved = True
                if not told:
                    account_id, sentence = self.account.id, "session material not saved yet"
                    say(log, logging.WARNING, sentence, account=account_id, reason=error)
                told = True
                await asyncio.sleep(self._env.settings.store_retry)

    async def _save(self) -> None:
        blob = {
            "device_id": self.account.device_id,
            "cookies": dict(self.account.cookies),
            "given": self._given,
            "began": self.sync.began,
            "gaps": [asdict(gap) for gap in self._gaps.values()],
        }
        await self._env.store.save_session(self.account.id, json.dumps(blob))

    async def _saved(self) -> None:
        if self._saving is not None:
            await asyncio.wait({self._saving})

    # --- gaps -----------------------------------------------------------------------

    def _tell_gaps(self, gaps: Sequence[Gap]) -> None:
        """Keep gaps, and give them to handlers: again after a restart, until these have ended.

        One for which handlers have a gap already widens that, which is told again when they
        have ended: what is kept and waits is bounded, whatever the server announces.
        """
        if gaps:
            fresh = [gap for gap in map(self._merge, gaps) if gap is not None]
            self._keep_session()
            self._env.deliver([Delivery(gap) for gap in fresh])

    def _merge(self, gap: Gap) -> Gap | None:
        """Keep a gap; returns it unless it has widened one that is kept already."""
        if len(self._gaps) >= _MOST_GAPS and _kind(gap) not in self._gaps:
            gap = replace(gap, conversation_id=None, reason="too many gaps to tell them apart")
        kept = self._gaps.get(_kind(gap))
        if kept is None:
            self._gaps[_kind(gap)] = gap
            return gap
        start, end = min(kept.start, gap.start), max(kept.end, gap.end)
        self._gaps[_kind(gap)] = replace(kept, start=start, end=end)
        return None

    def unread(self) -> None:
        """A frame cannot be read; what it brought will not be here when positions pass it."""
        now = self.calls.server_ms() or self._now_ms()
        received = self.sync.ledger.received
        gap = Gap(
            account_id=self.account.id,
            start=now if received is None else min(received // 1000, now),
            end=now,
            reason="a frame could not be read",
        )
        self._tell_gaps([gap])

    def tell_again(self) -> None:
        """Give handlers the gaps that an earlier run left."""
        self._env.deliver([Delivery(gap) for gap in self._gaps.values()])

    def gap_told(self, gap: Gap) -> None:
        """The handlers of a gap have ended; maybe of one that an earlier driver has told."""
        kept = self._gaps.get(_kind(gap))
        if kept is None:
            return
        if kept == gap:
            del self._gaps[_kind(gap)]
            self._keep_session()
        else:
            self._env.deliver([Delivery(kept)])

    # --- dialling -------------------------------------------------------------------

    def stall(self, stalled: bool) -> None:
        """While nothing can be stored, have no link: what it brings could not be kept.

        The session is told of a link that is over, and its next dial waits here.
        """
        self._stalled = stalled
        if stalled:
            for link in self.mute():
                self._env.transport.close(link)
        elif (action := self._postponed) is not None:
            self._postponed = None
            self._dial(action)

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

    def _dial(self, action: Dial) -> None:
        """Dial when it is this account's turn; an endpoint that is up has it at once."""
        if self._stalled:
            self._postponed = action
            return
        turn = self._turns[action.link] = Turn(self._env.link_gate, partial(self._open, action))
        turn.ask()

    def _no_turn(self, link: int) -> None:
        """A dial will not go out, or ended in a way that says nothing of the endpoint."""
        if (turn := self._turns.pop(link, None)) is not None:
            turn.leave()

    def _open(self, action: Dial) -> None:
        if self._stalled:
            self._no_turn(action.link)
            self._postponed = action
            return
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
            self._env.transport.dial(action, headers, register, account.proxy)
        except (XyfastError, OSError) as error:
            self._no_turn(action.link)
            row, reason = raised(error), str(error)
            if isinstance(error, OSError):
                reason = error.strerror or type(error).__name__
            self._trouble(row, reason)
            lost = LinkLost(action.link, row.backoff, reason)
            self._loop.call_soon(self.feed, lost)  # not inside the step that asked for it
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
            self._spawn(self._test(self.session.link))

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
        """Go on with new cookies; device id and proxy stay unless there are others."""
        if account.id != self.account.id:
            raise StateError(f"credentials of {account.id} given for {self.account.id}")
        self._given = _digest(account)
        kept = self.account
        device_id, proxy = account.device_id or kept.device_id, account.proxy or kept.proxy
        self._keep(replace(account, device_id=device_id, proxy=proxy))
        self.feed(NewCredentials())

    def _moved(self, move: Moved) -> None:
        if move.new in _AT_REST and self._fetching is not None:
            self._fetching.cancel()
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
        if (turn := self._turns.pop(event.link, None)) is not None:
            turn.reached()
        headers = json.loads(event.answer.headers)
        if requests.reg_uid(headers) in (None, self.account.id):
            self.calls.opened(requests.server_time(headers))
            self.sync.registered(requests.server_time(headers))
            self.feed(LinkOpened(event.link))
        else:
            del self._env.owners[event.link]  # what it pushes is not ours
            self._env.transport.close(event.link)
            reason = "registered as another account"
            self._trouble(ANSWERS["rejected"], reason)
            self.feed(LinkRefused(event.link, "rejected", reason))

    def closed(self, event: Closed) -> None:
        """A link is over, or its registration was refused."""
        if (turn := self._turns.pop(event.link, None)) is not None:
            _tell(turn, event)
        self.calls.lost(event.link)
        self.sync.lost(event.link)
        if event.answer is not None:
            refusal = verdict(event.answer)
            name = refusal.error or "server"
            self._trouble(ANSWERS[name], refusal.reason or None, event.code)
            self.feed(LinkRefused(event.link, name, refusal.reason))
        else:
            row = LINKS[event.trouble]
            self._trouble(row, event.reason, event.code)
            deaf = row.remedy is Remedy.RENEW
            self.feed(LinkLost(event.link, row.backoff, event.reason, deaf))

    def kicked(self, frame: Frame) -> None:
        """The server ended this session; kick frames are not acknowledged."""
        row = KICKS[frame.kind]
        self._trouble(row, None)
        self.feed(Kicked(frame.link, row.sentence))

    def _trouble(self, row: Row, reason: str | None, code: int | None = None) -> None:
        """Log what went wrong; as an error only what goes on until it is set right."""
        level = logging.ERROR if row.remedy is Remedy.CONFIGURE else logging.INFO
        account_id, see = self.account.id, row.page
        say(log, level, row.sentence, account=account_id, reason=reason, code=code, see=see)

    # --- what users ask for ---------------------------------------------------------

    async def ask(self, build: Callable[..., str]) -> Any:
        """Send the request that ``build(mid=...)`` makes; returns the answer's body."""
        return (await self.calls.ask(build)).body

    def _deaf(self, link: int) -> bool:
        self.feed(LinkDeaf(link))
        return self.session.renewing

    def _mid(self) -> str:
        return self._mids.next(self._now_ms())

    def _now_ms(self) -> int:
        return int(self._env.clock() * 1000)


def _tell(turn: Turn, event: Closed) -> None:
    """What a link that was never open says of its endpoint."""
    if event.answer is not None:
        turn.reached()  # a refusal is one account's
    elif event.trouble in ("link", "network") or (
        event.trouble == "refused" and event.code in _BROKEN
    ):
        turn.missed(LINKS[event.trouble].backoff)
    else:
        turn.leave()  # a proxy, or this machine, says nothing of the endpoint


def _kind(gap: Gap) -> tuple[str | None, str]:
    return gap.conversation_id, gap.reason


def _digest(account: Account) -> str:
    """Tells whether the user gave other cookies than last time."""
    return hashlib.blake2b(format_cookies(account.cookies).encode(), digest_size=16).hexdigest()
