"""One link takes the place of another: what is under way on the old one is not lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from simulation.loop import simulate
from wire import ME, Desk, Ward, push, sample, working
from world import World, running
from xyfast import SendUnknown, State, StateError
from xyfast._core import parse_frame
from xyfast.events import LinkLost, LinkOpened
from xyfast.retry import Trouble
from xyfast.testing import FakeServer, OldToken, Redelivery, SecondLink, ServerSettings


def answer(desk: Desk, lwp: str, body: str = "{}", code: int = 200) -> None:
    """Answer the last request with that path."""
    asked = [sent for sent in desk.wire.told("send") if sent.get("lwp") == lwp]
    mid = asked[-1]["headers"]["mid"]
    desk.give(parse_frame(f'{{"code":{code},"headers":{{"mid":"{mid}"}},"body":{body}}}'))


async def replace(desk: Desk) -> None:
    """Have link 2 registered in the place of link 1."""
    desk.client.replace_link(ME)
    await asyncio.sleep(0.01)
    assert desk.wire.told("dial") == [1, 2]
    desk.driver().feed(LinkOpened(2))
    await asyncio.sleep(0.01)


def test_a_request_under_way_is_answered_before_the_old_link_is_closed() -> None:
    async def main() -> None:
        async with working() as desk:
            await desk.connect()
            asking = asyncio.create_task(desk.client.request(ME, "/r/old"))
            await asyncio.sleep(0.01)
            await replace(desk)
            later = asyncio.create_task(desk.client.request(ME, "/r/new"))
            await asyncio.sleep(1.0)
            assert (desk.wire.over("/r/old"), desk.wire.over("/r/new")) == (1, 2)
            assert desk.wire.told("close") == []
            answer(desk, "/r/old", '{"found":1}')
            assert await asking == {"found": 1}
            await asyncio.sleep(0.01)
            assert desk.wire.over("/!") == 1
            assert desk.wire.told("close") == []
            answer(desk, "/!")
            await asyncio.sleep(0.01)
            assert desk.wire.told("close") == [1]
            answer(desk, "/r/new")
            await later

    simulate(main())


def test_what_the_old_link_pushed_is_stored_and_acknowledged_before_it_is_closed() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await desk.connect()
            store.failing = OSError("no")
            await replace(desk)
            desk.give(push(1, sample(1)))
            answer(desk, "/!")
            await asyncio.sleep(2.0)
            assert desk.wire.told("close") == []
            store.failing = None
            await desk.until(lambda: desk.wire.told("close"))
            names = [name for name, _ in desk.wire.log]
            assert names.index("ack") < names.index("close")

    simulate(main())


@pytest.mark.parametrize("silent", ["request", "heartbeat"])
def test_an_old_link_that_answers_nothing_is_closed_in_time(silent: str) -> None:
    async def main() -> None:
        async with working(close_timeout=3.0) as desk:
            await desk.connect()
            asking = asyncio.create_task(desk.client.request(ME, "/r/old"))
            await asyncio.sleep(0.01)
            if silent == "heartbeat":
                answer(desk, "/r/old")
            await replace(desk)
            await asyncio.sleep(2.9)
            assert desk.wire.told("close") == []
            await asyncio.sleep(0.2)
            assert desk.wire.told("close") == [1]
            desk.driver().calls.lost(1)
            if silent == "heartbeat":
                await asking
            else:
                with pytest.raises(SendUnknown):
                    await asking

    simulate(main())


def test_an_old_link_that_ends_by_itself_is_waited_for_no_longer() -> None:
    async def main() -> None:
        async with working() as desk:
            await desk.connect()
            await replace(desk)
            desk.driver().calls.lost(1)
            desk.driver().feed(LinkLost(1, Trouble.LINK, "closed"))
            await asyncio.sleep(0.01)
            assert desk.driver().session.links == [2]
            assert desk.client.state(ME) is State.CONNECTED
            assert desk.wire.told("close") == [1]  # of which nothing comes

    simulate(main())


def test_only_a_link_that_is_up_is_replaced_and_once_at_a_time() -> None:
    async def main() -> None:
        async with working() as desk:
            with pytest.raises(StateError, match="never added"):
                desk.client.replace_link(ME)
            await desk.add(ME)
            await asyncio.sleep(0.01)
            desk.client.replace_link(ME)
            assert desk.wire.told("dial") == [1]
            desk.open()
            desk.client.replace_link(ME)
            desk.client.replace_link(ME)
            assert desk.wire.told("dial") == [1, 2]

    simulate(main())


def test_a_client_that_closes_takes_the_old_link_along() -> None:
    async def main() -> None:
        async with working() as desk:
            await desk.connect()
            await replace(desk)
        assert set(desk.wire.told("close")) == {1, 2}

    simulate(main())


ASSUMED = [
    {"same_device": SecondLink.BOTH},
    {"same_device": SecondLink.SHARE},
    {"same_device": SecondLink.KICK},
    {"same_device": SecondLink.SHARE, "old_token": OldToken.UNAUTHORISED},
    {"same_device": SecondLink.NEWEST, "old_token": OldToken.DEAF},
]


@pytest.mark.parametrize(
    "assumed", ASSUMED, ids=lambda assumed: "-".join(map(str, assumed.values()))
)
async def test_links_that_are_replaced_in_a_flood_cost_no_push_and_double_none(
    assumed: dict[str, Any],
) -> None:
    settings = ServerSettings(redelivery=Redelivery.RECONNECT, **assumed)
    async with FakeServer(["9000000000001"], settings=settings) as server:
        async with running(server) as world:
            await world.connect()
            for number in range(150):
                server.push_text(ME, str(number))
                await asyncio.sleep(0.001)
                if number % 50 == 25:
                    registered = len(server.ledger(ME).registrations)
                    world.client.replace_link(ME)
                    await world.until(lambda n=registered: len(server.ledger(ME).registrations) > n)
            await world.until(lambda: len(world.chats) == 150)
            await world.until(lambda: server.links(ME) == 1)
            assert world.client.state(ME) is State.CONNECTED
        assert sorted(map(int, world.texts)) == list(range(150))
        assert not server.ledger(ME).unacked


async def test_sends_go_on_while_links_are_replaced(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        server.push_text(ME, "hello")
        await world.until(lambda: world.chats)
        links = await sending(world, server, 50)
        assert links >= 3
    assert [sent.text for sent in server.ledger(ME).sent] == [str(n) for n in range(50)]


async def sending(world: World, server: FakeServer, count: int) -> int:
    """Reply so many times while a link follows the other; how many there were."""
    done = asyncio.Event()

    async def churn() -> None:
        while not done.is_set():
            world.client.replace_link(ME)
            await asyncio.sleep(0.01)

    churning = asyncio.create_task(churn())
    for number in range(count):
        await world.chats[0].reply(str(number))
    done.set()
    await churning
    return len(server.ledger(ME).registrations)
