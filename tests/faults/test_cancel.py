"""Cancelled or closed at every step there is: nothing hangs, is left behind, lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import warnings
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

from faults.bot import acquaint
from simulation.loop import simulate
from wire import Desk, Ward, push, sample
from world import ME, ThreadedServer
from xyfast import Account, ChatMessage, Client, StateError, StoreError
from xyfast.store import MemoryStore
from xyfast.testing import fast_settings

pytestmark = pytest.mark.timeout(600)


class Steps:
    """Awaits a coroutine and calls ``interrupt`` with the number of each wait in it."""

    def __init__(self, work: Coroutine[Any, Any, None], interrupt: Callable[[int], object]) -> None:
        self._work = work
        self._interrupt = interrupt

    def __await__(self) -> Generator[Any, Any, None]:
        error: BaseException | None = None
        for number in itertools.count(1):
            try:
                wait = self._work.send(None) if error is None else self._work.throw(error)
            except StopIteration:
                return
            self._interrupt(number)
            error = None
            try:
                yield wait
            except BaseException as thrown:
                error = thrown


class Bot:
    """What a user's program does, on real sockets and a real store."""

    def __init__(self, threaded: ThreadedServer, path: Path) -> None:
        self._threaded = threaded
        self.path = path
        self.pushed: list[str] = []
        self.handled: list[ChatMessage] = []

    async def main(
        self, enough: Callable[[], bool], interrupt: Callable[[int], object] = lambda number: None
    ) -> None:
        """Work until it is enough, and close, whatever happens."""
        server = self._threaded.server
        client = Client(store=self.path, settings=fast_settings(server, backlog=4, grace=0.05))
        over = asyncio.Event()

        @client.on(ChatMessage)
        async def note(message: ChatMessage) -> None:
            await asyncio.sleep(0)
            self.handled.append(message)
            if enough():
                over.set()

        async def work() -> None:
            async with client:
                cookies = self._threaded.call(lambda: server.cookies(ME))
                await client.add(Account.from_cookies(cookies))
                if not enough():
                    await over.wait()

        try:
            await Steps(work(), interrupt)
        finally:
            await client.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    def push(self, count: int) -> None:
        def work() -> None:
            for _ in range(count):
                conversation = str(70000000011 + len(self.pushed) % 3)
                text = str(len(self.pushed))
                key = self._threaded.server.push_text(ME, text, conversation=conversation)
                self.pushed.append(key)

        self._threaded.call(work)

    def check(self) -> None:
        """Nothing lost, nothing doubled in silence, in order."""
        assert {message.key for message in self.handled} == set(self.pushed)
        seen: set[str] = set()
        last: dict[str | None, int] = {}
        for message in self.handled:
            number = int(message.text)
            if message.key in seen:
                assert message.redelivered
            else:
                assert last.get(message.conversation_id, -1) < number
                last[message.conversation_id] = number
            seen.add(message.key)


@pytest.mark.parametrize("always", [False, True])
def test_a_program_that_is_cancelled_at_any_of_its_waits_can_begin_again(
    always: bool, threaded_server: ThreadedServer, tmp_path: Path
) -> None:
    """Cancelled once, or from there on at every wait."""
    bot = Bot(threaded_server, tmp_path / "x.db")
    asyncio.run(acquaint(threaded_server.server, bot.path))

    def everything() -> bool:
        return {message.key for message in bot.handled} >= set(bot.pushed)

    for k in itertools.count(1):
        reached = 0

        def interrupt(number: int, k: int = k) -> None:
            nonlocal reached
            reached = number
            if number == k or (always and number > k):
                task = asyncio.current_task()
                assert task is not None
                task.cancel()

        bot.push(6)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(bot.main(everything, interrupt))
        if reached < k:
            break
    assert k > 4
    asyncio.run(bot.main(everything))
    bot.check()


@pytest.mark.parametrize("store", [MemoryStore, Ward])
@pytest.mark.parametrize("cancelled", [False, True])
def test_a_client_that_is_closed_at_any_step_of_the_loop_leaves_nothing_behind(
    cancelled: bool, store: type[MemoryStore]
) -> None:
    """Closed as a signal does it; or everything else that runs is cancelled at that moment.

    Calls of a store that is not one of ours run in tasks of their own.
    """
    for k in itertools.count(1):
        life = Life(k, cancelled, store())
        simulate(life.main(), after_step=life.step)
        if life.steps < k:
            break
    assert k > 50


class Life:
    """A client on a wire in memory that is closed at step ``k``, and one that comes after it."""

    def __init__(self, k: int, cancelled: bool, store: MemoryStore) -> None:
        self.steps = 0
        self._k = k
        self._cancelled = cancelled
        self._desk: Desk | None = None
        self._store = store
        self._frames = [push(n, sample(n, str(70_000_000_000 + n % 3))) for n in range(12)]

    def step(self) -> None:
        """Count the steps of the first client's life, and end it at one of them."""
        if self._desk is None:
            return
        self.steps += 1
        if self.steps == self._k:
            cancelled = self._cancelled and not self._desk.client._life.over
            others = asyncio.all_tasks() - {self._user, self._desk.client._life.begin_close()}
            for task in others if cancelled else ():
                task.cancel()

    async def main(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._user = task
        self._desk = first = self._new()
        try:
            await self._work(first)
        except (StateError, StoreError, asyncio.CancelledError):
            assert first.client._life.over
        await first.client.close()
        self._desk = None
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {task}
        handled = [message.key for message in first.handled]
        assert len(set(handled)) == len(handled)
        assert first.in_order()
        await self._store.open()
        second = self._new()
        async with second.client:
            await self._work(second)
        assert second.in_order()
        keys = {f"{5_000_000_000_000 + n}.PNM" for n in range(12)}
        assert keys == {*handled, *(message.key for message in second.handled)}
        again = [message for message in second.handled if message.key in handled]
        assert all(message.redelivered for message in again)

    def _new(self) -> Desk:
        return Desk(self._store, backlog=4, commit_batch=4, grace=0.5)

    async def _work(self, desk: Desk) -> None:
        await desk.connect()
        for frame in self._frames:
            desk.give(frame)
            await asyncio.sleep(0.01)
        await desk.until(lambda: len(desk.wire.acked) == 12 or desk.client._life.over)
        await asyncio.sleep(1.0)
