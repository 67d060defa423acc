"""Streams of message ids, and what a cache does over a long one.

Run as a program, so that the memory of one cache is that of one process:
``python ids.py CACHE SIZE`` prints its figures as JSON.
"""

from __future__ import annotations

import gc
import json
import random
import resource
import sys
import time

from interleave import Call, Rival
from rivals import caches


def spell(number: int) -> str:
    """Return an id of 32 digits as a new str, whose hash is not known yet."""
    return f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 10**32:032}"


class Ids:
    """New ids, one in five of them a repeat of one that a cache of so many still knows."""

    def __init__(self, size: int) -> None:
        self._window = size * 2 // 5
        self._made = 0
        self._dice = random.Random(size)

    def new(self, count: int) -> list[str]:
        first, self._made = self._made, self._made + count
        return [spell(number) for number in range(first, self._made)]

    def mixed(self, count: int) -> list[str]:
        return [self._next() for _ in range(count)]

    def _next(self) -> str:
        if self._dice.random() < 0.2:
            return spell(self._made - 1 - self._dice.randrange(self._window))
        self._made += 1
        return spell(self._made - 1)


def full(cache: Call, size: int) -> Rival:
    """Return a cache that so many ids have filled, with a stream of ids of its own."""
    ids = Ids(size)
    for _ in range(0, size, 1000):
        for key in ids.new(1000):
            cache(key)
    return Rival(cache, ids.mixed)


def resident() -> int:
    """Return the bytes of memory in use; on other systems than Linux the most there were."""
    try:
        with open("/proc/self/statm") as sizes:
            return int(sizes.read().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def figures(seen: Call, size: int) -> dict[str, float]:
    """Fill a cache twice over: bytes an entry, slowest call, and the newest ids it forgot.

    The slowest call is in seconds of this thread's own time, so that the machine's other
    work does not count.
    """
    gc.disable()
    slowest, clock, before = 0, time.thread_time_ns, resident()
    bytes_an_entry = 0.0
    for made in range(2 * size):
        key = spell(made)
        start = clock()
        seen(key)
        slowest = max(slowest, clock() - start)
        if made + 1 == size:
            bytes_an_entry = (resident() - before) / size
    newest = range(2 * size - 1, 2 * size - 1 - size // 10, -1)
    forgotten = sum(not seen(spell(number)) for number in newest)
    return {
        "bytes an entry": bytes_an_entry,
        "slowest call": slowest / 1e9,
        "forgotten": forgotten / len(newest),
    }


if __name__ == "__main__":
    name, maxsize = sys.argv[1], int(sys.argv[2])
    print(json.dumps(figures(caches(maxsize)[name](), maxsize)))
