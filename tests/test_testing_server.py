"""Plans, the life of the server, and its helpers."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import importlib
import socket
import sys
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import xyfast.testing
from testing_client import A, B, ids, linked
from xyfast.commands import FAULTS
from xyfast.errors import StateError
from xyfast.testing import PLANS, FakeServer

# Plans


async def cuts(plan: str, seed: int) -> list[int]:
    """Push thirty messages and return the numbers after which the link was gone."""
    async with FakeServer([A], plan=plan, plan_every=10, seed=seed) as server:
        gone: list[int] = []
        for number in range(30):
            async with linked(server) as client:
                server.push_text(A, str(number))
                try:
                    await client.request("/!")
                except ConnectionClosed:
                    gone.append(number)
        return gone


@pytest.mark.parametrize("plan", ["reset", "close"])
async def test_a_plan_strikes_at_the_same_moments_for_the_same_seed(plan: str) -> None:
    first = await cuts(plan, 1)
    assert 1 <= len(first) <= 6
    assert await cuts(plan, 1) == first


async def test_the_plan_none_strikes_never() -> None:
    assert await cuts("none", 1) == []


async def test_the_half_open_plan_leaves_the_socket_open() -> None:
    async with (
        FakeServer([A], plan="half-open", plan_every=1) as server,
        linked(server, close_timeout=0.1) as client,
    ):
        server.push_text(A, "在吗")
        assert ids(await client.push())
        await client.ask("/!")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.socket.recv(), 0.1)
        assert server.links(A) == 1


@pytest.mark.parametrize(("plan", "fault"), [("duplicate", 2), ("bad-payload", 1)])
async def test_a_plan_can_be_a_standing_fault(plan: str, fault: int) -> None:
    async with FakeServer([A], plan=plan) as server, linked(server) as client:
        server.push_text(A, "在吗")
        pushes = await client.pushed()
        assert len(pushes) == fault
        if plan == "bad-payload":
            assert len(pushes[0]["body"]["syncPushPackage"]["data"]) == 2


def test_the_plans_have_the_names_that_the_command_line_offers() -> None:
    assert tuple(PLANS) == FAULTS
    assert all(name == plan.name for name, plan in PLANS.items())


# Life and helpers


async def test_a_condition_that_never_comes_is_a_timeout_with_the_totals() -> None:
    async with FakeServer([A]) as server:
        server.push_text(A, "在吗")
        with pytest.raises(TimeoutError, match=r"within 0.05 s; \{'pushed': 1"):
            await server.wait(lambda: False, timeout=0.05)


async def test_a_condition_may_be_about_the_test_itself() -> None:
    async with FakeServer([A]) as server:
        done: list[int] = []
        asyncio.get_running_loop().call_later(0.03, done.append, 1)
        await server.wait(lambda: done)


async def test_closing_leaves_no_socket_and_keeps_the_ledger() -> None:
    server = FakeServer([A])
    await server.start()
    async with linked(server) as client:
        name = server.push_text(A, "在吗")
        _, plain = await asyncio.open_connection(*server.token_url[7:-3].split(":"))
        await server.close()
        with pytest.raises(ConnectionClosed):
            await client.pushed()
        plain.close()
    assert server.ledger(A).pushed == [name]
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await connect(server.url)


async def test_a_server_is_started_once_and_before_it_is_used() -> None:
    server = FakeServer([A])
    with pytest.raises(StateError):
        server.push_text(A, "在吗")
    await server.start()
    with pytest.raises(StateError):
        await server.start()
    await server.close()


async def test_an_account_that_the_server_does_not_have_is_named() -> None:
    async with FakeServer([A]) as server:
        with pytest.raises(KeyError, match=f"the fake server has no account '{B}'; it has: {A}"):
            server.push_text(B, "在吗")


@pytest.mark.parametrize("missing", ["h11", "websockets"])
def test_a_missing_library_is_named_with_the_install_line(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def fails(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == missing:
            raise ImportError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.startswith("xyfast.testing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", fails)
    with pytest.raises(ImportError, match=rf'{missing}: pip install "xyfast\[testing\]"'):
        importlib.import_module("xyfast.testing")
    assert xyfast.testing.FakeServer is FakeServer


@pytest.mark.parametrize("turns", range(6))
async def test_closing_cuts_what_it_has_only_just_accepted(turns: int) -> None:
    """And leaves nothing behind, neither a task nor a socket."""
    server = FakeServer([A])
    await server.start()
    ports = [int(url.split("/")[2].split(":")[1]) for url in (server.url, server.token_url)]
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10.0))
            for port in ports
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        for client in clients:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
