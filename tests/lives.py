"""Start and stop a client many times, in an event loop each, and print what stays behind.

A program of its own: what else runs in a process would be counted too. Its arguments are the
addresses of a fake server, the cookies of an account, and a file for the store.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import urllib.parse
from collections.abc import Callable

from xyfast import Account, Client, Settings, State

LIVES = 100
WARM = 20
"""Lives before the first count, in which modules are loaded and caches are filled."""


async def life(client: Client, account: Account, end: str) -> None:
    async with client:
        await client.add(account)
        if end != "at once":
            while client.state(account.id) is not State.CONNECTED:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        if end == "paused":
            client.pause(account.id)
        elif end == "removed":
            await client.remove(account.id)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def counted() -> dict[str, int]:
    """What there is of everything that may be left behind."""
    urllib.parse.clear_cache()  # it keeps the last addresses of token calls
    gc.collect()
    with open("/proc/self/statm") as sizes:
        resident = int(sizes.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "resident": resident,
    }


def main(url: str, token_url: str, cookies: str, path: str) -> None:
    account = Account.from_cookies(cookies)
    settings = Settings(url=url, token_url=token_url, backoff_scale=0.02, token_rate=1000.0)
    ends: list[Callable[[], tuple[Client, str]]] = [
        lambda: (Client(store=path, settings=settings), "connected"),
        lambda: (Client(settings=settings), "at once"),
        lambda: (Client(settings=settings), "paused"),
        lambda: (Client(store=path, settings=settings), "removed"),
    ]
    before: dict[str, int] = {}
    for number in range(WARM + LIVES):
        if number == WARM:
            before = counted()
        client, end = ends[number % len(ends)]()
        asyncio.run(life(client, account, end))
        del client
    print(json.dumps({what: count - before[what] for what, count in counted().items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
