"""What no input can do, whatever it says: take memory, the stack or much time."""

from __future__ import annotations

import itertools
import random
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from trees import attempt, on_a_small_stack
from xyfast import _core
from xyfast._core import parse_frame, read_payload
from xyfast.codec import (
    ExtType,
    Packer,
    Picker,
    Unpacker,
    b64encode,
    decode,
    decode_frame,
    decode_many,
    decrypt,
    decrypt_many,
    packb,
    pick,
    unpackb,
)
from xyfast.errors import DecodeError, EncodeError, OutOfData


def by_unpacker(data: bytes) -> Any:
    unpacker = Unpacker(strict_map_key=False)
    unpacker.feed(data)
    return unpacker.unpack()


def by_payload(data: bytes) -> Any:
    payload = read_payload(b64encode(data))
    if payload.error is not None:
        raise payload.error
    return payload.tree


FRAME = '{"headers":{"mid":"1 0"},"body":{"syncPushPackage":{"data":[{"data":"?"}]}}}'


def frame(data: bytes) -> str:
    return FRAME.replace("?", b64encode(data))


#: Every function that decodes, as one of bytes.
DECODERS: dict[str, Callable[[bytes], Any]] = {
    "unpackb": unpackb,
    "any key": lambda data: unpackb(data, strict_map_key=False),
    "hooks": lambda data: unpackb(data, strict_map_key=False, object_hook=lambda d: d),
    "tuples": lambda data: unpackb(data, strict_map_key=False, use_list=False),
    "pairs": lambda data: unpackb(data, strict_map_key=False, object_pairs_hook=list),
    "Unpacker": by_unpacker,
    "decrypt": lambda data: decrypt(b64encode(data)),
    "decode": lambda data: decode(b64encode(data)),
    "decrypt_many": lambda data: decrypt_many([b64encode(data)]),
    "decode_many": lambda data: decode_many([b64encode(data)]),
    "pick": lambda data: pick(b64encode(data), ["1", "1.1"]),
    "Picker": lambda data: Picker("1", "2")(b64encode(data)),
    "decode_frame": lambda data: decode_frame(frame(data)),
    "read_payload": by_payload,
}

every_decoder = pytest.mark.parametrize("name", DECODERS)


