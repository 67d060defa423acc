"""One account's outbox on the virtual clock, with a link to a platform."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

from simulation.sends import ME, PEER, Fate, Platform
from xyfast import MemoryStore, Sent, Settings
from xyfast.calls import Calls
from xyfast.instrumentation import Fact, Hooks, SendFinished
from xyfast.outbox import Outbox
from xyfast.requests import text_content
from xyfast.store import Store

CID, OTHER = "70000000011", "70000000012"
UNHURRIED = {"send_rate": 100.0, "send_burst": 100, "conversation_burst": 100}


class World:
    """One account's outbox with a link to a platform, which comes back a second after a loss."""

    def __init__(
        self,
        *,
        store: Store | None = None,
        clock_ahead: float = 0.0,
        told: bool = True,
        **options: Any,
    ) -> None:
        self.settings = Settings(**options.pop("settings", UNHURRIED))
        self.store = store or MemoryStore()
        self.loop = asyncio.get_running_loop()
        self.facts: list[SendFinished] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.platform = Platform(self._answered, self.lose, **options)
        self.clock = lambda: self.platform.clock_ms() / 1000 + clock_ahead
        self.calls = Calls(
            ME,
            self.platform,  # type: ignore[arg-type]
            self.settings.request_timeout,
            clock=self.clock,
            dice=random.Random(0),
        )
        if told:
            self.calls.told(self.platform.clock_ms())
        self.outbox = Outbox(
            ME,
            self.calls,
            self.store,
            self.settings,
            spawn=self._spawn,
            hooks=Hooks([self._note]),
        )
        self.link = 0

    async def start(self) -> World:
        await self.outbox.load()
        self.connect()
        return self

    def connect(self) -> None:
        self.link += 1
        self.platform.up = True
        self.calls.use(self.link)
        self.outbox.pump()

    def lose(self, back_after: float | None = 1.0) -> None:
        self.platform.up = False
        self.calls.lost(self.link)
        if back_after is not None:
            self.loop.call_later(back_after, self.connect)

    async def stop(self) -> None:
        self.outbox.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def text(self, text: str, conversation: str = CID, **options: Any) -> asyncio.Task[Sent]:
        sending = self.outbox.send(conversation, PEER, text_content(text), **options)
        return self.loop.create_task(sending)

    def _answered(self, frame: Any) -> None:
        if self.platform.up:
            self.calls.answered(frame)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def _note(self, fact: Fact) -> None:
        assert isinstance(fact, SendFinished)
        self.facts.append(fact)

    @property
    def written(self) -> list[tuple[float, str]]:
        return [(round(at, 3), text) for at, _, text in self.platform.written]

    @property
    def outcomes(self) -> list[str]:
        return [fact.outcome for fact in self.facts]


def fates(*those: Fate) -> Any:
    """Each send meets the next of these; all further ones are answered."""
    left = list(those)
    return lambda: left.pop(0) if left else "ok"


async def restarted(world: World, **options: Any) -> World:
    """The next run of the program with the same store and the same platform."""
    await world.stop()
    again = World(store=world.store, **options)
    again.platform.taken.extend(world.platform.taken)
    return await again.start()


async def states(world: World) -> list[str]:
    return [post.state for post in await world.store.unsent(ME)]
