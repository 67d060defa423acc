"""Write actions of the status page, dead letters, and what is never shown."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import get_type_hints

import pytest

from canaries import found as leaked
from visits import PAGES, SAID, TOKEN, Viewer, act, status_of, until, visit, watched
from world import ME, OTHER
from xyfast import ChatMessage, ConfigError, MemoryStore, Secret, Settings, SqliteStore, State
from xyfast.status import HeldLetter
from xyfast.testing import FakeServer, Fault

# --- write actions ------------------------------------------------------------------------


async def test_an_account_is_paused_resumed_and_given_another_link(server: FakeServer) -> None:
    async with watched(server) as world:
        await world.connect()
        url = world.client.status_url
        found = await act(url, f"/accounts/{ME}/pause")
        assert found.json == {"account": ME, "action": "pause", "state": "disconnected"}
        assert (await act(url, f"/accounts/{ME}/resume")).json["state"] == "connecting"
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        assert (await act(url, f"/accounts/{ME}/replace")).status == 200
        shown = await until(world, lambda s: s["totals"]["replaced"])
        assert shown["totals"]["states"]["connected"] == 1


@pytest.mark.parametrize("disk", [True, False])
async def test_a_dead_letter_is_shown_without_its_text_and_replayed(
    server: FakeServer, tmp_path: Path, disk: bool
) -> None:
    store = SqliteStore(tmp_path / "inbox.db") if disk else MemoryStore()
    broken = True
    async with watched(server, store=store, settings={"handler_retries": 0}) as world:

        @world.client.on(ChatMessage)
        async def fail(message: ChatMessage) -> None:
            if broken:
                raise ValueError(message.text)

        await world.connect()
        url = world.client.status_url
        key = server.push_text(ME, "canary", conversation="70000000042")
        await until(world, lambda s: s["totals"]["dead_letters"])
        page = (await visit(url, "/dead.json")).json
        [letter] = page["letters"]
        assert letter.keys() == get_type_hints(HeldLetter).keys()
        assert page["next"] is None
        assert (letter["account"], letter["key"], letter["cause"]) == (ME, key, "handler")
        assert letter["conversation"].startswith("70000000042")
        assert letter["reason"].endswith("raised ValueError")
        assert (await visit(url, f"/dead.json?account={OTHER}")).json["letters"] == []

        broken = False
        for other in (letter["number"] - 1, letter["number"] + 1):
            assert (await act(url, f"/dead/{other}/replay")).status == 404
        found = await act(url, f"/dead/{letter['number']}/replay")
        assert found.json == {"number": letter["number"], "account": ME, "key": key}
        await world.until(lambda: [chat.redelivered for chat in world.chats] == [0, 1])
        await until(world, lambda s: not s["totals"]["dead_letters"])
        assert (await act(url, f"/dead/{letter['number']}/replay")).status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/accounts/{OTHER}/pause", 404),
        (f"/accounts/{ME}/remove", 404),
        ("/accounts//pause", 404),
        ("/dead/x/replay", 400),
        ("/dead/-1/replay", 400),
        ("/dead/99999999999999999999/replay", 400),
    ],
)
async def test_what_cannot_be_done_is_said(server: FakeServer, path: str, status: int) -> None:
    async with watched(server) as world:
        await world.connect()
        found = await act(world.client.status_url, path)
        assert (found.status, [*found.json]) == (status, ["error"])


@pytest.mark.parametrize(
    "shown",
    ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "ÿ"],
)
async def test_without_the_token_nothing_is_done(server: FakeServer, shown: str) -> None:
    async with watched(server) as world:
        await world.connect()
        for path in (f"/accounts/{ME}/pause", "/dead/1/replay"):
            found = await visit(world.client.status_url, path, "POST", Authorization=shown)
            assert (found.status, found.fields["www-authenticate"]) == (401, "Bearer")
            assert found.json == {"error": "that is not the token of Settings.status_token"}
        found = await visit(world.client.status_url, f"/accounts/{ME}/pause", "POST")
        assert (found.status, found.fields["www-authenticate"]) == (401, "Bearer")
        assert found.json == {"error": "say who you are: Authorization: Bearer TOKEN"}
        found = await visit(world.client.status_url, f"/accounts/{ME}/pause", "GET")
        assert (found.status, found.fields["allow"]) == (405, "POST")
        assert world.client.state(ME) is State.CONNECTED


async def test_where_no_token_is_set_there_are_no_actions(server: FakeServer) -> None:
    async with watched(server, settings={"status_token": None}) as world:
        await world.connect()
        for token in (TOKEN, "", "None"):
            found = await act(world.client.status_url, f"/accounts/{ME}/pause", token)
            assert (found.status, "Settings.status_token" in found.text) == (403, True)
        assert world.client.state(ME) is State.CONNECTED
        assert (await status_of(world))["actions"] is False


@pytest.mark.parametrize(
    "token", ["", "short", "fifteen-letters", "with spaces in between it", "密" * 20]
)
def test_a_token_that_is_none_is_refused_unsaid(token: str) -> None:
    with pytest.raises(ConfigError, match=r"Settings\.status_token must have 16") as caught:
        Settings(status_token=token)
    assert not token or token not in str(caught.value)


# --- secrets ------------------------------------------------------------------------------


async def test_no_secret_and_no_text_is_on_any_page(
    server: FakeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "xyfast")
    settings = {"handler_retries": 0}
    store = SqliteStore(tmp_path / "inbox.db")
    async with watched(server, store=store, settings=settings) as world:

        @world.client.on(ChatMessage)
        async def fail(message: ChatMessage) -> None:
            raise ValueError(message.text)

        await world.connect()
        server.push_text(ME, "a text that nobody may see")
        server.fault(ME, Fault.BAD_PAYLOAD)
        server.push_text(ME, "another text that nobody may see")
        await until(world, lambda s: s["totals"]["dead_letters"] >= 2)
        await act(world.client.status_url, f"/accounts/{ME}/pause", "a-token-that-is-wrong")
        await act(world.client.status_url, f"/accounts/{ME}/pause")
        url = world.client.status_url
        shown = [(await visit(url, path)).raw.decode() for path in (*PAGES, *SAID)]
        viewer = await Viewer.come(url)
        shown.append((await viewer.head()).decode() + json.dumps(await viewer.event()))
        viewer.go()
        [account] = world.client.accounts
        secrets = {value.reveal() for value in account.cookies.values()} - {account.id}
        assert account.device_id is not None
        secrets |= {account.device_id.reveal(), TOKEN, "a-token-that-is-wrong"}
        secrets |= {"a text that nobody may see", "another text that nobody may see"}
        shown += [repr(world.client._status), repr(world.client._settings), caplog.text]
    for text in shown:
        assert leaked(text, {each for each in secrets if len(each) >= 8}) == set()


def test_a_token_is_a_secret_from_the_beginning() -> None:
    settings = Settings(status_token=TOKEN)
    assert settings.status_token == Secret(TOKEN)
    assert TOKEN not in repr(settings)
    assert Settings(status_token=Secret(TOKEN)) == settings
