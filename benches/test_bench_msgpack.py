"""unpackb and packb: times, the memory of decoded trees, and strings packed for the first time."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

import rivals
from corpora import NAMES, PAYLOADS, corpus
from interleave import Call, Rival, on
from race import Race

FRESH = [name for name in NAMES if name.startswith(("gf", "twitter", "1000 Han"))]
UNPACKERS, PACKERS = list(rivals.unpackers(int_keys=False)), list(rivals.packers(int_keys=False))


def memory(unpack: Call, data: bytes) -> int:
    """Return the bytes of a decoded tree, when caches of keys are warm."""
    unpack(data)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tree = unpack(data)
    found = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    del tree
    return found


def strings(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from strings(key)
            yield from strings(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from strings(value)


def growth(pack: Call, tree: Any) -> int:
    """Return the bytes by which packing lets the strings of a tree grow."""
    held = list({id(text): text for text in strings(tree)}.values())
    before = sum(map(sys.getsizeof, held))
    pack(tree)
    return sum(map(sys.getsizeof, held)) - before


def takes_part(case: str, rival: str) -> bool:
    """The pure-Python way is measured on payloads alone, because it takes so long."""
    return rival != "naive" or case.split(",")[0] in PAYLOADS


@pytest.mark.parametrize(
    ("case", "rival"), [(c, r) for c in NAMES for r in UNPACKERS if takes_part(c, r)]
)
def test_unpack(race: Race, case: str, rival: str) -> None:
    given = corpus(case)
    unpackers = rivals.unpackers(int_keys=given.int_keys)
    unpack = unpackers[rival]
    assert unpack(given.packed) == given.tree
    there = {name: call for name, call in unpackers.items() if takes_part(case, name)}
    race(
        "unpack",
        case,
        rival,
        lambda: on(given.packed, there),
        facts=lambda: {"memory": memory(unpack, given.packed)},
    )


def can_pack(case: str, rival: str) -> bool:
    """ormsgpack packs at most 255 levels."""
    return (case, rival) != ("nested 300 deep", "ormsgpack")


@pytest.mark.parametrize(
    ("case", "rival"), [(c, r) for c in NAMES for r in PACKERS if can_pack(c, r)]
)
def test_pack(race: Race, case: str, rival: str) -> None:
    given = corpus(case)
    packers = rivals.packers(int_keys=given.int_keys)
    assert msgpack.unpackb(packers[rival](given.tree), strict_map_key=False) == given.tree
    there = {name: call for name, call in packers.items() if can_pack(case, name)}
    race("pack", case, rival, lambda: on(given.tree, there))


@pytest.mark.parametrize("rival", PACKERS)
@pytest.mark.parametrize("case", FRESH)
def test_pack_for_the_first_time(race: Race, case: str, rival: str) -> None:
    """Every tree is new: no str in it holds its UTF-8 yet, as some packers leave it there."""
    given = corpus(case)
    packers = rivals.packers(int_keys=given.int_keys)

    def new() -> Any:
        return msgpack.unpackb(given.packed, strict_map_key=False)

    def trees(count: int) -> list[Any]:
        return [new() for _ in range(count)]

    assert msgpack.unpackb(packers[rival](new()), strict_map_key=False) == given.tree
    race(
        "pack, first time",
        case,
        rival,
        lambda: {name: Rival(pack, trees) for name, pack in packers.items()},
        # Few trees at a time, so that they are still in the cache when they are packed.
        seconds=0.0001,
        facts=lambda: {"growth": growth(packers[rival], new())},
    )
