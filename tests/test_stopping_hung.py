"""A store or a handler that never ends: what it costs whoever closes, adds or removes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from simulation.loop import simulate
from wire import ME, OTHER, Desk, working
from xyfast import Account, ChatMessage
from xyfast.errors import StateError
from xyfast.secret import Secret
from xyfast.store import MemoryStore


class Stuck(MemoryStore):
    """A store of which a verb, or all of it, never returns once it is stuck."""

    def __init__(self, stuck: str | None = None) -> None:
        super().__init__()
        self.stuck = stuck
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def _pass(self, verb: str) -> None:
        if self.stuck in (verb, "all"):
            await asyncio.Event().wait()


def _passing(verb: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    call = getattr(MemoryStore, verb)

    async def run(self: Stuck, *arguments: Any, **options: Any) -> Any:
        await self._pass(verb)
        return await call(self, *arguments, **options)

    return run


for _verb in (
    *("open", "load", "commit", "save_session", "untake"),
    *("sweep", "revived", "depth", "close"),
):
    setattr(Stuck, _verb, _passing(_verb))


class Deaf(Stuck):
    """Such a verb does not even end when it is cancelled, and fails in the end."""

    async def _pass(self, verb: str) -> None:
        if self.stuck in (verb, "all"):
            self.asked.set()
            while not self.let.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await self.let.wait()
            raise ValueError("cookies")


@pytest.mark.parametrize("verb", ["commit", "save_session", "close"])
def test_a_store_that_never_answers_is_left_behind(
    verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        store = Stuck()
        async with working(store, grace=3.0, close_timeout=0.1) as desk:
            await desk.connect()
            desk.flood(range(1), 1)
            await desk.until(lambda: desk.handled)
            store.stuck = verb
            desk.client.replace_credentials(account("c"))
            begin = asyncio.get_running_loop().time()
            await desk.client.close()
            assert asyncio.get_running_loop().time() - begin < 5.2

    simulate(main())
    assert caplog.text.count("store does not answer") == 1
    assert ("handled and not recorded" in caplog.text) == (verb == "commit")


def test_a_store_that_never_answers_while_an_account_is_removed_is_left_behind() -> None:
    async def main() -> None:
        store = Stuck()
        async with working(store, max_handlers=1, grace=3.0, close_timeout=0.1) as desk:
            await desk.connect()
            desk.gate.clear()
            desk.flood(range(3), 3)
            await desk.until(lambda: len(desk.wire.acked) == 3)
            store.stuck = "untake"
            removing = asyncio.ensure_future(desk.client.remove(ME))
            await asyncio.sleep(1.0)
            begin = asyncio.get_running_loop().time()
            await asyncio.wait_for(desk.client.close(), 60.0)
            assert asyncio.get_running_loop().time() - begin < 6.0
            await removing

    simulate(main())


@pytest.mark.parametrize("verb", ["sweep", "revived", "depth", "close"])
def test_a_store_that_does_not_hear_its_cancellation_is_left_behind(
    verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        store = Deaf(verb)
        soon = {"sweep_every": 1.0, "revived_every": 1.0, "measure_every": 1.0}
        async with working(store, grace=3.0, close_timeout=0.1, **soon) as desk:
            await desk.connect()
            if verb != "close":
                await store.asked.wait()
            loop = asyncio.get_running_loop()
            begin = loop.time()
            closing = asyncio.ensure_future(desk.client.close())
            await asyncio.wait({closing}, timeout=60.0)
            took = loop.time() - begin
            store.let.set()
            await closing
            assert took < 5.2
            await asyncio.sleep(1.0)
        gc.collect()  # asyncio logs what nobody has asked for when its task goes

    simulate(main())
    assert caplog.text.count("store does not answer") == 1
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize("verb", ["commit", "untake", "save_session"])
def test_removing_ends_however_a_store_hangs(verb: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        store = Stuck()
        async with working(store, max_handlers=1, grace=3.0, close_timeout=0.1) as desk:
            await desk.connect(ME, OTHER)
            desk.gate.clear()
            desk.flood(range(3), 3)
            await desk.until(lambda: len(desk.wire.acked) == 3)
            store.stuck = verb
            desk.client.replace_credentials(account("c"))
            begin = asyncio.get_running_loop().time()
            await asyncio.wait_for(desk.client.remove(ME), 60.0)
            assert asyncio.get_running_loop().time() - begin <= 3.0 + 2.0
            assert [each.id for each in desk.client.accounts] == [OTHER]
            store.stuck = None
            desk.gate.set()
            await desk.add(ME)  # as though it had never been there

    simulate(main())
    assert (f"(account={ME}, what=" in caplog.text) == (verb != "commit")


@pytest.mark.parametrize("verb", ["open", "load", "save_session"])
@pytest.mark.parametrize("deaf", [False, True])
def test_adding_ends_with_the_client(verb: str, deaf: bool) -> None:
    async def main() -> None:
        store = Deaf(verb) if deaf else Stuck()
        store.stuck = verb
        desk = Desk(store, grace=3.0, close_timeout=0.1)
        adding = asyncio.ensure_future(desk.add(ME))
        await asyncio.sleep(1.0)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        closing = asyncio.ensure_future(desk.client.close())
        await asyncio.wait({closing}, timeout=60.0)
        took = loop.time() - begin
        await asyncio.wait({adding}, timeout=1.0)
        in_time = adding.done()
        store.let.set()
        await closing
        with pytest.raises(StateError, match="closed"):
            await adding
        assert in_time
        assert took <= (3.0 + 1.0 if deaf or verb == "open" else 0.0)
        await asyncio.sleep(1.0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    simulate(main())


def test_an_account_whose_adding_was_cancelled_can_be_added() -> None:
    async def main() -> None:
        store = Stuck()
        async with working(store) as desk:
            store.stuck = "load"
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(desk.add(ME), 1.0)
            assert desk.client.accounts == ()
            store.stuck = None
            await desk.connect()

    simulate(main())


def test_closing_has_one_bound_whatever_hangs() -> None:
    async def main() -> None:
        store = Deaf()
        desk = Desk(store, grace=3.0, close_timeout=0.5)
        await desk.connect(ME, OTHER)  # their links never end

        @desk.client.on(ChatMessage)
        async def hang(message: ChatMessage) -> None:
            while not store.let.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await store.let.wait()

        desk.flood(range(3), 3)
        desk.flood(range(3, 6), 3, OTHER)
        await desk.until(lambda: len(desk.started) == 6)
        store.stuck = "all"
        desk.client.replace_credentials(account("c"))
        adding = asyncio.ensure_future(desk.add("9000000000003"))
        removing = asyncio.ensure_future(desk.client.remove(ME))
        await asyncio.sleep(0.5)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        closing = asyncio.ensure_future(desk.client.close())
        await asyncio.wait({closing, adding, removing}, timeout=60.0)
        took = loop.time() - begin
        store.let.set()
        await closing
        await removing
        with pytest.raises(StateError, match="closed"):
            await adding
        assert took <= 3.0 + 0.5 + 5.0

    simulate(main())


class Safe:
    """A secret store that never answers once it is ``stuck``."""

    stuck = False

    async def open(self) -> None:
        pass

    async def load(self, account_id: str) -> None:
        pass

    async def save(self, account_id: str, material: Secret) -> None:
        if self.stuck:
            await asyncio.Event().wait()

    async def close(self) -> None:
        pass


def test_a_program_that_ends_while_a_secret_store_hangs_leaves_asyncio_nothing_to_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        secrets = Safe()
        desk = Desk(secrets=secrets, grace=3.0, close_timeout=0.1)
        await desk.connect()
        secrets.stuck = True
        desk.client.replace_credentials(account("c"))
        closing = asyncio.ensure_future(desk.client.close())
        await asyncio.sleep(2.0)
        assert not closing.done()

    simulate(main())
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_removing_and_closing_share_the_grace_time() -> None:
    async def main() -> None:
        async with working(grace=3.0, close_timeout=0.1) as desk:
            await desk.connect(ME, OTHER)
            desk.gate.clear()
            desk.flood(range(1), 1)
            desk.flood(range(1, 3), 1, OTHER)
            await desk.until(lambda: len(desk.started) == 2)
            removing = asyncio.ensure_future(desk.client.remove(ME))
            await asyncio.sleep(0.5)
            begin = asyncio.get_running_loop().time()
            closing = asyncio.ensure_future(desk.client.close())
            await asyncio.sleep(2.0)
            desk.gate.set()
            await closing
            assert asyncio.get_running_loop().time() - begin < 3.0 + 1.2
            assert sorted(desk.numbers) == [0, 1]  # the third had not begun
            await removing

    simulate(main())


def account(cookie: str) -> Account:
    return Account.from_cookies(f"unb={ME}; _m_h5_tk=b_1; cookie2={cookie}")
