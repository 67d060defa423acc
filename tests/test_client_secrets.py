"""A client whose session material is kept apart from its inbox."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from world import ME, running
from xyfast import (
    Account,
    Client,
    ConfigError,
    EncryptedSecretStore,
    FileSecretStore,
    Gap,
    MemoryStore,
    Secret,
    SecretStore,
    SqliteStore,
    State,
    StoreError,
)
from xyfast.saving import SessionMaterial
from xyfast.testing import FakeServer

KEY = "c3ludGhldGljLXN5bnRoZXRpYy1zeW50aGV0aWMtMSE="


class Slipping(FileSecretStore):
    """A secret store of which saves fail while it slips."""

    slips = False
    saves = 0

    async def save(self, account_id: str, material: Secret) -> None:
        self.saves += 1
        if self.slips:
            raise StoreError("the disk is full")
        await super().save(account_id, material)


def files(folder: Path, *names: str) -> bytes:
    """All that is in files of ``folder`` that begin so."""
    found = [path for path in folder.iterdir() if path.is_file() and path.name.startswith(names)]
    assert found
    return b"".join(path.read_bytes() for path in found)


async def rotated(server: FakeServer, **options: object) -> tuple[str, str]:
    """Connect, have the platform rotate a cookie, stop; the device id and the new cookie."""
    server.expire_signatures(ME)
    async with running(server, **options) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        [account] = world.client.accounts
        assert account.device_id is not None
        return account.device_id.reveal(), account.cookies["_m_h5_tk"].reveal()


@pytest.mark.parametrize(
    "make",
    [str, lambda folder: EncryptedSecretStore(folder, key=KEY)],
    ids=["a path", "encrypted"],
)
async def test_session_material_outlives_a_restart_and_is_not_in_the_inbox(
    make: Callable[[Path], SecretStore | str], server: FakeServer, tmp_path: Path
) -> None:
    where = {"store": tmp_path / "x.db", "secrets": tmp_path / "secrets"}
    devices = set()
    for _ in range(2):
        options = {"store": where["store"], "secrets": make(where["secrets"])}
        device, signing = await rotated(server, **options)
        devices.add(device)
        inbox = files(tmp_path, "x.db")
        assert [word for word in (device, signing, "cookie2") if word.encode() in inbox] == []
    assert len(devices) == 1
    assert (make is str) == (signing.encode() in files(where["secrets"], ME))


async def test_what_the_inbox_held_moves_over_and_leaves_nothing_behind(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def connected(*args: Any, **options: Any) -> sqlite3.Connection:
        db = connect(*args, **options)
        db.execute("PRAGMA secure_delete = OFF")  # some builds of SQLite have it on
        return db

    monkeypatch.setattr(sqlite3, "connect", connected)
    path = tmp_path / "x.db"
    long = "canary" * 2_000  # more than a page of the file
    async with running(server, store=path) as world:
        account = Account.from_cookies(f"{server.cookies(ME)}; long={long}")
        await world.client.add(account)
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        [account] = world.client.accounts
        assert account.device_id is not None
        device = account.device_id.reveal()
    assert b"canary" in files(tmp_path, "x.db")
    async with running(server, store=path, secrets=tmp_path / "secrets") as world:
        await world.client.add(Account.from_cookies(f"{server.cookies(ME)}; long={long}"))
        [account] = world.client.accounts
        assert account.device_id == Secret(device)
    inbox = files(tmp_path, "x.db")
    assert b"canary" not in inbox
    assert device.encode() not in inbox
    assert device.encode() in files(tmp_path / "secrets", ME)


@pytest.mark.parametrize("at", [1, 2])
async def test_a_move_that_is_cut_off_is_carried_out_by_the_next_run(
    at: int, tmp_path: Path
) -> None:
    """Between the two saves both have it; before the first one nothing has changed."""
    store = MemoryStore()
    secrets = FileSecretStore(tmp_path / "secrets")
    await secrets.open()
    old = {"device_id": "D-1", "cookies": {"a": "1"}, "given": "g"}
    await SessionMaterial(ME, store, None).save_rest(old, {"began": 5, "gaps": []})
    inbox = (await store.load(ME)).session

    moving = SessionMaterial(ME, store, secrets)
    _, saved = await moving.load()
    assert saved == {**old, "began": 5, "gaps": []}
    if at == 2:
        await moving.save_secret(old)
    assert (await store.load(ME)).session == inbox

    again = SessionMaterial(ME, store, secrets)
    _, saved = await again.load()
    assert saved == {**old, "began": 5, "gaps": []}
    await again.save_secret(old)
    await again.save_rest(old, {"began": 5, "gaps": []})
    assert json.loads((await store.load(ME)).session or "") == {"began": 5, "gaps": []}
    _, saved = await SessionMaterial(ME, store, secrets).load()
    assert saved == {**old, "began": 5, "gaps": []}
    await secrets.close()


async def test_what_a_run_without_the_secret_store_has_left_is_newer(
    server: FakeServer, tmp_path: Path
) -> None:
    store, account = MemoryStore(), Account.from_cookies(server.cookies(ME))
    devices = []
    for secrets in (tmp_path, None, tmp_path):
        await store.open()
        async with running(server, store=store, secrets=secrets) as world:
            await world.client.add(account)
            devices.append(world.client.accounts[0].device_id)
    assert devices[0] != devices[1] == devices[2]
    await store.open()
    kept = json.loads((await store.load(ME)).session or "")
    assert "device_id" not in kept


async def test_secrets_are_written_only_when_they_change(
    server: FakeServer, tmp_path: Path
) -> None:
    secrets = Slipping(tmp_path)
    material = SessionMaterial(ME, MemoryStore(), secrets)
    await secrets.open()
    for _ in range(3):
        await material.save_secret({"device_id": "D-1"})
    assert secrets.saves == 1
    await material.save_secret({"device_id": "D-2"})
    assert secrets.saves == 2
    await secrets.close()


async def test_new_cookies_are_saved_once_the_secret_store_works_again(
    server: FakeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = Slipping(tmp_path)
    settings = {"store_retry": 0.02}
    async with running(server, secrets=secrets, settings=settings) as world:
        await world.connect()
        secrets.slips, before = True, secrets.saves
        fresh = Account.from_cookies(server.log_in(ME))
        world.client.replace_credentials(fresh)
        await world.until(lambda: secrets.saves > before + 2)
        secrets.slips = False
        done = secrets.saves
        await world.until(lambda: secrets.saves > done)
    assert fresh.cookies["cookie2"].reveal().encode() in files(tmp_path, ME)
    assert "session material not saved yet (account=" in caplog.text
    assert caplog.text.count("the disk is full") == 1


class Hanging(Slipping):
    """One that does not answer while it slips."""

    async def save(self, account_id: str, material: Secret) -> None:
        if self.slips:
            self.saves += 1
            await asyncio.Event().wait()
        await super().save(account_id, material)


@pytest.mark.parametrize("kind", [Slipping, Hanging])
async def test_positions_and_gaps_do_not_wait_for_the_secret_store(
    kind: type[Slipping], server: FakeServer, tmp_path: Path
) -> None:
    secrets, store = kind(tmp_path), MemoryStore()
    settings, told = {"store_retry": 0.02}, asyncio.Event()
    async with running(server, store=store, secrets=secrets, settings=settings) as world:

        @world.client.on(Gap)
        async def wait(gap: Gap) -> None:
            await told.wait()

        await world.connect()
        driver = world.client._drivers[ME]
        await world.until(lambda: driver.sync.confirmed is not None)
        secrets.slips, before = True, secrets.saves
        world.client.replace_credentials(Account.from_cookies(server.log_in(ME)))
        driver.unread()
        await world.until(lambda: secrets.saves > before)
        link = driver.sync.confirmed
        server.reset(ME)
        await world.until(lambda: driver.sync.confirmed not in (None, link))
        kept = json.loads((await store.load(ME)).session or "")
        assert [gap["reason"] for gap in kept["gaps"]] == ["a frame could not be read"]
        assert "cookies" not in kept
        secrets.slips = False
        told.set()


class Cancelling(Slipping):
    """One of somebody else's, within which something is cancelled while it slips."""

    async def save(self, account_id: str, material: Secret) -> None:
        if self.slips:
            self.saves += 1
            raise asyncio.CancelledError
        await super().save(account_id, material)


