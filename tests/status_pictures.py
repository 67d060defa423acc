"""Makes the pictures of docs/howto/status.md: the status page of a client at work, in a browser.

That of ``xyfast top`` is made of what it writes to a terminal.

``python tests/status_pictures.py`` writes them; it wants Chromium, and a font that has Chinese.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from browser import browser
from ptys import on_terminal
from terminal_svg import svg
from xyfast import Account, ChatMessage, Client, MemoryStore, State
from xyfast.testing import FakeServer, Fault, fast_settings

FOLDER = Path(__file__).parent.parent / "docs" / "howto" / "pictures"
MOST = 150_000
"""Bytes of a picture."""

PICTURES: dict[str, dict[str, Any]] = {
    "status.png": {"language": "en-US", "width": 1180, "height": 1180},
    "status-phone.png": {
        "width": 360,
        "height": 760,
        "scale": 2,
        "dark": True,
        "language": "zh-CN",
    },
}
TERMINAL, COLUMNS, MOST_DRAWN = "top.svg", 100, 60_000
ACCOUNTS = [f"90000000000{number:02}" for number in range(1, 13)]
NAMES = ["books", "shoes", "cameras", "文具店", "bikes", "lamps", "tea", "games", "旧书", "toys"]


@asynccontextmanager
async def at_work() -> AsyncIterator[Client]:
    """A client that has some of everything: load, faults, a gap, dead letters, a pause."""
    dice = random.Random(1)
    async with FakeServer(ACCOUNTS, seed=1) as server:
        settings = fast_settings(
            server,
            status="127.0.0.1:0",
            status_token="only-for-these-pictures",
            measure_every=0.5,
            heartbeat=1.0,
            heartbeat_timeout=20.0,
            handler_retries=0,
            failed_wait=300.0,
        )
        client = Client(settings=settings, store=MemoryStore())

        @client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            await asyncio.sleep(dice.lognormvariate(-4.0, 0.8))
            if message.text == "odd":
                raise KeyError("price")
            await message.reply("在的")

        async def buy() -> None:
            for number in itertools.count():
                account = ACCOUNTS[number % len(ACCOUNTS)]
                server.push_text(account, "在吗", conversation=str(70_000_000 + number % 97))
                await asyncio.sleep(dice.expovariate(25.0))

        async with client:
            for account, name in zip(ACCOUNTS, itertools.cycle(NAMES), strict=False):
                await client.add(Account.from_cookies(server.cookies(account), name=name))
            connected = [State.CONNECTED] * len(ACCOUNTS)
            await server.wait(lambda: [client.state(each) for each in ACCOUNTS] == connected)
            buying = asyncio.ensure_future(buy())
            await asyncio.sleep(4.0)
            for account in ACCOUNTS[:2]:
                server.push_text(account, "odd", conversation="70000001")
            server.fault(ACCOUNTS[4], Fault.BAD_PAYLOAD)
            server.push_text(ACCOUNTS[4], "在吗", conversation="70000004")
            server.heal(ACCOUNTS[4])
            server.kick(ACCOUNTS[6])
            server.fault(ACCOUNTS[8], Fault.RISK_CONTROL)
            server.expire_tokens(ACCOUNTS[8])
            server.fault(ACCOUNTS[3], Fault.SLOW_HANDSHAKE)
            server.reset(ACCOUNTS[3])
            server.reset(ACCOUNTS[8])
            client.pause(ACCOUNTS[10])
            await asyncio.sleep(3.0)
            try:
                yield client
            finally:
                buying.cancel()
                await asyncio.gather(buying, return_exceptions=True)


async def draw_terminal(client: Client) -> None:
    """Write the picture of ``xyfast top``."""
    assert client.status_url is not None
    size = COLUMNS, 40
    async with on_terminal("top", client.status_url, "--once", size=size) as terminal:
        assert await terminal.end() == 0, terminal.written
        # Port 0 gave any that was free.
        where = client.status_url[7:-1]
        picture = svg(terminal.written.replace(where, "127.0.0.1:8787"), COLUMNS).encode()
    assert len(picture) < MOST_DRAWN, len(picture)
    (FOLDER / TERMINAL).write_bytes(picture)
    print(TERMINAL, len(picture))


async def main() -> None:
    """Write the pictures."""
    logging.getLogger("xyfast").setLevel(logging.CRITICAL)
    FOLDER.mkdir(exist_ok=True)
    async with at_work() as client:
        await draw_terminal(client)
        for name, screen in PICTURES.items():
            assert client.status_url is not None
            async with browser() as page:
                await page.open(client.status_url, **screen)
                await page.until("document.querySelector('#dead tbody tr')")
                await asyncio.sleep(1.5)
                picture = await page.screenshot()
                assert not page.complaints, page.complaints
            assert len(picture) < MOST, (name, len(picture))
            (FOLDER / name).write_bytes(picture)
            print(name, len(picture))


if __name__ == "__main__":
    asyncio.run(main())
