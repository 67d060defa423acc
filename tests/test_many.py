"""A thousand accounts in one process, on real sockets."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator

import pytest

from world import World, running
from xyfast import Account, State
from xyfast.gates import Gates
from xyfast.testing import FakeServer

COUNT = 1000
ACCOUNTS = [str(9_100_000_000_001 + number) for number in range(COUNT)]
DESCRIPTORS = 3 * COUNT
"""Both ends of every link are here, and those of token calls."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip(f"a process may have {hard} descriptors here, {DESCRIPTORS} are needed")
    if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))


@pytest.fixture
async def many(descriptors: None) -> AsyncIterator[World]:
    """A thousand accounts that are connected."""
    asyncio.get_running_loop().set_debug(False)  # it costs three quarters of the time
    # The pace is that of production but for token calls, which the start is not to wait for.
    settings = {
        "heartbeat": 15.0,
        "heartbeat_timeout": 30.0,
        "token_rate": 200.0,
        "backoff_scale": 1.0,
    }
    async with (
        FakeServer(ACCOUNTS) as server,
        running(server, settings=settings, gates=Gates()) as world,
    ):
        for account in ACCOUNTS:
            await world.client.add(Account.from_cookies(server.cookies(account)))
        await all_connected(world)
        yield world


async def all_connected(world: World) -> None:
    def connected() -> bool:
        client = world.client
        return all(client.state(account) is State.CONNECTED for account in ACCOUNTS)

    await world.server.wait(connected, timeout=120.0)


async def test_a_thousand_links_are_all_back_after_a_restart(many: World) -> None:
    server = many.server
    assert server.links() == COUNT
    await server.down()
    assert server.links() == 0
    await server.up()
    await all_connected(many)
    for account in ACCOUNTS:
        server.push_text(account, account)
    await server.wait(lambda: len(many.chats) >= COUNT, timeout=60.0)
    assert sorted(many.texts) == ACCOUNTS
