"""Accounts that are paused, resumed and removed while the client runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from simulation.loop import simulate
from wire import ME as FIRST
from wire import Ward, push, sample, working
from world import ME, OTHER, running
from xyfast import Account, ChatMessage, MemoryStore, State, StateError
from xyfast.errors import LoginRequired, StoreError, TokenError
from xyfast.testing import FakeServer, Fault


async def test_a_paused_account_has_no_link_and_fetches_afterwards_what_came_meanwhile(
    server: FakeServer,
) -> None:
    async with running(server) as world:
        await world.connect(ME, OTHER)
        world.client.pause(ME)
        await world.until(lambda: not server.links(ME))
        assert world.client.state(ME) is State.DISCONNECTED
        server.push_text(ME, "meanwhile")
        server.push_text(OTHER, "beside it")
        await world.until(lambda: world.texts)
        assert world.texts == ["beside it"]
        world.client.resume(ME)
        await world.until(lambda: len(world.texts) == 2)
        assert world.texts[1] == "meanwhile"
        assert [account.id for account in world.client.accounts] == [ME, OTHER]


async def test_a_paused_account_takes_new_cookies_and_stays_paused(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        world.client.pause(ME)
        server.log_in(ME)
        world.client.replace_credentials(Account.from_cookies(server.cookies(ME)))
        assert world.client.state(ME) is State.DISCONNECTED
        world.client.resume(ME)
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)


async def test_a_pause_ends_a_token_call_and_the_next_one_is_answered(server: FakeServer) -> None:
    async with running(server) as world:
        server.fault(ME, Fault.HTTP_SLOW)
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await asyncio.sleep(0)
        world.client.pause(ME)
        server.heal(ME)
        world.client.resume(ME)
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)


async def test_accounts_are_removed_in_every_state(server: FakeServer) -> None:
    async with running(server) as world:
        for wait_for in (State.CONNECTING, State.CONNECTED, State.DISCONNECTED, State.KICKED):
            await world.client.add(Account.from_cookies(server.cookies(ME)))
            if wait_for is not State.CONNECTING:
                await world.until(lambda: world.client.state(ME) is State.CONNECTED)
            if wait_for is State.DISCONNECTED:
                world.client.pause(ME)
            elif wait_for is State.KICKED:
                server.kick(ME)
            await world.until(lambda s=wait_for: world.client.state(ME) is s)
            await world.client.remove(ME)
            assert world.client.accounts == ()
            with pytest.raises(StateError, match="never added"):
                world.client.state(ME)
        await world.until(lambda: not server.links())


@pytest.mark.parametrize("error", [LoginRequired("slider", "X"), TokenError("down", "network")])
async def test_an_account_without_a_token_is_removed(server: FakeServer, error: Exception) -> None:
    class Refusing:
        async def token(self, account: object, keep: object, /) -> object:
            raise error

    async with running(server, tokens=Refusing()) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        state = State.NEEDS_LOGIN if isinstance(error, LoginRequired) else State.FAILED
        await world.until(lambda: world.client.state(ME) is state)
        await world.client.remove(ME)
        assert world.client.accounts == ()


async def test_a_handler_that_runs_may_answer_while_its_account_is_removed(
    server: FakeServer,
) -> None:
    async with running(server) as world:
        begun, go_on = asyncio.Event(), asyncio.Event()

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            begun.set()
            await go_on.wait()
            await message.reply("late")

        await world.connect()
        server.push_text(ME, "hello")
        await begun.wait()
        removing = asyncio.ensure_future(world.client.remove(ME))
        await world.until(lambda: world.client.state(ME) is State.DRAINING)
        server.push_text(ME, "too late")
        go_on.set()
        await removing
        assert [sent.text for sent in server.ledger(ME).sent] == ["late"]
        await world.connect()  # what came meanwhile was not acknowledged, and comes now
        await world.until(lambda: "too late" in world.texts)
        assert world.texts == ["hello", "too late"]


async def test_a_handler_may_remove_its_own_account(server: FakeServer) -> None:
    async with running(server) as world:

        @world.client.on(ChatMessage)
        async def leave(message: ChatMessage) -> None:
            await world.client.remove(message.account_id)
            await message.reply("bye")

        await world.connect()
        server.push_text(ME, "go")
        await world.until(lambda: not world.client.accounts)
        assert [sent.text for sent in server.ledger(ME).sent] == ["bye"]


async def test_removing_twice_and_closing_meanwhile_end_together(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        await asyncio.gather(world.client.remove(ME), world.client.remove(ME), world.client.close())
        assert asyncio.all_tasks() == {asyncio.current_task()}


def test_what_was_not_handled_comes_when_the_account_is_back() -> None:
    """Flagged if a handler had begun it, in order, and once."""

    async def main() -> None:
        async with working(grace=0.05) as desk:
            await desk.connect(FIRST)
            desk.gate.clear()
            desk.flood(range(40), conversations=2)
            await desk.until(lambda: len(desk.started) == 2)
            await desk.client.remove(FIRST)
            begun = {message.key for message in desk.started}
            desk.gate.set()
            await asyncio.sleep(1.0)
            assert desk.handled == []
            await desk.connect(FIRST)
            await desk.until(lambda: len(desk.handled) == 40)
            assert desk.in_order()
            assert {message.key for message in desk.handled if message.redelivered} == begun

    simulate(main())


def test_what_was_begun_is_left_to_the_store_alone() -> None:
    """Memory would keep it for an account that never comes back."""

    async def main() -> None:
        async with working(grace=0.05) as desk:
            await desk.connect(FIRST)
            desk.gate.clear()
            desk.flood(range(4), conversations=2)
            await desk.until(lambda: len(desk.started) == 2)
            await desk.client.remove(FIRST)
            page = await desk.store.take(FIRST, 9)
            assert [row.redelivered for row in page.rows] == [1, 1, 0, 0]

    simulate(main())


@pytest.mark.parametrize("error", [StoreError("no"), RuntimeError("words")])
def test_what_a_store_cannot_take_back_is_told_and_costs_nothing_else(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Clinging(MemoryStore):
        async def untake(self, *rest: Any, **named: Any) -> None:
            raise error

    async def main() -> None:
        async with working(Clinging(), grace=0.05) as desk:
            await desk.connect(FIRST)
            desk.gate.clear()
            desk.flood(range(1), conversations=1)
            await desk.until(lambda: desk.started)
            await desk.client.remove(FIRST)
            assert desk.client.accounts == ()

    simulate(main())
    assert "not given back, comes again after a restart" in caplog.text
    assert "words" not in caplog.text


def test_accounts_that_are_removed_and_never_come_back_take_no_room_from_others() -> None:
    async def main() -> None:
        async with working(backlog=2, grace=0.05) as desk:
            desk.gate.clear()
            for count, account in enumerate((FIRST, OTHER), start=1):
                await desk.connect(account)
                desk.give(push(1, sample(1)), account=account)
                await desk.until(lambda n=count: len(desk.started) == n)
                await desk.client.remove(account)
            desk.gate.set()
            third = "9000000000003"
            await desk.connect(third)
            desk.give(push(1, sample(1)), account=third)
            await desk.until(lambda: desk.handled)
            await desk.connect(FIRST)
            await desk.until(lambda: len(desk.handled) == 2)
            assert [message.redelivered for message in desk.handled] == [0, 1]

    simulate(main())


def test_what_was_begun_comes_first_however_long_the_account_takes_to_be_back() -> None:
    class Slow(MemoryStore):
        async def save_session(self, account_id: str, blob: str) -> None:
            await asyncio.sleep(1.0)
            await super().save_session(account_id, blob)

    async def main() -> None:
        async with working(Slow(), grace=0.05) as desk:
            await desk.connect(FIRST)
            desk.gate.clear()
            desk.flood(range(0, 40_000, 1000), conversations=1)
            await desk.until(lambda: len(desk.wire.acked) == 40)
            await desk.client.remove(FIRST)
            desk.gate.set()
            await desk.connect(FIRST)
            await desk.until(lambda: len(desk.handled) == 40)
            assert desk.in_order()

    simulate(main())


def test_what_is_stored_after_its_account_was_removed_waits_until_that_is_back() -> None:
    """The store failed for longer than removing waits."""

    async def main() -> None:
        store = Ward()
        async with working(store, grace=0.5) as desk:
            await desk.connect(FIRST)
            store.failing = StoreError("no")
            desk.flood(range(3), conversations=1)
            await asyncio.sleep(0.1)
            await desk.client.remove(FIRST)
            store.failing = None
            await desk.until(lambda: len(desk.wire.acked) == 3)
            await asyncio.sleep(5.0)
            assert desk.started == []
            await desk.connect(FIRST)
            await desk.until(lambda: len(desk.handled) == 3)
            assert desk.in_order()
            assert not any(message.redelivered for message in desk.handled)

    simulate(main())


@pytest.mark.parametrize("grace", [0.1, 10.0], ids=["while it rests", "while it runs"])
def test_what_waits_for_its_next_try_gets_it_when_the_account_is_back(grace: float) -> None:
    async def main() -> None:
        async with working(grace=grace, retry_wait=1000.0) as desk:
            tries: list[int] = []

            @desk.client.on(ChatMessage)
            async def fail_once(message: ChatMessage) -> None:
                tries.append(message.redelivered)
                await asyncio.sleep(5.0 if grace > 5.0 else 0.0)
                if len(tries) == 1:
                    raise ValueError

            await desk.connect(FIRST)
            desk.flood(range(2), conversations=1)
            await desk.until(lambda: tries)
            await asyncio.sleep(0.1)
            await desk.client.remove(FIRST)
            assert tries == [0]
            await desk.connect(FIRST)
            await desk.until(lambda: len(tries) == 3)
            assert tries == [0, 1, 0]

    simulate(main())
