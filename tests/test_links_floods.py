"""A server that never stops talking on one link, and what that does to another."""

from __future__ import annotations

import asyncio
import re

import pytest

from raw import CONTINUATION, PING, PONG, TEXT, Peer, close, frame, served, text
from scripted import REGISTER, User
from xyfast._core import Closed, Opened

FLOODS = {
    "empty fragments": frame(CONTINUATION, fin=False),
    "pings": frame(PING, b"p" * 125),
    "pongs": frame(PONG),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_on_one_link_does_not_silence_another(user: User, name: str) -> None:
    over = asyncio.Event()

    async def flood(peer: Peer) -> None:
        await peer.accept()
        await peer.register()
        await peer.write(frame(TEXT, fin=False) if name == "empty fragments" else b"")
        data = FLOODS[name] * (100_000 // len(FLOODS[name]))
        while await peer.write(data):
            if over.is_set():
                return
            await asyncio.sleep(0)

    async def beat(peer: Peer) -> None:
        await peer.accept()
        await peer.register()
        for _ in range(10):
            read = await peer.read()
            assert read is not None
            found = re.search(rb'"mid":"([^"]+)"', read.payload)
            assert found
            await peer.write(text('{"code":200,"headers":{"mid":"' + found[1].decode() + '"}}'))
        over.set()
        await peer.write(close(1000))
        await peer.rest()

    async with served(flood) as first, served(beat) as second:
        await user.opened(first)
        user.links.dial(2, second, headers=[], register=REGISTER, heartbeat=0.01)
        ends: dict[int, Closed] = {}
        while 2 not in ends:
            event = await user.next()
            if isinstance(event, Closed):
                ends[event.link] = event
            else:
                assert event.link == 1 or isinstance(event, Opened)
        user.links.shutdown()
    assert (ends[2].trouble, ends[2].code) == ("link", 1000)
