"""The links of a client on real sockets: how they end, and what costs none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from world import ME, ThreadedServer, running
from xyfast import Account, ChatMessage, State, driver, requests
from xyfast.instrumentation import Fact, StateChanged
from xyfast.testing import FakeServer, Fault, ServerSettings


async def test_a_link_that_is_registered_as_another_account_is_not_ours() -> None:
    assumed = ServerSettings(registered_as="123@goofish")
    async with FakeServer([ME], settings=assumed) as server, running(server) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await world.until(lambda: server.ledger(ME).registrations)
        server.push_text(ME, "not for us")
        await world.until(lambda: world.client.state(ME) is State.FAILED)
    assert world.chats == []
    assert server.ledger(ME).unacked


@pytest.mark.parametrize("ending", ["reset", "close 1000", "close 1011", "cut", "half-open"])
async def test_every_end_of_a_link_is_followed_by_a_new_one_and_loses_nothing(
    server: FakeServer, ending: str
) -> None:
    async with running(server) as world:
        await world.connect()
        for number in range(30):
            server.push_text(ME, str(number))
            if number % 10 == 5:
                match ending.split():
                    case ["reset"]:
                        server.reset()
                    case ["close", code]:
                        server.close_links(code=int(code))
                    case ["cut"]:
                        server.cut()
                    case _:
                        server.half_open()
                await world.until(lambda: not server.links(ME) or ending == "half-open")
                links = len(server.ledger(ME).registrations)
                await world.until(lambda n=links: len(server.ledger(ME).registrations) > n)
        await world.until(lambda: len(world.chats) == 30 and not server.ledger(ME).unacked)
    assert sorted(map(int, world.texts)) == list(range(30))


CODES = [1000, 1001, 1005, 1006, 1008, 1011, 1012, 1013, 1015, 3000, 4000, 4999]


async def test_no_close_code_ends_an_account(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        for number, code in enumerate(CODES, 1):
            server.close_links(code=code)
            server.push_text(ME, str(code))
            await world.until(lambda n=number: len(server.ledger(ME).registrations) == n + 1)
            await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        await world.until(lambda: len(world.chats) == len(CODES))
    assert sorted(map(int, world.texts)) == CODES


@pytest.mark.parametrize("name", ["reg_uid", "server_time"])
async def test_a_registration_on_which_reading_raises_is_followed_by_another(
    server: FakeServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_once(monkeypatch, requests, name)
    async with running(server) as world:
        await world.connect()
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        server.push_text(ME, "heard")
        await world.until(lambda: world.chats)
    assert len(server.ledger(ME).registrations) == 2


async def test_a_refusal_on_which_reading_raises_is_followed_by_another_dial(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_once(monkeypatch, driver, "verdict")
    server.fault(ME, Fault.REGISTRATION_REFUSED)
    async with running(server) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await world.until(lambda: server.ledger(ME).registrations)
        server.heal(ME, Fault.REGISTRATION_REFUSED)
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)


def failing_once(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    real, failed = getattr(module, name), False

    def fail(*args: Any) -> Any:
        nonlocal failed
        if failed:
            return real(*args)
        failed = True
        raise LookupError

    monkeypatch.setattr(module, name, fail)


async def test_a_kick_stops_the_account_until_the_user_reconnects_it(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        server.kick(ME)
        await world.until(lambda: world.client.state(ME) is State.KICKED)
        received = len(server.ledger(ME).received)
        await world.until(lambda: server.links(ME) == 0)
        assert all('"code":200' not in text for text in server.ledger(ME).received[received:])
        assert len(server.ledger(ME).registrations) == 1
        world.client.resume(ME)
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)


async def test_a_due_token_is_renewed_without_losing_a_push(server: FakeServer) -> None:
    settings = {"token_refresh": 0.2, "token_retry": 0.1}
    async with running(server, settings=settings) as world:
        await world.connect()
        for number in range(60):
            server.push_text(ME, str(number))
            await asyncio.sleep(0)
            if number % 20 == 10:
                links = len(server.ledger(ME).registrations)
                await world.until(lambda n=links: len(server.ledger(ME).registrations) > n)
        await world.until(lambda: len(world.chats) == 60)
    assert sorted(map(int, world.texts)) == list(range(60))


async def test_a_session_that_is_gone_gets_a_new_token_and_link(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        server.fault(ME, Fault.UNAUTHORISED)
        await world.until(lambda: world.client.state(ME) is State.RECONNECTING)
        server.heal(ME)
        calls = len(server.ledger(ME).calls)
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        assert len(server.ledger(ME).calls) > calls


def beats_while(threaded: ThreadedServer, block: Callable[[], None]) -> tuple[int, int]:
    """Heartbeats and links that the server saw while a handler blocked the event loop."""
    server, seen = threaded.server, 0

    def heartbeats() -> int:
        return threaded.call(lambda: server.ledger(ME).heartbeats)

    async def main() -> None:
        nonlocal seen
        connected, done = asyncio.Event(), asyncio.Event()

        def watch(fact: Fact) -> None:
            if isinstance(fact, StateChanged) and fact.new is State.CONNECTED:
                connected.set()

        async with running(server, hooks=[watch]) as world:

            @world.client.on(ChatMessage)
            async def handler(message: ChatMessage) -> None:
                nonlocal seen
                before = heartbeats()
                block()
                seen = heartbeats() - before
                done.set()

            await world.client.add(Account.from_cookies(server.cookies(ME)))
            await connected.wait()
            threaded.call(lambda: server.push_text(ME, "在吗"))
            await done.wait()

    asyncio.run(asyncio.wait_for(main(), 60.0))
    return seen, len(server.ledger(ME).registrations)


def test_a_handler_that_blocks_the_event_loop_costs_no_heartbeat(
    threaded_server: ThreadedServer,
) -> None:
    # Twice the time after which a silent link is given up.
    beats, links = beats_while(threaded_server, lambda: time.sleep(2.0))
    assert beats >= 8  # one in 0.2 s, had the machine nothing else to do
    assert links == 1


def test_a_handler_that_never_yields_costs_no_heartbeat(threaded_server: ThreadedServer) -> None:
    def spin() -> None:
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            pass

    beats, links = beats_while(threaded_server, spin)
    assert beats >= 8
    assert links == 1
