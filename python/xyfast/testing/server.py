"""A fake of the platform on loopback sockets, for tests and demonstrations."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from xyfast.errors import StateError
from xyfast.testing import mtop, samples
from xyfast.testing.faults import PLANS, Fault, PlanRun
from xyfast.testing.http import HttpConnection
from xyfast.testing.ledger import Ledger
from xyfast.testing.link import Link
from xyfast.testing.platform import AccountState, Platform
from xyfast.testing.routes import take_back
from xyfast.testing.samples import Message, Sample, compact
from xyfast.testing.service import Service
from xyfast.testing.settings import ServerSettings

__all__ = ["FakeServer"]

CONVERSATION = "70000000011"
BUYER = "9000000000102"
BACKLOG = 4096
TURNS = 3
"""Turns of asyncio's loop after which a socket that it has accepted is a connection."""
RECHECK = 0.02
"""Seconds after which a waiting condition is looked at again, changed ledger or not."""


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class FakeServer:
    """The platform's IM service and HTTP gateway, as far as a client can tell.

    ::

        async with FakeServer(["9000000000001"]) as server:
            ...  # point a client at server.url and server.token_url
            server.push_text("9000000000001", "在吗")
            await server.wait(lambda: server.ledger("9000000000001").sent)

    Everything but `wait` and the start and end is a plain call, to be made in the event
    loop that started the server. Where an account is asked for, ``None`` means all.
    ``clock`` gives the time on the wire, milliseconds since 1970; intervals are the
    loop's. ``plan`` names one of `PLANS`, whose action comes about every ``plan_every``
    pushes. Each server has message ids of its own, so that a bot with a kept store takes
    none for an old one; the same ``seed`` (0 or more) gives the same ids, and the same moments
    of a plan. ``port`` and ``http_port`` are where to listen; 0 is any free port.
    """

    def __init__(
        self,
        accounts: Sequence[str],
        *,
        settings: ServerSettings | None = None,
        clock: Callable[[], int] = _wall_ms,
        plan: str = "none",
        plan_every: int = 200,
        seed: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        http_port: int = 0,
    ) -> None:
        if seed is None:
            seed = random.SystemRandom().getrandbits(32)
        self._platform = Platform(accounts, settings or ServerSettings(), clock, seed)
        self._plan = PlanRun(PLANS[plan], plan_every, seed)
        self._platform.faults.update(self._plan.plan.faults)
        self._host = host
        self._ports = [port, http_port]
        self._listeners: list[asyncio.Server] = []
        self._http: set[HttpConnection] = set()
        self._started: Service | None = None

    # Life

    async def start(self) -> None:
        """Listen on free ports."""
        if self._started is not None:
            raise StateError("the fake server runs already")
        self._started = Service(self._platform)
        await self.up()

    async def close(self) -> None:
        """Drop every connection and stop listening; ledgers stay readable."""
        if self._started is not None:
            for channel in self._started.channels.values():
                channel.stop()
        await self.down()

    async def __aenter__(self) -> FakeServer:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def down(self) -> None:
        """Cut everything with RST and refuse connections until `up`."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            for socket in listener.sockets:
                loop.remove_reader(socket.fileno())
        for _ in range(TURNS):  # else asyncio forgets them and leaves them open
            await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        await self.wait(self._nothing_connected)
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners.clear()

    async def up(self) -> None:
        """Listen again on the ports of before."""
        loop = asyncio.get_running_loop()
        factories: tuple[Callable[[], asyncio.Protocol], ...] = (
            partial(Link, self._service),
            partial(HttpConnection, partial(mtop.answer, self._platform), self.clock, self._http),
        )
        for index, factory in enumerate(factories):
            listener = await loop.create_server(
                factory, self._host, self._ports[index], backlog=BACKLOG
            )
            self._ports[index] = listener.sockets[0].getsockname()[1]
            self._listeners.append(listener)

    @property
    def url(self) -> str:
        """The WebSocket address."""
        return f"ws://{self._host}:{self._ports[0]}/"

    @property
    def token_url(self) -> str:
        """The base of the HTTP calls, in the place of ``https://h5api.m.goofish.com/h5``."""
        return f"http://{self._host}:{self._ports[1]}/h5"

    @property
    def settings(self) -> ServerSettings:
        """What the server assumes."""
        return self._platform.settings

    def clock(self) -> int:
        """Return the time on the wire, ms."""
        return self._platform.clock()

    # Accounts

    @property
    def accounts(self) -> list[str]:
        """The ids of the accounts."""
        return list(self._platform.accounts)

    def cookies(self, account: str) -> str:
        """Return a cookie string that the account can use."""
        return self._account(account).cookies()

    def log_in(self, account: str) -> str:
        """Do what a human does: log in anew, which ends risk control; return the cookies.

        The cookies of before are answered with SESSION_EXPIRED from here on.
        """
        state = self._account(account)
        state.faults -= {Fault.RISK_CONTROL, Fault.SESSION_EXPIRED}
        state.log_in()
        return state.cookies()

    def expire_signatures(self, account: str) -> None:
        """Make the account's ``_m_h5_tk`` too old."""
        self._account(account).signing.clear()

    def expire_tokens(self, account: str) -> None:
        """Make the account's access tokens worthless, those of its links too."""
        self._platform.expire_tokens(self._account(account))

    def links(self, account: str | None = None) -> int:
        """Return the number of registered links."""
        return len(self._service.seats(account))

    # Pushes

    def new_conversation_id(self) -> str:
        """Return the id of a conversation that nobody has had yet."""
        return self._platform.new_conversation_id()

    def new_message_id(self) -> str:
        """Return a message id that nobody has had yet."""
        return self._platform.new_message_id()

    def message(
        self,
        account: str,
        content: str | dict[str, Any],
        *,
        conversation: str = CONVERSATION,
        sender: str = BUYER,
    ) -> Message:
        """Make a message to the account, now, with a fresh id; `push` takes it."""
        state = self._account(account)
        known = state.conversations.get(conversation)
        peer = sender if sender != account else known.peer if known is not None else BUYER
        return Message(
            id=self._platform.new_message_id(),
            conversation=conversation,
            sender=sender,
            peer=peer,
            time=self._platform.clock(),
            content=samples.text_content(content) if isinstance(content, str) else content,
        )

    def push(
        self,
        account: str,
        entries: Sequence[Message | Sample | str],
        *,
        lwp: str = "/s/sync",
    ) -> list[str]:
        """Push one package and return the ids of its entries.

        A message also goes into the history; a string is taken as the payload itself.
        """
        state = self._account(account)
        batch = [_sample(entry) for entry in entries]
        for sample in batch:
            if sample.message is not None:
                state.remember(sample.message)
        pushed = self._service.channels[account].push(batch, lwp)
        ids = [entry.id for entry in pushed]
        state.ledger.pushed.extend(ids)
        self._platform.changes.notify()
        if self._plan.due() and self._plan.plan.action is not None:
            self._plan.plan.action(self, account)
        return ids

    def lose(self, account: str, message: Message) -> str:
        """Put a message into the history that no push will bring; return its id."""
        self._account(account).remember(message)
        return message.id

    def push_text(
        self,
        account: str,
        text: str,
        *,
        conversation: str = CONVERSATION,
        sender: str = BUYER,
    ) -> str:
        """Push one text and return its message id."""
        message = self.message(account, text, conversation=conversation, sender=sender)
        return self.push(account, [message])[0]

    def flood(self, account: str, count: int, *, conversations: int = 10) -> list[str]:
        """Push so many texts at once, a full package at a time; return their ids."""
        size = self._platform.settings.package_size
        first = int(CONVERSATION)
        ids: list[str] = []
        while len(ids) < count:
            numbers = range(len(ids), min(len(ids) + size, count))
            batch = [
                self.message(account, f"flood {n}", conversation=str(first + n % conversations))
                for n in numbers
            ]
            ids += self.push(account, batch)
        return ids

    def recall(self, message_id: str) -> None:
        """Take a message back, as its sender would."""
        for state in self._platform.accounts.values():
            message = state.find(message_id)
            if message is not None:
                take_back(self._platform, self._service.channels, message)
                return
        raise KeyError(message_id)

    def announce_gap(self, account: str) -> None:
        """Tell the account's links that the gap is too long to replay."""
        self._service.channels[account].announce_gap()

    def jump(self, account: str, seconds: float) -> None:
        """Let the account's positions run ahead of the clock from here on."""
        self._service.channels[account].position += int(seconds * 1_000_000)

    # Faults

    def fault(self, account: str | None, *faults: Fault) -> None:
        """Switch faults on until `heal`; raises `TypeError` for what is no `Fault`."""
        for fault in faults:
            if not isinstance(fault, Fault):
                raise TypeError(
                    f"fault() takes members of Fault, such as Fault.DEAF, not {fault!r}"
                )
        self._faults(account).update(faults)

    def heal(self, account: str | None, *faults: Fault) -> None:
        """Switch faults off; all of them if none is named."""
        switched = self._faults(account)
        switched.difference_update(faults or tuple(switched))

    def reset(self, account: str | None = None) -> None:
        """Cut links with RST; what was not sent yet is lost."""
        for link in self._links(account):
            link.reset()

    def close_links(self, account: str | None = None, code: int = 1000, reason: str = "") -> None:
        """Close links with any code, also one that must not be on the wire."""
        for link in self._links(account):
            link.close(code, reason)

    def half_open(self, account: str | None = None) -> None:
        """Read and write nothing more on links whose sockets stay open."""
        for link in self._links(account):
            link.freeze()

    def cut(self, account: str | None = None) -> None:
        """End links in the middle of a frame."""
        for link in self._links(account):
            link.cut(compact({"headers": {"mid": "0 0"}, "lwp": "/s/sync", "body": {}}))

    def oversize(self, account: str | None = None, size: int = 5 << 20) -> None:
        """Write one push whose frame has more than ``size`` bytes."""
        for link in self._links(account):
            body = {"padding": "x" * size}
            link.send_text(compact({"headers": {"mid": "0 0"}, "lwp": "/s/sync", "body": body}))

    def write(self, account: str | None, data: bytes) -> None:
        """Write bytes below the WebSocket protocol, for example bits that no frame has."""
        for link in self._links(account):
            link.write(data)

    def kick(self, account: str | None = None, lwp: str = "/push/kickout") -> None:
        """Tell links that they are kicked; ``/s/session/remove`` is the other path."""
        for seat in self._service.seats(account):
            self._service.channels[seat.account.id].kick(seat, lwp)

    # What happened

    def ledger(self, account: str) -> Ledger:
        """Return what happened to an account so far; the server keeps writing it."""
        return self._account(account).ledger

    def summary(self) -> dict[str, int]:
        """Return the totals of all ledgers."""
        ledgers = [state.ledger for state in self._platform.accounts.values()]
        return {
            "pushed": sum(len(ledger.pushed) for ledger in ledgers),
            "acked": sum(len(ledger.acked.intersection(ledger.pushed)) for ledger in ledgers),
            "replied": sum(len(ledger.sent) for ledger in ledgers),
            "repeated": sum(ledger.repeated for ledger in ledgers),
        }

    async def wait(self, condition: Callable[[], object], timeout: float = 10.0) -> None:
        """Return once ``condition()`` is true, or raise `TimeoutError`.

        It is looked at after every change of a ledger and a few times in a second
        besides, so it may ask about the test's own state too.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        changed = asyncio.Event()
        self._platform.changes.subscribe(changed.set)
        recheck: asyncio.TimerHandle | None = None
        try:
            while not condition():
                if loop.time() >= deadline:
                    raise TimeoutError(f"not within {timeout} s; {self.summary()}")
                changed.clear()
                recheck = loop.call_later(RECHECK, changed.set)
                await changed.wait()
                recheck.cancel()
        finally:
            if recheck is not None:
                recheck.cancel()
            self._platform.changes.unsubscribe(changed.set)

    # Inside

    @property
    def _service(self) -> Service:
        if self._started is None:
            raise StateError("the fake server was not started")
        return self._started

    def _nothing_connected(self) -> bool:
        """Cut what is connected and return whether nothing was."""
        connections: list[Link | HttpConnection] = [*self._service.links, *self._http]
        for connection in connections:
            connection.reset()
        return not connections

    def _account(self, account: str) -> AccountState:
        found = self._platform.accounts.get(account)
        if found is None:
            known = ", ".join(self._platform.accounts)
            raise KeyError(f"the fake server has no account {account!r}; it has: {known}")
        return found

    def _faults(self, account: str | None) -> set[Fault]:
        return self._platform.faults if account is None else self._account(account).faults

    def _links(self, account: str | None) -> list[Link]:
        if account is None:
            return list(self._service.links)
        return [seat.link for seat in self._service.seats(account)]


def _sample(entry: Message | Sample | str) -> Sample:
    if isinstance(entry, Message):
        return samples.chat(entry)
    return Sample(entry) if isinstance(entry, str) else entry
