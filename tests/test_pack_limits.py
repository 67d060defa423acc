"""Depth and size of what is packed, and that nothing of it stays behind."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from typing import Any

import msgpack
import pytest

from trees import on_a_small_stack
from values import Entries, Items, Opaque, Point, answer, nested
from xyfast import _core
from xyfast.codec import ExtType, Packer, packb
from xyfast.errors import EncodeError


@pytest.mark.parametrize(
    "around",
    [
        lambda value: [value],
        lambda value: (value,),
        lambda value: {1: value},
        lambda value: Items([value]),
        lambda value: Entries(a=value),
        lambda value: Point(1, value),
    ],
)
def test_packs_as_deep_as_msgpack_and_no_deeper(around: Any) -> None:
    for inside, deepest in ((1, 1024), (around(1), 1023), ([], 1024)):
        for depth in (20, 30, deepest - 1, deepest):
            value = nested(depth, around, inside)
            assert packb(value) == msgpack.packb(value)
        value = nested(deepest + 1, around, inside)
        assert answer(msgpack.packb, value) is answer(packb, value) is ValueError


def test_nesting_costs_little_stack() -> None:
    def work() -> None:
        for around in (lambda value: [value], lambda value: Point(value, 1)):
            value = nested(1023, around, Opaque(None))
            made = nested(1023, around, [])
            assert packb(value, default=lambda _: []) == packb(made)
            assert answer(packb, Opaque(None), default=around) is ValueError

    # The frames of a debug build are several times as large.
    size = 192 if _core.build_profile == "release" else 768
    on_a_small_stack(work, size * 1024)


def test_a_list_within_itself_is_too_deep() -> None:
    endless: list[Any] = []
    endless.append({"a": (endless,)})
    with pytest.raises(EncodeError, match="deep"):
        packb(endless)


@pytest.mark.parametrize("size", [4000, 4086, 4090, 4095, 4096, 4097, 70000, 5_000_000])
def test_results_of_every_size_are_whole(size: int) -> None:
    for value in (
        b"x" * size,
        "x" * size,
        "闲" * (size // 3),
        ["x" * 7] * (size // 8),
        list(range(size // 3)),
    ):
        assert packb(value) == msgpack.packb(value)
    packed = packb(b"x" * size)
    assert sys.getsizeof(packed) == sys.getsizeof(bytes(bytearray(packed)))


def test_packing_and_failing_leak_nothing() -> None:
    shared, made = Opaque(None), ["made"]
    text = "闲鱼" * 40
    good = {"a": [1, text, (2.5, None)], (1, 2): Point("x", b"y"), "c": Entries(k=ExtType(1, b"z"))}
    bad: list[Any] = [
        [text, {"k": (shared,)}],
        {"a": "\ud800"},
        [2**70],
        nested(1100, lambda v: [v], 1),
    ]
    packer = Packer(autoreset=False, default=lambda value: made)

    def work(times: int) -> None:
        for _ in range(times):
            packb(good)
            packb([shared, list(range(3000))], default=lambda value: made)
            packer.pack([shared])
            packer.reset()
            for value in bad:
                answer(packb, value)

    work(20)
    counts = [sys.getrefcount(part) for part in (shared, made, text, None, good, bad[0])]
    gc.collect()
    tracemalloc.start()
    try:
        work(20)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        work(200)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
    parts = (shared, made, text, None, good, bad[0])
    assert [sys.getrefcount(part) for part in parts][:3] == counts[:3]
    assert [sys.getrefcount(part) for part in parts][4:] == counts[4:]
