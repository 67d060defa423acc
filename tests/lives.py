"""Start and stop a client many times, in an event loop each, and print what stays behind.

A program of its own: what else runs in a process would be counted too. Its arguments are the
addresses of a fake server, the cookies of an account, and a file for the store.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import sys
import time
import urllib.parse
from collections.abc import Callable

from xyfast import Account, Client, Settings, State, redact

LIVES = 100
"""Lives between the two counts, and before the first: in those caches are filled."""
THREADS = 2
"""The main thread, and the one that dials."""
PATIENCE = 20.0


class Heap(ctypes.Structure):
    """What glibc says of its heaps, as mallinfo(3) has it; sizes are bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks"),
            *("fordblks", "keepcost"),
        )
    ]


libc = ctypes.CDLL(None)


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
    """What there is of everything that may be left behind; sizes are bytes."""
    deadline = time.monotonic() + PATIENCE
    while len(os.listdir("/proc/self/task")) > THREADS and time.monotonic() < deadline:
        time.sleep(0.01)  # threads that were told to end, and are not awaited
    urllib.parse.clear_cache()  # it keeps the last addresses of token calls
    # The interpreter's cache of attributes keeps up to 4096 names that were made at run time.
    getattr(sys, "_clear_internal_caches", sys._clear_type_cache)()
    gc.collect()
    redact("")  # by which the secrets that went are forgotten
    libc.malloc_trim(0)  # heaps keep what was freed
    libc.mallinfo2.restype = Heap
    heap = libc.mallinfo2()
    with open("/proc/self/statm") as sizes:
        resident = int(sizes.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "allocated": heap.uordblks + heap.hblkhd,
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
    counts = []
    for _ in range(2):
        for number in range(LIVES):
            client, end = ends[number % len(ends)]()
            asyncio.run(life(client, account, end))
            del client
        counts.append(counted())
    before, after = counts
    print(json.dumps({what: count - before[what] for what, count in after.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