@every_decoder
@pytest.mark.parametrize("head", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"])
def test_a_head_of_five_bytes_takes_no_memory(name: str, head: bytes) -> None:
    call = DECODERS[name]
    # As a value of its own, and where the function expects one.
    for data in (head, b"\x81\x01" + head):
        attempt(call, data)
        tracemalloc.start()
        try:
            _, error = attempt(call, data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert isinstance(error, (DecodeError, OutOfData))
        assert peak < 4096


TINY = (1024 if _core.build_profile == "debug" else 256) * 1024
"""Bytes of stack. In a debug build nothing shares its place with anything."""

FOR_CALLS_INSIDE = (32 if _core.build_profile == "debug" else 4) * 1024 * 1024
"""Bytes of stack for 256 calls inside each other; a main thread mostly has 8 MiB."""


def nest(depth: int, inmost: bytes) -> bytes:
    """Maps and lists by turns, maps outside."""
    return b"".join(itertools.islice(itertools.cycle([b"\x81\x01", b"\x91"]), depth)) + inmost


@every_decoder
def test_nesting_ends_at_its_limit_on_a_tiny_stack(name: str) -> None:
    call = DECODERS[name]
    deepest = 1024 if name in ("any key", "hooks", "tuples", "pairs", "Unpacker") else 512
    # Payloads know no extension types.
    inmost = packb(ExtType(5, b"x")) if deepest == 1024 else b"\x01"

    def work() -> None:
        if name == "unpackb":
            # It takes no numbers as keys.
            value, error = attempt(call, b"\x91" * 1024 + inmost)
            assert error is None
            _, error = attempt(call, b"\x91" * 1025 + inmost)
        else:
            value, error = attempt(call, nest(deepest, inmost))
            assert error is None
            _, error = attempt(call, nest(deepest + 1, inmost))
        # The whole tree goes at once.
        del value
        assert isinstance(error, DecodeError)
        assert error.reason == "depth"
        assert "nested" in str(error) or "recursion" in str(error)
        assert len(repr(error)) < 200

    on_a_small_stack(work, TINY)


def test_the_nesting_of_a_frame_ends_at_its_limit_on_a_tiny_stack() -> None:
    def text(depth: int) -> str:
        return '{"headers":{},"body":%s}' % ('[{"a":' * depth + "0" + "}]" * depth)

    def work() -> None:
        for call in (parse_frame, decode_frame):
            call(text(255))
            _, error = attempt(call, text(256))
            assert isinstance(error, DecodeError)
            assert error.reason == "depth"

    on_a_small_stack(work, TINY)


def table(keys: Iterable[object]) -> bytes:
    """A map of these keys, equal ones too; all values are 0."""
    return Packer().pack_map_pairs([(key, 0) for key in keys])


def way(start: int, size: int) -> Iterable[int]:
    """Where a dict with so many places looks for a key of this hash."""
    at, rest = start % size, start
    while True:
        yield at
        rest >>= 5
        at = (at * 5 + rest + 1) % size


def chosen(count: int, size: int) -> list[int]:
    """Numbers that fill the places where a dict of this size looks, and one that meets all.

    Half of them is the last one, which is looked for again and again.
    """
    filled = list(itertools.islice(way(1, size), min(count // 2, size * 2 // 3 - 2)))
    taken = set(filled)

    def met(number: int) -> int:
        return next(met for met, place in enumerate(way(number, size)) if place not in taken)

    candidates = range(size, size + (1 << 23) // size)
    worst = max(candidates, key=met)
    return filled + [worst] * (count - len(filled))


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize("size", [1 << 13, 1 << 14, 1 << 15, 1 << 18])
def test_numbers_that_are_chosen_to_collide_do_not_slow_a_map(kind: type[float], size: int) -> None:
    """Taken, they would cost hundreds of times as many steps as numbers have."""
    numbers = chosen(218_000 if size > 1 << 15 else 20_000, size)
    keys = [kind(number) for number in numbers]
    data = table(keys)
    refused = []
    for packed, options in (
        (data, {}),
        (table(["a", *keys]), {}),
        (data, {"object_hook": lambda d: d}),
    ):
        _, error = attempt(unpackb, packed, strict_map_key=False, **options)
        if error is not None:
            assert isinstance(error, DecodeError)
            assert (error.reason, "collide" in str(error)) == ("key", True)
            refused.append(error)
    # A dict that is made large at once has another size than one that grows.
    assert refused


def test_each_map_of_many_is_watched() -> None:
    hostile = table(chosen(20_000, 1 << 15))
    plain = table(range(2000))
    for data in (b"\x92" + plain + hostile, b"\x81\x01" + b"\x81\x01" + hostile):
        with pytest.raises(DecodeError, match="collide"):
            unpackb(data, strict_map_key=False)
    inner = table(range(2000, 4000))
    outer = b"\xde\x08\x00" + b"".join(
        packb(number) + (inner if number % 500 == 0 else b"\0") for number in range(2048)
    )
    tree = unpackb(outer, strict_map_key=False)
    assert len(tree) == 2048
    assert tree[500] == dict.fromkeys(range(2000, 4000), 0)


RANDOM = random.Random(1)
HONEST: dict[str, Callable[[int], int | float]] = {
    "dense": lambda i: i,
    "negative": lambda i: -i,
    "random": lambda _: RANDOM.getrandbits(64),
    "milliseconds": lambda i: 1_764_000_000_000 + i,
    "days of milliseconds": lambda i: 1_764_000_000_000 + i * 86_400_000,
    **{f"multiples of 2**{n}": lambda i, n=n: i << n for n in range(1, 21)},
    **{f"multiples of 2**{n}": lambda i, n=n: i << n for n in (29, 34, 44)},
    "halves": lambda i: i / 2,
    "thousandths": lambda i: i / 1000,
    **{f"2**{n}ths": lambda i, n=n: i / 2**n for n in (8, 12, 17, 19)},
}


@pytest.mark.parametrize("name", HONEST)
def test_numbers_that_mean_no_harm_are_taken(name: str) -> None:
    expected = {HONEST[name](i): 0 for i in range(100_000)}
    data = packb(expected)
    assert unpackb(data, strict_map_key=False) == expected
    assert unpackb(data, strict_map_key=False, object_hook=lambda d: d) == expected


def test_a_key_that_comes_again_and_again_is_taken() -> None:
    data = table([7, -1, -2, 2.0] * 10_000)
    assert unpackb(data, strict_map_key=False) == {7: 0, -1: 0, -2: 0, 2.0: 0}


class Itself:
    """What becomes of it, packs it again."""


class ItsItems(dict[str, object]):
    """A dict that packs itself to say what is in it."""

    def items(self) -> Any:
        packb(self)


@pytest.mark.parametrize("depth", [0, 23])
def test_packing_inside_of_packing_ends_in_an_error(depth: int) -> None:
    calls = 0

    def again(value: object) -> object:
        nonlocal calls
        calls += 1
        for _ in range(depth):
            value = [value]
        return packb(value, default=again)

    def work() -> None:
        for call, value in (
            (lambda value: packb(value, default=again), Itself()),
            (Packer(default=again).pack, Itself()),
            (packb, ItsItems(a=1)),
        ):
            with pytest.raises(EncodeError, match="nested too deeply"):
                call(value)
        assert calls == 2 * 256
        # Nothing of that is left.
        assert packb(Itself(), default=lambda _: packb([1])) == b"\xc4\x02\x91\x01"

    on_a_small_stack(work, FOR_CALLS_INSIDE)
