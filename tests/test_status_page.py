"""The status page in a browser, as people have it. Skipped where there is no Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from browser import CHROMIUM, Page, browser
from visits import TOKEN
from world import ME, OTHER, World, running
from xyfast import Account, ChatMessage, State
from xyfast.testing import FakeServer

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="there is no Chromium here; apt-get install chromium"
    ),
    pytest.mark.timeout(300),  # a browser takes a while where other tests run beside it
]

LIVE = "document.querySelector('#live').className === 'on'"
WIDEST = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"


def row(account: str) -> str:
    """The row of an account, as a script finds it."""
    rows = "[...document.querySelectorAll('#accounts tbody tr')]"
    return f"{rows}.find((line) => line.textContent.includes('{account}'))"


@asynccontextmanager
async def shown(server: FakeServer, **options: Any) -> AsyncIterator[tuple[World, Page]]:
    """A client with two accounts, and its page in a browser that knows what is up."""
    settings = {"status": "127.0.0.1:0", "status_token": TOKEN, "handler_retries": 0}
    # A browser leaves little of a small machine to links.
    settings |= {"measure_every": 0.2, "heartbeat_timeout": 60.0, "open_timeout": 60.0}
    async with running(server, settings=settings) as world, browser() as page:
        await world.connect(ME, OTHER)
        assert world.client.status_url is not None
        await page.open(world.client.status_url, **options)
        await page.until(LIVE)
        yield world, page
        assert page.complaints == []
        # An address of our own, and that alone: nothing comes from elsewhere.
        asked = {urlsplit(url).netloc for url in page.requested}
        assert asked == {urlsplit(world.client.status_url).netloc}


async def test_it_shows_the_accounts_and_follows_them(server: FakeServer) -> None:
    async with shown(server) as (world, page):
        await page.until("document.querySelector('#ready').innerText === 'ready · 2/2'")
        for account in (ME, OTHER):
            assert "connected" in await page.value(f"{row(account)}.innerText")
        world.client.pause(OTHER)
        await page.until(f"{row(OTHER)}.innerText.includes('paused')")
        await page.until("document.querySelector('#ready').innerText.includes('1/1')")
        assert OTHER in await page.text("#moves")
        server.kick(ME)
        await page.until(f"{row(ME)}.innerText.includes('kicked')")
        await page.until("document.querySelector('#ready').innerText === 'not ready · 0/1'")
        first = await page.value("document.querySelector('#accounts tbody tr').innerText")
        assert ME in first  # trouble first


async def test_times_are_drawn_and_dead_letters_are_told(server: FakeServer) -> None:
    async with shown(server) as (world, page):

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            if message.text == "canary":
                raise ValueError(message.text)
            await message.reply("在的")

        server.push_text(ME, "在吗")
        server.push_text(OTHER, "canary", conversation="70000000042")
        bars = "[...document.querySelectorAll('[data-hop=answered] .bars i')]"
        await page.until(f"{bars}.some((bar) => bar.getBoundingClientRect().height > 5)")
        await page.until("document.querySelector('#dead tbody').innerText.includes('ValueError')")
        told = await page.text("#dead")
        assert OTHER in told
        assert "70000000042" in told
        assert "canary" not in await page.value("document.documentElement.outerHTML")
        total = "document.querySelector('[data-total=letters] b').innerText"
        assert await page.value(total) == "1"


async def test_it_speaks_two_languages(server: FakeServer) -> None:
    async with shown(server, language="zh-CN") as (_, page):
        assert "就绪" in await page.text("#ready")
        assert "已连接" in await page.text("#accounts")
        assert await page.value("document.documentElement.lang") == "zh"
        await page.press("#language")
        await page.until("document.querySelector('#ready').innerText.includes('ready')")
        text = await page.text("body")
        assert "Accounts" in text
        # All that is left of Chinese is the button that leads back.
        assert [letter for letter in text if "\u4e00" <= letter <= "\u9fff"] == ["中", "文"]
        await page.press("#language")
        await page.until("document.querySelector('#ready').innerText.includes('就绪')")


async def test_who_has_the_token_pauses_resumes_and_replays(server: FakeServer) -> None:
    async with shown(server) as (world, page):
        broken = True

        @world.client.on(ChatMessage)
        async def fail(message: ChatMessage) -> None:
            if broken:
                raise ValueError

        assert await page.value("document.querySelectorAll('[data-act]').length") == 0
        await page.write("#token", TOKEN)
        await page.until(f"{row(ME)}.querySelector('[data-act=pause]')")
        await page.value(f"{row(ME)}.id = 'mine'")
        await page.press("#mine [data-act=pause]")
        await world.until(lambda: world.client.state(ME) is State.DISCONNECTED)
        await page.until("document.querySelector('#mine [data-act=resume]')")
        assert f"Done: Pause {ME}" in await page.text("#told")
        await page.press("#mine [data-act=resume]")
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)

        server.push_text(ME, "在吗")
        await page.until("document.querySelector('[data-act=replay]')")
        broken = False
        await page.press("[data-act=replay]")
        await world.until(lambda: len(world.chats) == 2)
        await page.until("!document.querySelector('[data-act=replay]')")


async def test_who_has_another_token_is_told_so(server: FakeServer) -> None:
    async with shown(server) as (world, page):
        await page.write("#token", "a-token-of-others")
        await page.press("#accounts [data-act=pause]")
        await page.until("document.querySelector('#told').innerText.includes('Refused')")
        assert world.client.state(ME) is State.CONNECTED
        # The browser tells of every answer that is an error.
        page.complaints[:] = [each for each in page.complaints if "401" not in each]


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
async def test_a_phone_shows_it_without_moving_sideways(server: FakeServer, language: str) -> None:
    phone: dict[str, Any] = {"language": language, "width": 360, "height": 740, "dark": True}
    async with shown(server, **phone) as (world, page):

        @world.client.on(ChatMessage)
        async def fail(message: ChatMessage) -> None:
            raise ValueError

        server.push_text(ME, "在吗", conversation="7" * 60)
        await page.write("#token", TOKEN)
        await page.until("document.querySelector('[data-act=replay]')")
        assert await page.value(WIDEST) == 360
        background = "getComputedStyle(document.body).backgroundColor"
        assert await page.value(background) == "rgb(18, 22, 28)"


async def test_what_others_wrote_is_text_and_nothing_else(server: FakeServer) -> None:
    settings = {"status": "127.0.0.1:0"}
    async with running(server, settings=settings) as world, browser() as page:
        name = "<img src=x onerror=alert(1)><b>shop</b>"
        await world.client.add(Account.from_cookies(server.cookies(ME), name=name))
        assert world.client.status_url is not None
        await page.open(world.client.status_url)
        await page.until(LIVE)
        assert name in await page.text("#accounts")
        assert (
            await page.value("document.querySelectorAll('#accounts img, #accounts b').length") == 0
        )
        assert page.complaints == []


async def test_a_filter_shows_those_that_are_looked_for(server: FakeServer) -> None:
    async with shown(server) as (_, page):
        await page.write("#query", OTHER)
        await page.until("document.querySelectorAll('#accounts tbody tr').length === 1")
        assert OTHER in await page.text("#accounts")
        assert "1 of 1" in await page.text("#matching")


async def test_it_finds_a_client_that_comes_again(server: FakeServer) -> None:
    async with browser() as page:
        async with running(server, settings={"status": "127.0.0.1:0"}) as world:
            url = world.client.status_url
            assert url is not None
            await page.open(url)
            await page.until(LIVE)
        await page.until("document.querySelector('#live').className === 'off'")
        async with running(server, settings={"status": urlsplit(url).netloc}):
            await page.until(LIVE)


async def test_where_there_is_no_room_for_events_it_asks_now_and_then(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xyfast.status.server._VIEWERS", 0)
    settings = {"status": "127.0.0.1:0"}
    async with running(server, settings=settings) as world, browser() as page:
        await world.connect()
        assert world.client.status_url is not None
        await page.open(world.client.status_url)
        await page.until("document.querySelector('#live').innerText.includes('now and then')")
        world.client.pause(ME)
        await page.until(f"{row(ME)}.innerText.includes('paused')")


async def test_an_answer_that_comes_late_is_not_shown_for_what_is_looked_for_now(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xyfast.status.server._VIEWERS", 0)
    settings = {"status": "127.0.0.1:0"}
    rows = "document.querySelectorAll('#accounts tbody tr').length"
    async with running(server, settings=settings) as world, browser() as page:
        await world.connect(ME, OTHER)
        assert world.client.status_url is not None
        await page.open(world.client.status_url)
        await page.until(f"{rows} === 2")
        await page.value(
            "(() => { const real = window.fetch; window.fetch = async (...asked) => {"
            " const answer = await real(...asked);"
            " if (!window.held && asked[0] === 'status.json?query=')"
            " await new Promise((let_go) => { window.held = let_go; });"
            " return answer; }; })()"
        )
        await page.until("window.held")
        await page.write("#query", OTHER)
        await page.until(f"{rows} === 1")
        shown = await page.value(
            "(async () => { window.held();"
            f" for (let turn = 0; turn < 20; turn++) await fetch('/healthz'); return {rows}; }})()"
        )
        assert shown == 1


async def test_a_tab_that_nobody_has_looked_at_yet_asks_for_nothing(server: FakeServer) -> None:
    async with running(server, settings={"status": "127.0.0.1:0"}) as world, browser() as page:
        await world.connect(ME)
        assert world.client.status_url is not None
        await page.send("Page.enable")
        hide = "Object.defineProperty(document, 'hidden', { get: () => !window.seen });"
        await page.send("Page.addScriptToEvaluateOnNewDocument", source=hide)
        await page.open(world.client.status_url)
        await page.until("document.onvisibilitychange")
        await page.value("window.seen = true, document.onvisibilitychange(), 0")
        await page.until(f"{row(ME)}.innerText.includes('connected')")
        asked = [url for url in page.requested if "/events" in url or "/status.json" in url]
        assert len(asked) == 1
