"""All accounts of a process: what users hold in their hands.

A client owns a store, a transport and, per account, a `Driver`. Pushes go
transport → `Switchboard` → `Intake` (commit, acknowledge) → `Dispatcher` (lanes, handlers) →
`Intake` (record).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from xyfast import envelope, requests
from xyfast.account import Account
from xyfast.accounts import Accounts
from xyfast.arguments import must_be, must_be_text, must_have
from xyfast.config import Settings
from xyfast.dispatch import Delivery, Dispatcher, Handled, Router
from xyfast.driver import Driver, Environment
from xyfast.errors import ConfigError
from xyfast.events import LinkDeaf, Pause, Start, State
from xyfast.gate import Pace
from xyfast.gates import PROCESS, Gates
from xyfast.instrumentation import Hook, Hooks, LoopBlocked, MachineSlept
from xyfast.instrumentation.metrics import Metrics, metrics_of
from xyfast.intake import Intake
from xyfast.life import Life
from xyfast.login import CredentialSource
from xyfast.logs import logger, say, seconds
from xyfast.messages import Conversation, Gap, Message, Sent
from xyfast.outbox import Outbox
from xyfast.status import StatusPage
from xyfast.store import DeadLetter, SecretStore, Store, secrets_of, store_of
from xyfast.switchboard import Switchboard
from xyfast.tokens import PlatformTokens, TokenProvider
from xyfast.transport import RustTransport, Transport

__all__ = ["Client"]

log = logger(__name__)

H = TypeVar("H", bound=Handled)


class Client:
    """Receives for many accounts, hands messages to handlers, sends what they answer.

    ``store`` is a path (an SQLite inbox that survives crashes), a `Store`, or None for
    memory only; then ``durable=True`` is refused. ``secrets`` is where session material is kept
    apart from it: the path of a folder (a `FileSecretStore`) or a `SecretStore`; None for in the
    store. ``router`` has handlers that were registered before; `on` adds to them. The other
    arguments replace a part of the client: ``tokens`` where tokens come from, ``credentials`` the
    hook that is asked for new cookies, ``hooks`` observers, ``transport`` the links, ``gates``
    where new links wait for their turn (by default with those of all clients of the process),
    ``clock`` (seconds since the epoch) and ``dice``.

    >>> from xyfast import ChatMessage, Client
    >>> client = Client()
    >>> @client.on(ChatMessage)
    ... async def answer(message: ChatMessage) -> None:
    ...     await message.reply("在的")
    """

    def __init__(
        self,
        *,
        store: Store | str | os.PathLike[str] | None = None,
        secrets: SecretStore | str | os.PathLike[str] | None = None,
        settings: Settings | None = None,
        router: Router | None = None,
        tokens: TokenProvider | None = None,
        credentials: CredentialSource | None = None,
        hooks: Iterable[Hook] = (),
        transport: Transport | None = None,
        gates: Gates = PROCESS,
        clock: Callable[[], float] = time.time,
        dice: random.Random | None = None,
    ) -> None:
        settings = Settings() if settings is None else settings
        must_be(Settings, "a Settings", settings=settings)
        router = Router() if router is None else router
        must_be(Router, "a Router", router=router)
        must_be(Iterable, "functions in a list", hooks=hooks)
        hooks = tuple(hooks)
        for hook in hooks:
            must_have("__call__", "functions in a list", hooks=hook)
        must_have("token", "a TokenProvider", tokens=tokens)
        must_have("credentials", "a CredentialSource", credentials=credentials)
        metrics = metrics_of(hooks)
        if settings.status is not None and metrics is None:
            hooks = (*hooks, metrics := Metrics())
        dice = dice or random.SystemRandom()
        self._settings = settings
        self._keeps = store is not None
        self._store = store_of(store)
        self._secrets = secrets_of(secrets)
        self._hooks = Hooks(hooks)
        self._transport = transport or RustTransport(settings)
        self._router = router
        self._dispatcher = Dispatcher(
            self._router,
            self._finished,
            self._hooks,
            limit=settings.max_handlers,
            timeout=settings.handler_timeout,
            retries=settings.handler_retries,
            retry_wait=settings.retry_wait,
            dice=dice.random,
        )
        self._intake = Intake(
            self._store,
            self._transport,
            self._dispatcher,
            self._hooks,
            self,
            settings,
            stall=self._stall,
        )
        owners: dict[int, Driver] = {}
        self._switchboard = Switchboard(owners, self._transport, self._intake)
        environment = Environment(
            settings=settings,
            store=self._store,
            secrets=self._secrets,
            transport=self._transport,
            tokens=tokens or PlatformTokens(settings, clock=clock),
            credentials=credentials,
            hooks=self._hooks,
            clock=clock,
            dice=dice,
            link_gate=gates.at(
                settings.url,
                Pace(settings.dial_rate, settings.dial_burst, settings.backoff_scale),
            ),
            token_gate=gates.at(
                settings.token_url,
                Pace(settings.token_rate, settings.token_burst, settings.backoff_scale),
            ),
            links=itertools.count(1),
            owners=owners,
            deliver=self._deliver,
            hold=self._intake.hold,
            release=self._intake.release,
            take_in=self._intake.take_in,
            settle=self._intake.settle,
        )
        self._accounts = Accounts(environment, self._intake, self._dispatcher)
        self._drivers = self._accounts.drivers
        self._status = None
        if settings.status is not None and metrics is not None:
            self._status = StatusPage(
                settings,
                metrics,
                self._store,
                self._intake,
                drivers=self._drivers,
                removing=self._accounts.removing,
                actions={
                    "pause": self.pause,
                    "resume": self.resume,
                    "replace": self.replace_link,
                },
            )
        self._life = Life(
            self._store,
            self._secrets,
            self._transport,
            self._switchboard,
            self._intake,
            self._dispatcher,
            self._hooks,
            settings,
            accounts=self._accounts,
            status=self._status,
            clock=clock,
            slept=self._slept,
            blocked=lambda blocked: self._hooks(LoopBlocked(blocked)),
        )

    # --- handlers and accounts ------------------------------------------------------

    def on(
        self, kind: type[H], /, *, own: bool = False
    ) -> Callable[[Callable[[H], Awaitable[object]]], Callable[[H], Awaitable[object]]]:
        """Decorate a handler for messages of class ``kind``; see `Router.on`."""
        return self._router.on(kind, own=own)

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts that were added, in that order."""
        return tuple(driver.account for driver in self._drivers.values())

    @property
    def keeps_secrets_apart(self) -> bool:
        """Whether session material is kept in a store of its own: ``secrets``."""
        return self._secrets is not None

    @property
    def status_url(self) -> str | None:
        """Where the status page is; None while it is not served (`Settings.status`)."""
        return None if self._status is None else self._status.url

    def state(self, account_id: str, /) -> State:
        """Where an account stands; raises `StateError` if it was never added."""
        return self._driver(account_id).state

    async def add(self, account: Account, /) -> None:
        """Take in an account and start connecting it.

        Messages that an earlier run stored and did not handle are handed out again.
        Raises `StateError` if the account is there already or the client is closed, also if it
        closes meanwhile, and `StoreError` if the store cannot be used.
        """
        must_be(Account, "an Account", account=account)
        await self._life.start()
        await self._life.until_closed(self._accounts.add(account))

    def pause(self, account_id: str, /) -> None:
        """Close an account's link and open none until `resume`.

        What it has received is handled; what comes meanwhile is fetched afterwards. Nothing
        happens if it is paused already. Raises `StateError` if it was never added.
        """
        self._driver(account_id).feed(Pause())

    def resume(self, account_id: str, /) -> None:
        """Connect an account again that was paused or kicked; else nothing happens.

        Raises `StateError` if it was never added.
        """
        self._driver(account_id).feed(Start())

    def replace_link(self, account_id: str, /) -> None:
        """Open another link of an account that is connected, and then close the one of now.

        Nothing is missed meanwhile, and requests under way are answered. Nothing happens in
        other states, or while another link is being opened anyway. Raises `StateError` if the
        account was never added.
        """
        driver = self._driver(account_id)
        if driver.session.link is not None:
            driver.feed(LinkDeaf(driver.session.link))

    async def remove(self, account_id: str, /) -> None:
        """Stop an account and forget it, in whatever state it is.

        Nothing new is taken, its handlers that run get ``Settings.grace`` seconds, its link is
        closed. What was received and not handled stays in the store, for when the account is
        added again; a store that does not answer is left behind two seconds later, and what it
        was to take back comes after a restart. Called from a handler it returns at once, and goes
        on when the account's handlers have ended. Raises `StateError` if the account was never
        added or the client is closed.
        """
        self._life.check_open()
        must_be_text(account_id=account_id)
        removing = self._accounts.remove(account_id)
        if not self._dispatcher.runs(asyncio.current_task()):
            await asyncio.shield(removing)

    def replace_credentials(self, account: Account, /) -> None:
        """Go on with new cookies of an account, in whatever state it is.

        A link that is up stays until one with a new token is registered. Raises
        `StateError` if the account was never added.
        """
        must_be(Account, "an Account", account=account)
        self._driver(account.id).login.replace(account)

    # --- running --------------------------------------------------------------------

    async def run(self) -> None:
        """Work until SIGTERM, SIGINT or `close`, then stop cleanly.

        A second signal cuts off the handlers that still run, in place of the rest of
        ``Settings.grace``: their messages come again.
        """
        await self._life.run()

    async def close(self) -> None:
        """Stop: take nothing new, let running handlers finish, record, close the links.

        Handlers get ``Settings.grace`` seconds; the messages of those that are cut off
        stay in the inbox. A store that does not answer is left behind a second later. Whatever
        hangs, all of it takes ``grace`` + ``close_timeout`` + 5 seconds at most. May be called at
        any time and more than once; called from a handler it returns at once, and the client
        closes when the handler has ended.
        """
        await self._life.close()

    async def __aenter__(self) -> Client:
        await self._life.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # --- sending and asking ---------------------------------------------------------

    async def send_text(
        self,
        account_id: str,
        conversation_id: str,
        text: str,
        /,
        *,
        peer_id: str,
        durable: bool = False,
        name: str | None = None,
    ) -> Sent:
        """Send a text into a conversation.

        A text has one character at least and 750 000 bytes at most, as JSON in UTF-8; another
        one is a `ConfigError`. Texts of one conversation go out in the order in which they were
        asked for, at the pace of ``Settings.send_rate`` and its neighbours.

        Returns once the server has it. Raises `NotSent` if it surely did not go out, for want
        of a link or of its turn within ``Settings.send_timeout`` seconds, or was lost on its
        way; `SendRefused` if the server refused it; `SendUnknown` if no answer came and the
        conversation's history could not be read either. Whoever is cancelled while a text waits
        for its turn has not sent it.

        A ``durable`` text is in the store before it goes out, and is sent after a restart if
        it was not before; one that was on its way is looked for in the history first. It
        stays in the outbox, and goes out when that is possible, when its caller is cancelled
        or is told `NotSent` or `SendUnknown`; only `SendRefused` for good ends it, or
        `SendUnknown` if the server refuses to show its history, and refusals that pass are
        waited out however long it takes. Also raises `StoreError`; then it is not kept. A client
        without a store raises `ConfigError`. What is asked for again by the same ``name``,
        unique within the account, goes out once: the result of the first time is the result
        of all. Without a name every call is another text.
        """
        content = requests.text_content(text)
        outbox = self._outbox(account_id, durable=durable)
        return await outbox.send(conversation_id, peer_id, content, durable=durable, name=name)

    async def send_image(
        self,
        account_id: str,
        conversation_id: str,
        url: str,
        /,
        *,
        peer_id: str,
        width: int = 800,
        height: int = 600,
        durable: bool = False,
        name: str | None = None,
    ) -> Sent:
        """Send an uploaded picture, its size in pixels; returns and raises as `send_text`.

        ``url`` is the http(s) address that the upload gave, else a `ConfigError` is raised.
        """
        content = requests.image_content(url, width=width, height=height)
        outbox = self._outbox(account_id, durable=durable)
        return await outbox.send(conversation_id, peer_id, content, durable=durable, name=name)

    async def request(self, account_id: str, lwp: str, body: object = None, /) -> Any:
        """Send any request and return the body of its answer, as JSON gives it.

        For those that mark as read, take back or begin a conversation see the page
        howto/requests of the documentation. Raises `ConfigError` for what is no JSON, `NotSent`,
        `SendRefused` or `SendUnknown`.
        """
        return await self._driver(account_id).ask(partial(requests.request, lwp, body))

    async def history(
        self,
        account_id: str,
        conversation_id: str,
        /,
        *,
        before: int | None = None,
        limit: int = 20,
    ) -> list[Message]:
        """One page of a conversation's messages, the newest first.

        ``before`` (milliseconds) asks for older ones than that. Raises as `request`.
        """
        must_be_text(conversation_id=conversation_id)
        cursor = requests.NEWEST if before is None else before
        body = await self._driver(account_id).ask(
            partial(requests.history, conversation_id, cursor=cursor, limit=limit)
        )
        return envelope.messages_of(body, account_id, self)

    async def conversations(
        self, account_id: str, /, *, before: int | None = None, limit: int = 50
    ) -> list[Conversation]:
        """One page of an account's conversations, the last changed first.

        ``before`` (milliseconds) asks for those changed earlier. Raises as `request`.
        """
        cursor = requests.NEWEST if before is None else before
        body = await self._driver(account_id).ask(
            partial(requests.list_conversations, cursor=cursor, limit=limit)
        )
        return envelope.conversations(body, account_id)

    # --- what happens meanwhile -----------------------------------------------------

    def _finished(self, delivery: Delivery, letter: DeadLetter | None) -> None:
        if isinstance(delivery.message, Gap) and delivery.account_id in self._drivers:
            self._drivers[delivery.account_id].gaps.told(delivery.message)
        self._intake.finished(delivery, letter)

    def _slept(self, slept: float) -> None:
        say(log, logging.WARNING, "machine slept, links are tested", slept=seconds(slept))
        self._hooks(MachineSlept(slept))
        for driver in self._drivers.values():
            driver.test_link()

    def _stall(self, stalled: bool) -> None:
        for driver in self._drivers.values():
            driver.stall(stalled)

    def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._dispatcher.put(delivery)
        self._dispatcher.start()

    def _outbox(self, account_id: str, *, durable: bool) -> Outbox:
        outbox = self._driver(account_id).outbox
        if durable and not self._keeps:
            raise ConfigError(
                "durable=True wants a store on disk, Client(store='xyfast.db'): without one "
                "nothing survives a restart"
            )
        return outbox

    def _driver(self, account_id: str) -> Driver:
        must_be_text(account_id=account_id)
        return self._accounts.driver(account_id)
