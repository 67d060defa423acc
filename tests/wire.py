"""A client on a wire in memory: frames go in by hand, and what it does is written down."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from xyfast import Account, ChatMessage, Client, Settings, Token
from xyfast._core import Frame, parse_frame
from xyfast.events import Dial, LinkOpened
from xyfast.gates import Gates
from xyfast.instrumentation import Fact
from xyfast.store import MemoryStore, Outcome, Page, Row, SecretStore, Store
from xyfast.testing.samples import Message, Sample, chat, text_content
from xyfast.transport import LinkEvent

ME, OTHER = "9000000000001", "9000000000002"
BASE = 1_767_225_600_000
"""The time of message 0 (milliseconds); each message is a millisecond later than the last."""


class Wire:
    """A transport that opens no links."""

    def __init__(self) -> None:
        self.sink: Callable[[Sequence[LinkEvent]], None] = lambda events: None
        self.log: list[tuple[str, Any]] = []
        self.acked: list[str] = []
        self.paused = False

    def start(self, sink: Callable[[Sequence[LinkEvent]], None]) -> None:
        self.sink = sink

    def dial(
        self, policy: Dial, headers: Sequence[tuple[str, str]], register: str, proxy: str | None
    ) -> None:
        self.log.append(("dial", policy.link))

    def ack(self, frames: Sequence[Frame]) -> int:
        self.acked += [frame.mid or "" for frame in frames]
        self.log.append(("ack", len(frames)))
        return len(frames)

    def send(self, link: int, text: str) -> bool:
        self.log.append(("send", {**json.loads(text), "over": link}))
        return True

    def stats(self, link: int) -> None:
        return None

    def close(self, link: int) -> None:
        self.log.append(("close", link))

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def stop(self) -> None:
        pass

    def over(self, lwp: str) -> int:
        """The link over which a request with that path was last sent."""
        return next(sent["over"] for sent in self.told("send")[::-1] if sent.get("lwp") == lwp)

    def told(self, what: str) -> list[Any]:
        return [detail for name, detail in self.log if name == what]


class Tokens:
    """Gives every account a token at once."""

    async def token(self, account: Account, keep: Callable[[Account], None], /) -> Token:
        return Token("synthetic", None)


def message(
    number: int, conversation: str = "70000000011", words: str = "", time: int | None = None
) -> Message:
    """Chat message ``number``, whose text says so; ``time`` counts from `BASE` as it does."""
    return Message(
        id=f"{5_000_000_000_000 + number}.PNM",
        conversation=conversation,
        sender="9000000000102",
        peer="9000000000102",
        content=text_content(f"{number} {words}".strip()),
        time=BASE + (number if time is None else time),
    )


def sample(
    number: int, conversation: str = "70000000011", words: str = "", time: int | None = None
) -> Sample:
    """A `message` as it is pushed."""
    return chat(message(number, conversation, words, time))


def push(number: int, *samples: Sample) -> Frame:
    """Push ``number``, whose package ends at the position of message ``number``."""
    package = {
        "maxPts": (BASE + number) * 1000,
        "hasMore": 0,
        "timestamp": BASE + number,
        "data": [{"data": one.payload, "objectType": one.object_type} for one in samples],
    }
    headers = {"mid": f"{number} 0", "sid": "synthetic"}
    body = {"syncPushPackage": package}
    return parse_frame(json.dumps({"lwp": "/s/sync", "headers": headers, "body": body}))


class Desk:
    """A client with accounts on a `Wire`, and what its handlers were given."""

    def __init__(
        self,
        store: Store | None = None,
        *,
        secrets: SecretStore | None = None,
        transport: Wire | None = None,
        **settings: Any,
    ) -> None:
        self.wire = transport or Wire()
        self.store = MemoryStore() if store is None else store
        self.facts: list[Fact] = []
        self.observer: Callable[[Fact], object] = self.facts.append
        self.handled: list[ChatMessage] = []
        self.started: list[ChatMessage] = []
        self.slept = 0.0
        """Seconds for which the machine has slept by now."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.client = Client(
            store=self.store,
            secrets=secrets,
            settings=Settings(**settings),
            tokens=Tokens(),
            hooks=[lambda fact: self.observer(fact)],
            transport=self.wire,
            gates=Gates(clock=asyncio.get_running_loop().time, dice=lambda: 0.99),
            clock=lambda: BASE / 1000 + asyncio.get_running_loop().time() + self.slept,
        )
        self.client.on(ChatMessage)(self._handle)
        self._links: dict[str, int] = {}

    async def _handle(self, message: ChatMessage) -> None:
        self.started.append(message)
        await self.gate.wait()
        self.handled.append(message)

    @property
    def intake(self) -> Any:
        return self.client._intake

    def driver(self, account: str = ME) -> Any:
        return self.client._drivers[account]

    async def connect(self, *accounts: str) -> None:
        """Add accounts; their links are open and what they push counts."""
        for account in accounts or (ME,):
            await self.add(account)
            await asyncio.sleep(0.01)
            self.open(account)
            await asyncio.sleep(0.01)

    async def add(self, account: str) -> None:
        await self.client.add(Account.from_cookies(f"unb={account}; _m_h5_tk=a_1; cookie2=b"))

    def open(self, account: str = ME) -> None:
        """Open the link that was dialled last; frames made by hand are numbered 0."""
        driver = self.driver(account)
        driver.feed(LinkOpened(driver.session.dialling))
        driver.cut = -1
        sync = driver.sync
        sync.suspend()
        for task in (sync._greeting, sync._work):
            if task is not None:
                task.cancel()
        sync.confirmed = sync._follows = 0
        sync._holding.end()

    def give(self, *frames: Frame, account: str = ME) -> None:
        for frame in frames:
            self.client._switchboard.on_frame(self.driver(account), frame)

    def flood(self, numbers: range, conversations: int, account: str = ME, words: str = "") -> None:
        for number in numbers:
            name = str(70_000_000_000 + number % conversations)
            self.give(push(number, sample(number, name, words)), account=account)

    @property
    def numbers(self) -> list[int]:
        return [number(message) for message in self.handled]

    def in_order(self) -> bool:
        """Whether every conversation was handled in order, each message once."""
        last: dict[tuple[str, str | None], int] = {}
        for message in self.handled:
            lane = (message.account_id, message.conversation_id)
            if last.get(lane, -1) >= number(message):
                return False
            last[lane] = number(message)
        keys = Counter((message.account_id, message.key) for message in self.handled)
        return max(keys.values(), default=1) == 1

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait on the virtual clock."""
        for _ in range(100_000):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it never came to that")


def number(message: ChatMessage) -> int:
    return int(message.text.split()[0])


@asynccontextmanager
async def working(store: Store | None = None, **settings: Any) -> AsyncIterator[Desk]:
    """A desk whose client is closed at the end."""
    desk = Desk(store, **settings)
    async with desk.client:
        yield desk


class Ward(MemoryStore):
    """A store that fails on demand, and writes down what was committed."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.failing: Exception | None = None
        self.tries = 0
        self.stored: set[str] = set()
        self.by_other: list[str] = []

    async def commit(
        self, rows: Sequence[Row] = (), outcomes: Sequence[Outcome] = (), **positions: Any
    ) -> Collection[tuple[str, str]]:
        self.tries += 1
        if self.failing is not None:
            raise self.failing
        new = await super().commit(rows, outcomes, **positions)
        self.stored |= {row.key for row in rows}
        return new

    async def take(self, *args: Any, **options: Any) -> Page:
        if self.failing is not None:
            raise self.failing
        return await super().take(*args, **options)

    async def revived(self) -> Collection[str]:
        found, self.by_other = self.by_other, []
        return found


async def reopened(store: MemoryStore) -> Any:
    await store.open()
    return await store.load(ME)