async def test_what_is_cancelled_within_a_secret_store_is_its_failure(
    server: FakeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = Cancelling(tmp_path)
    async with running(server, secrets=secrets, settings={"store_retry": 0.02}) as world:
        await world.connect()
        secrets.slips, before = True, secrets.saves
        world.client.replace_credentials(Account.from_cookies(server.log_in(ME)))
        await world.until(lambda: secrets.saves > before + 2)
        secrets.slips = False
        done = secrets.saves
        await world.until(lambda: secrets.saves > done)
    assert "save was cancelled within the store" in caplog.text


async def test_a_client_without_a_store_may_keep_secrets(
    server: FakeServer, tmp_path: Path
) -> None:
    devices = {(await rotated(server, secrets=tmp_path))[0] for _ in range(2)}
    assert len(devices) == 1


async def test_a_secret_store_that_cannot_be_opened_leaves_the_store_closed(
    server: FakeServer, tmp_path: Path
) -> None:
    other = FileSecretStore(tmp_path / "secrets")
    await other.open()
    store = SqliteStore(tmp_path / "x.db")
    client = Client(store=store, secrets=tmp_path / "secrets")
    account = Account.from_cookies(server.cookies(ME))
    for _ in range(2):
        with pytest.raises(StoreError, match="secrets is in use"):
            await client.add(account)
    await other.close()
    await client.close()
    await store.open()
    await store.close()


async def test_material_that_cannot_be_read_is_not_shown(tmp_path: Path) -> None:
    store = MemoryStore()
    await store.save_session(ME, '{"device_id": "canary')
    with pytest.raises(StoreError, match=f"material of account {ME} is damaged") as caught:
        await SessionMaterial(ME, store, None).load()
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("secrets", "reason"), [("", "empty path"), (5, "a SecretStore")])
def test_what_keeps_no_secrets_is_refused(secrets: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Client(secrets=secrets)  # type: ignore[arg-type]


class Stuck(FileSecretStore):
    async def close(self) -> None:
        await asyncio.Event().wait()


async def test_a_secret_store_that_never_answers_is_left_behind(
    server: FakeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    secrets = Stuck(tmp_path)
    async with running(server, secrets=secrets, settings={"grace": 0.05}) as world:
        await world.connect()
    assert "store does not answer, going on without" in caplog.text
    await FileSecretStore.close(secrets)
