"""Values of every kind and their relatives, for the tests of packing."""

from __future__ import annotations

import datetime
from collections import OrderedDict
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

import msgpack
from hypothesis import strategies as st

from xyfast.codec import ExtType, Timestamp

UTC = datetime.timezone.utc


class Colour(IntEnum):
    RED = 3


class Number(int):
    pass


class Real(float):
    pass


class Name(str):
    pass


class Data(bytes):
    pass


class Grown(bytearray):
    pass


class Items(list):  # type: ignore[type-arg]
    pass


class Backwards(list):  # type: ignore[type-arg]
    def __iter__(self) -> Iterator[Any]:
        return reversed(self)


class Entries(dict):  # type: ignore[type-arg]
    pass


class Shouting(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        return [(str(key).upper(), value) for key, value in super().items()]


class Point(NamedTuple):
    x: object
    y: object


class Moment(datetime.datetime):
    pass


class Opaque:
    """Nothing knows how to pack it; the hook below does."""

    def __init__(self, inside: object) -> None:
        self.inside = inside


class Pair(NamedTuple):
    """The same value for us and for msgpack, whose extension types differ."""

    ours: Any
    theirs: Any


ZONES = st.sampled_from([UTC, datetime.timezone(datetime.timedelta(hours=8, minutes=-1))])
INTS = st.one_of(
    st.integers(-40, 300),
    st.integers(-(2**65), 2**65),
    st.builds(lambda bit, off: 2**bit + off, st.integers(0, 65), st.integers(-2, 2)),
    st.builds(lambda bit, off: -(2**bit) + off, st.integers(0, 65), st.integers(-2, 2)),
)
CHARACTERS = st.one_of(
    st.characters(max_codepoint=0x7F),
    st.characters(max_codepoint=0xFF),
    st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF),
    st.characters(exclude_categories=()),
)
SIZES = st.one_of(
    st.integers(0, 70),
    st.sampled_from([85, 86, 127, 128, 255, 256, 1365, 21845, 21846, 32768, 65535, 65536]),
)
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=40),
    st.builds(lambda part, size: part * size, st.text(CHARACTERS, min_size=1, max_size=2), SIZES),
)
BLOBS = st.one_of(st.binary(max_size=40), st.builds(lambda size: b"\0" * size, SIZES))
CODES = st.integers(0, 127)
LEAVES = st.one_of(
    *(
        strategy.map(lambda value: Pair(value, value))
        for strategy in (
            st.none(),
            st.booleans(),
            INTS,
            INTS.map(Number),
            st.just(Colour.RED),
            st.floats(),
            st.floats(width=32),
            st.floats().map(Real),
            TEXTS,
            TEXTS.map(Name),
            BLOBS,
            BLOBS.map(Data),
            BLOBS.map(bytearray),
            BLOBS.map(Grown),
            BLOBS.map(memoryview),
            st.datetimes(timezones=ZONES),
            st.datetimes(),
            st.just(Moment(2026, 1, 1, tzinfo=UTC)),
            st.just(frozenset()),
            st.just(1j),
        )
    ),
    st.builds(
        lambda code, data: Pair(ExtType(code, data), msgpack.ExtType(code, data)), CODES, BLOBS
    ),
    st.builds(
        lambda seconds, nano: Pair(Timestamp(seconds, nano), msgpack.Timestamp(seconds, nano)),
        st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**35), st.just(2**63)),
        st.integers(0, 10**9 - 1) | st.just(0),
    ),
)


def both(make: Any) -> Any:
    return lambda inside: Pair(make([i.ours for i in inside]), make([i.theirs for i in inside]))


def mapped(kind: Any) -> Any:
    def make(inside: list[tuple[Any, Any]]) -> Pair:
        # Keys are paired by place, so that both dicts have equal entries.
        return Pair(
            kind({key: value.ours for key, value in inside}),
            kind({key: value.theirs for key, value in inside}),
        )

    return make


KEYS = st.one_of(TEXTS, INTS, st.none(), st.tuples(st.integers(), st.text(max_size=3)), BLOBS)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=20)
    dicts = st.lists(st.tuples(KEYS, inner), max_size=20)
    return st.one_of(
        lists.map(both(list)),
        lists.map(both(tuple)),
        lists.map(both(Items)),
        lists.map(both(Backwards)),
        st.tuples(inner, inner).map(both(lambda two: Point(*two))),
        inner.map(lambda value: Pair(Opaque(value.ours), Opaque(value.theirs))),
        dicts.map(mapped(dict)),
        dicts.map(mapped(Entries)),
        dicts.map(mapped(OrderedDict)),
        dicts.map(mapped(Shouting)),
    )


VALUES = st.recursive(LEAVES, containers, max_leaves=25)
REFUSALS = (OverflowError, UnicodeEncodeError, TypeError, ValueError, RuntimeError)


def answer(pack: Any, *args: Any, **options: Any) -> Any:
    """Return what a call returns, or the first class that an ``except`` would name."""
    try:
        return pack(*args, **options)
    except REFUSALS as error:
        return next(kind for kind in REFUSALS if isinstance(error, kind))


def nested(depth: int, around: Any, inside: Any) -> Any:
    value = inside
    for _ in range(depth):
        value = around(value)
    return value
