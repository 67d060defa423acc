"""Values, bytes of MessagePack and damage done to them, for the tests of the codec."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import msgpack
from hypothesis import strategies as st

from xyfast.codec import ExtType, Timestamp

INTS = st.one_of(
    st.integers(-3, 20),
    st.integers(-(2**63), 2**64 - 1),
    st.builds(
        lambda bit, off: max(-(2**63), min(2**64 - 1, 2**bit + off)),
        st.integers(0, 64),
        st.integers(-2, 2),
    ),
)
FLOATS = st.one_of(st.floats(), st.integers(-3, 20).map(lambda n: n / 2))
NAMES = st.one_of(st.sampled_from(["1", "2", "null", "true", "1.0", "a"]), st.text(max_size=40))
SCALARS = st.one_of(st.none(), st.booleans(), INTS, FLOATS, NAMES, st.binary(max_size=40))
EXTENSIONS = st.one_of(
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20)),
    st.builds(msgpack.Timestamp, st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**9 - 1)),
    st.builds(msgpack.Timestamp, st.integers(0, 2**35), st.integers(0, 2)),
)


def trees(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=20), st.dictionaries(keys, inner, max_size=20)
        ),
        max_leaves=30,
    )


ANY = st.one_of(SCALARS, EXTENSIONS)
TREES = trees(ANY, ANY)


class Entries(NamedTuple):
    """A map as written on the wire: equal keys may come again."""

    pairs: list[tuple[Any, Any]]


WIRE = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.lists(st.tuples(SCALARS, inner), max_size=6).map(Entries),
    ),
    max_leaves=20,
)
PAYLOADS = st.lists(st.tuples(SCALARS, WIRE), max_size=20).map(Entries)


def wire(value: Any) -> bytes:
    if isinstance(value, Entries):
        packer = msgpack.Packer()
        head: bytes = packer.pack_map_header(len(value.pairs))
        return head + b"".join(wire(part) for pair in value.pairs for part in pair)
    if isinstance(value, list):
        packer = msgpack.Packer()
        head = packer.pack_array_header(len(value))
        return head + b"".join(map(wire, value))
    packed: bytes = msgpack.packb(value)
    return packed


def changed(data: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    wild = bytearray(data)
    for at, byte in changes:
        wild[at % len(wild)] = byte
    return bytes(wild[: cut % (len(wild) * 4) + 1])


CHANGES = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4)
WILD = st.one_of(
    st.binary(max_size=100),
    st.builds(changed, TREES.map(msgpack.packb), CHANGES, st.integers(0)),
    st.builds(changed, PAYLOADS.map(wire), CHANGES, st.integers(0)),
)


def attempt(call: Any, *args: Any, **options: Any) -> tuple[Any, Exception | None]:
    """Return what a call returns, or what it raises."""
    try:
        return call(*args, **options), None
    except Exception as error:
        return None, error


def ours(value: Any) -> Any:
    """Return the tree with our ExtType and Timestamp in place of msgpack's."""
    if isinstance(value, msgpack.ExtType):
        return ExtType(*value)
    if isinstance(value, msgpack.Timestamp):
        return Timestamp(value.seconds, value.nanoseconds)
    if isinstance(value, list):
        return [ours(v) for v in value]
    if isinstance(value, dict):
        return {ours(k): ours(v) for k, v in value.items()}
    return value


def on_a_small_stack(work: Callable[[], object], size: int = 512 * 1024) -> None:
    """Run work on a thread with so many bytes of stack."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    before = threading.stack_size(size)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
    finally:
        threading.stack_size(before)
    assert not thread.is_alive()
    if failures:
        raise failures[0]
