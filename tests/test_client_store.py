"""Commits, acknowledgements and restarts on real sockets: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from world import ME, World, running
from xyfast import (
    Account,
    ChatMessage,
    MemoryStore,
    SqliteStore,
    State,
    StateError,
    StoreError,
    Undecodable,
)
from xyfast.instrumentation import Committed, Fact
from xyfast.store import Outcome, Posted, Row
from xyfast.testing import FakeServer, Fault, samples


class GatedStore(MemoryStore):
    """A store whose commits wait at a gate, or fail for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.failures = 0
        self.tries = 0

    async def commit(
        self, rows: Sequence[Row] = (), outcomes: Sequence[Outcome] = (), **positions: Any
    ) -> Collection[tuple[str, str]]:
        if rows:
            self.tries += 1
            await self.gate.wait()
            if self.failures:
                self.failures -= 1
                raise StoreError("the disk is full")
        return await super().commit(rows, outcomes, **positions)


async def test_nothing_is_acknowledged_or_handled_before_its_commit(server: FakeServer) -> None:
    store = GatedStore()
    async with running(server, store=store) as world:
        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: store.tries == 1)
        beats = server.ledger(ME).heartbeats
        await world.until(lambda: server.ledger(ME).heartbeats > beats)
        assert server.ledger(ME).unacked
        assert world.chats == []
        store.gate.set()
        await world.until(lambda: not server.ledger(ME).unacked and world.chats)


async def test_a_store_that_fails_acknowledges_nothing_and_loses_nothing(
    server: FakeServer,
) -> None:
    store = GatedStore()
    store.gate.set()
    store.failures = 1
    async with running(server, store=store) as world:
        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: store.tries == 1)
        assert server.ledger(ME).unacked
        await world.until(lambda: world.chats and not server.ledger(ME).unacked)
    assert world.texts == ["在吗"]


async def test_a_message_pushed_twice_is_handled_once(server: FakeServer) -> None:
    server.fault(None, Fault.DUPLICATE)
    facts: list[Fact] = []
    async with running(server, hooks=[facts.append]) as world:
        await world.connect()
        for number in range(20):
            server.push_text(ME, str(number))
        await world.until(lambda: sum(f.known for f in facts if isinstance(f, Committed)) >= 20)
        await world.until(lambda: len(world.chats) >= 20)
    assert world.texts == [str(n) for n in range(20)]


async def test_an_undecodable_payload_is_a_dead_letter_and_costs_its_neighbours_nothing(
    server: FakeServer, tmp_path: Path
) -> None:
    seen: list[Undecodable] = []
    async with running(server, store=tmp_path / "x.db") as world:

        @world.client.on(Undecodable)
        async def note(message: Undecodable) -> None:
            seen.append(message)

        await world.connect()
        batch = [server.message(ME, "一"), samples.bad_msgpack(), server.message(ME, "三")]
        server.push(ME, batch)
        await world.until(lambda: len(world.chats) == 2 and seen)
        await world.until(lambda: not server.ledger(ME).unacked)
        server.push(ME, [samples.bad_base64()])
        await world.until(lambda: len(seen) == 2 and not server.ledger(ME).unacked)
    assert world.texts == ["一", "三"]
    assert [message.stage for message in seen] == ["msgpack", "base64"]
    assert len(server.ledger(ME).registrations) == 1


async def test_what_was_not_handled_comes_again_after_a_restart_and_says_so(
    server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "x.db"
    entered = asyncio.Event()
    async with running(server, store=path, settings={"grace": 0.01}) as world:

        @world.client.on(ChatMessage)
        async def hang(message: ChatMessage) -> None:
            entered.set()
            await asyncio.Event().wait()

        await world.connect()
        server.push_text(ME, "在吗")
        await entered.wait()
        await world.until(lambda: not server.ledger(ME).unacked)
    async with running(server, store=path) as world:
        await world.connect()
        await world.until(lambda: world.chats)
        server.push_text(ME, "new")
        await world.until(lambda: len(world.chats) == 2)
    assert [(m.text, m.redelivered) for m in world.chats] == [("在吗", 1), ("new", 0)]
    async with running(server, store=path) as world:
        await world.connect()
        server.push_text(ME, "last")
        await world.until(lambda: world.chats)
    assert world.texts == ["last"]


async def test_the_device_id_and_rotated_cookies_outlive_a_restart(
    server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "x.db"
    cookies = server.cookies(ME)
    for _ in range(2):
        async with running(server, store=path) as world:
            server.expire_signatures(ME)
            await world.client.add(Account.from_cookies(cookies))
            await world.until(lambda: world.client.state(ME) is State.CONNECTED)
            [account] = world.client.accounts
            signing = account.cookies["_m_h5_tk"].reveal()
    devices = {registration.device_id for registration in server.ledger(ME).registrations}
    assert len(devices) == 1
    store = SqliteStore(path)
    await store.open()
    assert signing in ((await store.load(ME)).session or "")
    await store.close()


class OddStore(MemoryStore):
    """A store that raises what no store should, once."""

    broken = True

    async def commit(
        self, rows: Sequence[Row] = (), outcomes: Sequence[Outcome] = (), **positions: Any
    ) -> Collection[tuple[str, str]]:
        if rows and self.broken:
            self.broken = False
            raise OSError("as planned")
        return await super().commit(rows, outcomes, **positions)


async def test_a_store_that_raises_anything_loses_nothing(server: FakeServer) -> None:
    async with running(server, store=OddStore()) as world:
        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: world.chats and not server.ledger(ME).unacked)


class SlowStore(MemoryStore):
    """Reads its outbox only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def unsent(self, account_id: str) -> Sequence[Posted]:
        self.asked.set()
        await self.let.wait()
        return await super().unsent(account_id)


async def test_an_account_is_there_once_what_was_kept_of_it_is_loaded(server: FakeServer) -> None:
    store = SlowStore()
    account = Account.from_cookies(server.cookies(ME))
    async with running(server, store=store) as world:
        adding = asyncio.ensure_future(world.client.add(account))
        await store.asked.wait()
        with pytest.raises(StateError, match="added already"):
            await world.client.add(account)
        with pytest.raises(StateError, match="never added"):
            await world.client.send_text(ME, "7", "x", peer_id="9", durable=True, name="n")
        with pytest.raises(StateError, match="never added"):
            world.client.resume(ME)
        assert world.client.accounts == ()
        store.let.set()
        await adding
        assert [each.id for each in world.client.accounts] == [ME]
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)


async def test_a_store_that_cannot_be_opened_is_told_to_whoever_adds(
    server: FakeServer, tmp_path: Path
) -> None:
    world = World(server, store=tmp_path / "missing" / "x.db")
    with pytest.raises(StoreError):
        await world.client.add(Account.from_cookies(server.cookies(ME)))
    await world.client.close()


@pytest.mark.parametrize("seeds", [(None, None), (7, 7)])
async def test_another_server_brings_other_messages_and_a_known_one_is_told(
    seeds: Sequence[int | None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="xyfast")
    for number, seed in enumerate(seeds):
        caplog.clear()
        async with (
            FakeServer([ME], seed=seed) as server,
            running(server, store=tmp_path / "x.db") as world,
        ):
            await world.connect()
            key = server.push_text(ME, "在吗")
            if number == 0 or seed is None:
                await world.until(lambda world=world: world.chats)
                continue
            known = f"known already (account={ME}, key={key})"
            await world.until(lambda known=known: known in caplog.messages)
            assert world.chats == []
