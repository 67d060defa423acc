"""Ends of a link."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from testing_client import A, B, ids, linked
from xyfast.testing import FakeServer, Fault, ServerSettings


async def test_a_reset_link_ends_without_a_close_frame() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.reset(A)
        with pytest.raises(ConnectionClosedError) as caught:
            await client.receive()
        assert caught.value.rcvd is None
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        await server.wait(lambda: server.links(A) == 0)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4000])
async def test_a_link_is_closed_with_the_code_asked_for(code: int) -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.close_links(A, code, "bye")
        with pytest.raises(ConnectionClosed) as caught:
            await client.receive()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, "bye")


async def test_a_code_that_must_not_be_on_the_wire_is_a_protocol_error() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.close_links(A, 1006)
        with pytest.raises(ConnectionClosedError) as caught:
            await client.receive()
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1002


async def test_a_half_open_link_answers_nothing_and_stays() -> None:
    async with FakeServer([A]) as server:
        async with linked(server, close_timeout=0.1) as client:
            server.half_open(A)
            name = server.push_text(A, "在吗")
            mid = await client.ask("/!")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.socket.recv(), 0.1)
            assert mid
            assert server.links(A) == 1
            assert server.ledger(A).delivered[name] == 1
        async with linked(server) as client:
            assert await client.pushed_ids() == [name]
            assert server.links(A) == 2  # the server has not noticed that the first is gone


async def test_a_half_open_link_is_dropped_when_its_heartbeats_are_missing() -> None:
    async with FakeServer([A], settings=ServerSettings(heartbeat_timeout=0.1)) as server:
        async with linked(server, close_timeout=0.1):
            server.half_open(A)
        await server.wait(lambda: server.links(A) == 0)


async def test_a_cut_frame_ends_the_stream_inside_it() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.cut(A)
        with pytest.raises(ConnectionClosedError) as caught:
            await client.receive()
        assert caught.value.rcvd is None


async def test_an_oversized_frame_breaks_the_limit_of_its_reader() -> None:
    async with FakeServer([A]) as server, linked(server, max_size=1 << 20) as client:
        server.oversize(A, 1 << 20)
        with pytest.raises(ConnectionClosedError) as caught:
            await client.receive()
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1009


async def test_bits_that_no_frame_has_can_be_written() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.write(A, b"\xf1\x05hello")
        with pytest.raises(ConnectionClosedError) as caught:
            await client.receive()
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1002


async def test_a_link_that_trickles_can_be_closed_frozen_and_written_to() -> None:
    async with FakeServer([A]) as server:
        server.fault(None, Fault.TRICKLE)
        async with linked(server) as client:
            name = server.push_text(A, "在吗")
            server.close_links(A)
            assert ids(await client.push()) == [name]
            with pytest.raises(ConnectionClosed):
                await client.receive()
            server.write(A, b"late")
        async with linked(server, close_timeout=0.1):
            server.push_text(A, "在吗")
            server.half_open(A)
            server.write(A, b"late")


@pytest.mark.parametrize("lwp", ["/push/kickout", "/s/session/remove"])
async def test_a_kicked_link_is_told_and_hears_nothing_more(lwp: str) -> None:
    async with FakeServer([A, B]) as server, linked(server) as client, linked(server, B) as other:
        server.kick(A, lwp)
        assert (await client.push())["lwp"] == lwp
        server.push_text(A, "在吗")
        assert await client.pushed() == []
        assert await other.pushed() == []


async def test_a_server_that_is_down_refuses_and_comes_back_on_its_ports() -> None:
    async with FakeServer([A]) as server:
        addresses = server.url, server.token_url
        async with linked(server) as client:
            await server.down()
            with pytest.raises(ConnectionClosedError):
                await client.receive()
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await connect(server.url)
            await server.up()
        assert (server.url, server.token_url) == addresses
        async with linked(server) as client:
            name = server.push_text(A, "在吗")
            assert await client.pushed_ids() == [name]
