"""Never deaf without noticing, on real sockets: links that answer and push nothing."""

from __future__ import annotations

import pytest

from world import ME, World, rising, running
from xyfast import MemoryStore
from xyfast.instrumentation import Fact, FoundDeaf, Recovered
from xyfast.testing import (
    FakeServer,
    Fault,
    OldToken,
    Redelivery,
    Replay,
    SecondLink,
    ServerSettings,
)

QUICK = {"probe_after": 0.3}
SHARING = ServerSettings(
    same_device=SecondLink.SHARE, redelivery=Redelivery.NEVER, replay=Replay.NOTHING
)


def deaf_links(facts: list[Fact]) -> list[bool]:
    return [fact.replaced for fact in facts if isinstance(fact, FoundDeaf)]


def lists(server: FakeServer) -> int:
    """How often the list of conversations was asked for."""
    return sum("listNewestPagination" in text for text in server.ledger(ME).received)


def registrations(server: FakeServer) -> int:
    return len(server.ledger(ME).registrations)


async def test_a_link_that_is_pushed_nothing_is_replaced_and_what_it_missed_is_handled() -> None:
    facts: list[Fact] = []
    assumed = ServerSettings(old_token=OldToken.DEAF)
    async with (
        FakeServer([ME], settings=assumed) as server,
        running(server, settings=QUICK, hooks=[facts.append]) as world,
    ):
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        server.expire_tokens(ME)
        server.push_text(ME, "missed")
        await world.until(lambda: "missed" in world.texts and registrations(server) == 2)
        await world.until(lambda: server.links(ME) == 1)
        server.push_text(ME, "after")
        await world.until(lambda: "after" in world.texts)
    assert world.texts == ["before", "missed", "after"]
    assert deaf_links(facts) == [True]


async def test_a_session_that_is_gone_is_noticed_between_two_heartbeats() -> None:
    facts: list[Fact] = []
    assumed = ServerSettings(old_token=OldToken.UNAUTHORISED)
    slow = {**QUICK, "heartbeat": 60.0, "heartbeat_timeout": 120.0}
    async with (
        FakeServer([ME], settings=assumed) as server,
        running(server, settings=slow, hooks=[facts.append]) as world,
    ):
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        server.expire_tokens(ME)
        server.push_text(ME, "missed")
        await world.until(lambda: "missed" in world.texts)
    assert deaf_links(facts) == [True]


async def test_a_server_that_pushes_nothing_at_all_is_read_and_not_hammered() -> None:
    facts: list[Fact] = []
    patient = {"probe_after": 0.3, "token_retry": 0.1}
    async with (
        FakeServer([ME]) as server,
        running(server, settings=patient, hooks=[facts.append]) as world,
    ):
        await world.connect()
        server.fault(ME, Fault.DEAF)
        for number in range(4):
            server.push_text(ME, str(number))
            await world.until(lambda n=number: len(world.chats) == n + 1)
        links = registrations(server)
    assert world.texts == ["0", "1", "2", "3"]
    assert links <= 1 + deaf_links(facts).count(True)
    assert deaf_links(facts).count(True) < len(deaf_links(facts))


async def test_a_link_on_which_nothing_happens_stays(server: FakeServer) -> None:
    facts: list[Fact] = []
    async with running(server, settings=QUICK, hooks=[facts.append]) as world:
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: lists(server) >= 3)
        server.lose(ME, server.message(ME, "typed on a phone", sender=ME))
        asked = lists(server)
        await world.until(lambda: lists(server) >= asked + 4)
        server.fault(ME, Fault.LISTS_THROTTLED)
        asked = lists(server)
        await world.until(lambda: lists(server) >= asked + 2)
        assert registrations(server) == 1
    assert deaf_links(facts) == []


async def caught_up(world: World, facts: list[Fact], times: int) -> None:
    await world.until(lambda: sum(isinstance(fact, Recovered) for fact in facts) >= times)


@pytest.mark.parametrize("first", ["dead", "live"])
async def test_what_a_dead_link_was_given_is_found_though_its_successor_hears(first: str) -> None:
    facts: list[Fact] = []
    patience = {"second_look": 1.0, "clock_skew": 0.1}
    async with (
        FakeServer([ME], settings=SHARING, clock=rising()) as server,
        running(server, settings=patience, hooks=[facts.append]) as world,
    ):
        await world.connect()
        await caught_up(world, facts, 1)
        if first == "live":
            server.push_text(ME, "0")
            await world.until(lambda: world.chats)
        server.half_open(ME)
        await world.until(lambda: registrations(server) == 2)
        await caught_up(world, facts, 2)
        texts = [str(number) for number in range(1, 5)]
        for text in texts:
            server.push_text(ME, text)
        await world.until(lambda: {*texts} <= {*world.texts})
    assert len(world.texts) == len(set(world.texts))
    assert deaf_links(facts) == []


async def test_what_a_dead_link_was_given_is_found_by_the_next_run() -> None:
    """The position has passed it."""
    facts: list[Fact] = []
    store, time_of_day, later = MemoryStore(), rising(), 0
    patience = {"marker_wait": 0.1, "clock_skew": 0.1}
    async with FakeServer([ME], settings=SHARING, clock=lambda: time_of_day() + later) as server:
        async with running(server, settings=patience, hooks=[facts.append], store=store) as world:
            await world.connect()
            await caught_up(world, facts, 1)
            server.half_open(ME)
            await world.until(lambda: registrations(server) == 2)
            await caught_up(world, facts, 2)
            server.push_text(ME, "one")
            server.push_text(ME, "two")
            later = 60_000
            server.push_text(ME, "three")
            server.push_text(ME, "four")
            await world.until(lambda: len(world.chats) == 2)
            earlier = world.texts
        async with running(server, settings=patience, store=store) as world:
            await world.connect()
            await world.until(lambda: len(world.chats) == 2)
    assert {*earlier, *world.texts} == {"one", "two", "three", "four"}
