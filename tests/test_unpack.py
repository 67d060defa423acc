"""unpackb with all its options, beside msgpack's."""

from __future__ import annotations

import datetime
import gc
import io
import math
import pickle
import struct
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trees import TREES, WILD, Entries, attempt, on_a_small_stack, ours, wire
from xyfast import codec
from xyfast.codec import ExtType, Timestamp, packb, unpackb
from xyfast.errors import (
    BufferFull,
    DecodeError,
    ExtraData,
    FormatError,
    OutOfData,
    StackError,
    TextError,
    UnhashableKey,
    UnpackException,
)

FAMILIES = [
    (msgpack.ExtraData, ExtraData),
    (msgpack.FormatError, FormatError),
    (msgpack.StackError, StackError),
    (UnicodeDecodeError, UnicodeDecodeError),
    (TypeError, TypeError),
    (OverflowError, OverflowError),
    (ZeroDivisionError, ZeroDivisionError),
    (ValueError, ValueError),
]


def family(error: Exception | None) -> type | None:
    """The class of ours that stands for the class of an exception of msgpack."""
    if error is None:
        return None
    return next(ours for theirs, ours in FAMILIES if isinstance(error, theirs))


LENGTHS = ["max_str_len", "max_bin_len", "max_array_len", "max_map_len", "max_ext_len"]
HOOKS: list[dict[str, Callable[..., Any]]] = [
    {},
    {"object_hook": lambda tree: tree},
    {"object_hook": repr},
    {"object_pairs_hook": list},
    {"object_pairs_hook": tuple},
    {"list_hook": tuple},
    {"list_hook": len},
    {"ext_hook": lambda code, data: (code, data)},
    {"ext_hook": lambda code, data: 1 // code, "list_hook": repr, "object_pairs_hook": len},
]
OPTIONS = st.builds(
    lambda options, hooks: {**options, **hooks},
    st.fixed_dictionaries(
        {},
        optional={
            "use_list": st.booleans(),
            "raw": st.booleans(),
            "timestamp": st.integers(0, 3),
            "strict_map_key": st.booleans(),
            "unicode_errors": st.sampled_from(["strict", "ignore", "replace", "surrogateescape"]),
            **{name: st.sampled_from([-1, 0, 1, 5, 1000]) for name in LENGTHS},
        },
    ),
    st.sampled_from(HOOKS),
)


@given(TREES, OPTIONS)
def test_every_option_means_what_it_means_in_msgpack(tree: Any, options: dict[str, Any]) -> None:
    data = msgpack.packb(tree)
    expected, refusal = attempt(msgpack.unpackb, data, **options)
    value, error = attempt(unpackb, data, **options)
    assert repr(value) == repr(expected)
    if refusal is None:
        assert error is None
    else:
        # Of several faults each may meet another one first.
        assert isinstance(error, ValueError | family(refusal))


@given(WILD, OPTIONS)
def test_unpacks_what_msgpack_unpacks_and_nothing_else(
    data: bytes, options: dict[str, Any]
) -> None:
    expected, refusal = attempt(msgpack.unpackb, data, **options)
    value, error = attempt(unpackb, data, **options)
    assert repr(value) == repr(expected)
    if isinstance(refusal, msgpack.ExtraData):
        assert isinstance(error, ExtraData)
        assert repr(error.unpacked) == repr(refusal.unpacked)
        assert error.extra == refusal.extra
        assert error.offset == len(data) - len(error.extra)
    elif refusal is not None:
        assert isinstance(error, ValueError | family(refusal))
    else:
        assert error is None


FAULTS = [
    b"\xc1",
    b"\xa2a\xff",
    b"\xa3\xe4\xbd",
    b"\x81\x90\x01",
    b"\x81\x80\x01",
    b"\xd4\xff\x00",
    b"\xd4\x80\x00",
    b"\x91" * 1025 + b"\x01",
    b"\x81\x91\xc1\x01",
    b"\x81\x01\xc1",
    b"\xdd\xff\xff\xff\xff",
    b"\xc7\x0c\xff" + struct.pack(">Iq", 0, 2**40),
    b"\xc7\x0c\xff" + struct.pack(">Iq", 0, 2**62),
]


@given(TREES, st.sampled_from(FAULTS), st.sampled_from(HOOKS), st.integers(0, 3), st.booleans())
def test_one_fault_has_the_class_that_msgpack_gives_it(
    tree: Any, fault: bytes, hooks: dict[str, Any], timestamp: int, use_list: bool
) -> None:
    options = {"use_list": use_list, "timestamp": timestamp, "strict_map_key": False}
    whole = msgpack.packb(tree, default=repr)
    data = b"\x92\x91" + fault + whole
    expected, refusal = attempt(msgpack.unpackb, data, **options, **hooks)
    value, error = attempt(unpackb, data, **options, **hooks)
    assert repr(value) == repr(expected)
    wanted = family(refusal)
    if fault.startswith(b"\xdd") and refusal is not None:
        wanted = ValueError  # met before or behind what follows
    assert error is None if wanted is None else isinstance(error, wanted)


@given(TREES)
def test_a_cut_value_is_truncated(tree: Any) -> None:
    packed = packb(ours(tree))
    for end in range(len(packed)):
        with pytest.raises(DecodeError) as raised:
            unpackb(packed[:end], strict_map_key=False)
        assert raised.value.reason == "truncated"


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"", "truncated", 0),
        (b"\x92\x01", "truncated", 2),
        (b"\x92\x01\xc1", "format", 2),
        (b"\xa2a\xff", "utf8", 2),
        (b"\x81\x90\x01", "key", 1),
        (b"\x81\x01\x01", "key", 1),
        (b"\x81\xa1a\x81\xc0\x01", "key", 4),
        (b"\xd4\xfe\x00", "extension", 0),
        (b"\xd4\xff\x00", "timestamp", 0),
        (b"\xd7\xff\xff\xff\xff\xff\x00\x00\x00\x00", "timestamp", 0),
        (b"\x91" * 1025 + b"\x01", "depth", 1024),
        (b"\x91" * 1024 + b"\x80", "depth", 1024),
    ],
)
def test_an_error_says_what_and_where(data: bytes, reason: str, offset: int) -> None:
    with pytest.raises(ValueError, match=f"at byte {offset}$") as raised:
        unpackb(data)
    error = raised.value
    assert isinstance(error, DecodeError)
    assert (error.reason, error.offset) == (reason, offset)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reason, again.offset) == (str(error), reason, offset)


@pytest.mark.parametrize(
    ("opened", "between", "depth"),
    [(b"\x92", b"", 1), (b"\x82\xa1a", b"\xa1b", 1), (b"\x91\x91\x93\x01", b"", 3)],
)
def test_each_branch_may_be_as_deep_as_any(opened: bytes, between: bytes, depth: int) -> None:
    branch = b"\x91" * (1024 - depth)
    start = opened + branch + b"\x01" + between
    data = start + branch + b"\x01"
    assert packb(unpackb(data)) == data
    with pytest.raises(StackError) as caught:
        unpackb(start + branch + b"\x90")
    assert (caught.value.reason, caught.value.offset) == ("depth", len(start + branch))


def test_an_empty_list_in_a_map_counts_as_a_level() -> None:
    maps = b"\x81\xa1a" * 1023
    assert packb(unpackb(maps + b"\x90")) == maps + b"\x90"
    with pytest.raises(StackError) as caught:
        unpackb(b"\x81\xa1a" + maps + b"\x90")
    assert (caught.value.reason, caught.value.offset) == ("depth", 3 * 1024)


def test_lists_that_a_finaliser_empties_on_the_way_are_no_danger() -> None:
    length, emptied = 91, 0
    tree: Any = 1
    for level in range(200):
        tree = [tree] if level % 3 else {"key": [None] * (length - 1) + [tree]}
        tree = [tree, *[0.5] * (length - 1)] if level % 5 == 0 else tree

    class Vandal:
        """Empties lists of that length whenever the garbage collector runs."""

        def __init__(self) -> None:
            self.myself = self

        def __del__(self) -> None:
            nonlocal emptied
            for found in gc.get_objects():
                if type(found) is list and len(found) == length:
                    found.clear()
                    emptied += 1
            if gc.get_threshold() == (1, 1, 1):
                Vandal()

    data = packb(tree)
    del tree
    before = gc.get_threshold()
    Vandal()
    gc.set_threshold(1, 1, 1)
    try:
        value = unpackb(data)
    finally:
        gc.set_threshold(*before)
    assert repr(value)
    # Later versions collect only where Python code runs.
    assert emptied > 10 or sys.version_info >= (3, 12)


def test_keys_that_are_no_text_are_taken_on_request() -> None:
    data = wire(Entries([(1, 2), (None, 3), (1.5, 4), (b"b", 5), (True, 6)]))
    assert unpackb(data, strict_map_key=False) == {1: 6, None: 3, 1.5: 4, b"b": 5}
    assert unpackb(b"\x82\xa1a\x01\xc4\x01b\x02") == {"a": 1, b"b": 2}


@pytest.mark.parametrize(
    "lie",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\xa1",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdc\xff\xff" * 400,
    ],
)
def test_a_false_length_allocates_nothing(lie: bytes) -> None:
    with pytest.raises(DecodeError):
        unpackb(lie)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            unpackb(lie)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16_384


@pytest.mark.parametrize("wrong", ["\x01", None, 5, [1], object()])
def test_unpackb_takes_nothing_but_buffers(wrong: Any) -> None:
    words = f"expected a bytes-like object, not {type(wrong).__name__}"
    for options in ({}, {"strict_map_key": False}, {"use_list": False}):
        with pytest.raises(TypeError, match=words):
            unpackb(wrong, **options)
    with pytest.raises(TypeError, match=words):
        codec.Unpacker().feed(wrong)


def test_errors_of_data_know_reason_and_place_and_the_class_of_msgpack() -> None:
    for data, kinds in (
        (b"\x91\xc1", [FormatError, UnpackException]),
        (b"\x91" * 1025, [StackError, UnpackException]),
        (b"\xa2a\xff", [TextError, UnicodeDecodeError]),
        (b"\x81\x90\x01", [UnhashableKey, TypeError]),
        (b"\x01\x02", [ExtraData]),
    ):
        _, error = attempt(unpackb, data)
        assert all(isinstance(error, kind) for kind in [DecodeError, ValueError, *kinds])
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (str(again), vars(again)) == (str(error), vars(error))


@pytest.mark.parametrize("kind", [BufferFull, OutOfData, UnpackException])
def test_plain_exceptions_survive_a_pickle(kind: type[Exception]) -> None:
    again = pickle.loads(pickle.dumps(kind("words")))
    assert (type(again), str(again)) == (kind, "words")


def test_the_names_of_msgpack_are_there() -> None:
    names = {name for name in vars(msgpack) if not name.startswith("_")} - {"os", "fallback"}
    assert names - {"Packer"} <= set(vars(codec))
    assert codec.version == msgpack.version
    for name in ("PackException", "PackValueError", "PackOverflowError", "UnpackValueError"):
        assert getattr(codec, name) is getattr(msgpack, name)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"object_hook": 1}, TypeError),
        ({"list_hook": "x"}, TypeError),
        ({"ext_hook": 1}, TypeError),
        ({"object_hook": dict, "object_pairs_hook": list}, TypeError),
        ({"timestamp": 4}, ValueError),
        ({"timestamp": -1}, ValueError),
        ({"timestamp": None}, TypeError),
        ({"unicode_errors": 1}, TypeError),
        ({"max_array_len": "1"}, TypeError),
        ({"encoding": "utf-8"}, TypeError),
        ({"max_depth": 5}, TypeError),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        msgpack.unpackb(b"\x90", **options)
    with pytest.raises(error):
        unpackb(b"\x90", **options)


def test_an_unknown_option_is_refused_by_the_name_of_what_was_called() -> None:
    wrong: Any = {"foo": 1}
    for call, name in ((partial(unpackb, b"\x90"), "unpackb"), (codec.Unpacker, "Unpacker")):
        words = rf"{name}\(\) got an unexpected keyword argument 'foo'"
        with pytest.raises(TypeError, match=words):
            call(**wrong)


def test_options_are_as_true_as_they_look() -> None:
    data = b"\x91\xa1a"
    assert unpackb(data, use_list=0, raw=1) == (b"a",)  # type: ignore[arg-type]
    assert unpackb(packed=data, use_list=[]) == ("a",)  # type: ignore[arg-type]


def test_hooks_see_every_code_and_the_default_only_what_is_free() -> None:
    assert unpackb(b"\xd4\x80a", ext_hook=lambda code, data: (code, data)) == (-128, b"a")
    assert unpackb(b"\xd4\x05a", ext_hook=None) == ExtType(5, b"a")
    assert unpackb(b"\xd4\x05a", ext_hook=ExtType) == ExtType(5, b"a")
    with pytest.raises(ValueError, match="extension type -2"):
        unpackb(b"\xd4\xfea", ext_hook=ExtType)
    assert unpackb(b"\xd6\xff\x00\x00\x00\x05", ext_hook=lambda *_: 1 // 0) == Timestamp(5)


def test_a_timestamp_becomes_what_is_asked_for() -> None:
    data = packb(Timestamp(-1, 500_000_001))
    utc = datetime.timezone.utc
    assert unpackb(data, timestamp=1) == -1 + 500_000_001 / 10**9
    assert unpackb(data, timestamp=2) == -499_999_999
    assert unpackb(data, timestamp=3) == datetime.datetime(1969, 12, 31, 23, 59, 59, 500_000, utc)


def test_what_a_hook_raises_comes_out() -> None:
    def hook(*_: Any) -> Any:
        raise KeyError("mine")

    for name, data in (
        ("object_hook", b"\x80"),
        ("object_pairs_hook", b"\x80"),
        ("list_hook", b"\x90"),
        ("ext_hook", b"\xd4\x01a"),
    ):
        with pytest.raises(KeyError, match="mine"):
            unpackb(b"\x91" + data, **{name: hook})


def test_tuples_may_be_keys_only_where_that_is_asked_for() -> None:
    data = b"\x82\x92\x01\x02\x03\x92\x01\x91\x91\x02\x91\x04"
    tree = {(1, 2): 3, (1, ((2,),)): (4,)}
    assert unpackb(data, use_list=False, strict_map_key=False) == tree
    assert unpackb(data, list_hook=tuple, strict_map_key=False) == tree
    for options in ({}, {"use_list": False}, {"strict_map_key": False}):
        with pytest.raises(DecodeError) as raised:
            unpackb(data, **options)
        assert (raised.value.reason, raised.value.offset) == ("key", 1)


def test_a_map_within_a_key_is_an_unhashable_key() -> None:
    with pytest.raises(UnhashableKey, match=r"at byte 2$"):
        unpackb(b"\x91\x81\x91\x80\x01", use_list=False, strict_map_key=False)
    with pytest.raises(UnhashableKey, match=r"a dict is a map key at byte 1$"):
        unpackb(b"\x81\x80\x01", use_list=False, strict_map_key=False)


def colliding(count: int) -> list[tuple[int, int]]:
    """Pairs of numbers whose tuples have one hash, which Python computes without a secret."""
    prime1, prime2, prime5 = 11400714785074694791, 14029467366897019727, 2870177450012600261
    mask = 2**64 - 1

    def rotated(value: int, by: int) -> int:
        return (value << by | value >> 64 - by) & mask

    pairs: list[tuple[int, int]] = []
    second = 0
    while len(pairs) < count:
        # After the first number the state must be whatever makes the second one end alike.
        state = (12345 - second * prime2) & mask
        lane = rotated(state * pow(prime1, -1, 2**64) & mask, 64 - 31)
        first = (lane - prime5) * pow(prime2, -1, 2**64) & mask
        if first < 2**61 - 1:
            pairs.append((first, second))
        second += 1
    assert len({hash(pair) for pair in pairs}) == 1
    return pairs


def test_keys_that_are_made_to_collide_are_refused() -> None:
    pairs = colliding(20_000)
    packer = msgpack.Packer()
    data = packer.pack_map_header(len(pairs)) + b"".join(wire(list(p)) + b"\xc0" for p in pairs)
    with pytest.raises(DecodeError, match="collide") as raised:
        unpackb(data, use_list=False, strict_map_key=False)
    assert raised.value.reason == "key"
    moments = {hash(Timestamp(*pair)) for pair in pairs[:100]}
    assert len(moments) == 100


def test_keys_that_collide_by_chance_are_taken() -> None:
    grid = [(x, y, z) for x in (-1, -2) for y in (-1, -2) for z in (-1, -2, 0)]
    assert len({hash(point) for point in grid}) < len(grid)
    data = msgpack.packb(dict.fromkeys(grid))
    assert unpackb(data, use_list=False, strict_map_key=False) == dict.fromkeys(grid)
    again = b"\xde\x00\x64" + b"\x92\x01\x02\xc0" * 100
    assert unpackb(again, use_list=False, strict_map_key=False) == {(1, 2): None}


@pytest.mark.parametrize("name", LENGTHS)
def test_no_length_above_the_option_is_taken(name: str) -> None:
    examples = {
        "max_str_len": b"\xa3abc",
        "max_bin_len": b"\xc4\x03abc",
        "max_array_len": b"\x93\x01\x02\x03",
        "max_map_len": b"\x83\xa1a\x01\xa1b\x02\xa1c\x03",
        "max_ext_len": b"\xc7\x03\x01abc",
    }
    for kind, data in examples.items():
        if kind == name:
            assert unpackb(data, **{name: 3}) == unpackb(data)
            with pytest.raises(DecodeError, match=name) as raised:
                unpackb(b"\x91" + data, **{name: 2})
            assert (raised.value.reason, raised.value.offset) == ("length", 1)
        else:
            assert unpackb(data, **{name: 1}) == unpackb(data)
    with pytest.raises(ValueError, match=name):
        unpackb(b"\x01", **{name: -2})


def test_hooks_cost_no_stack() -> None:
    def work() -> None:
        nest = b"\x91" * 1024 + b"\x01"
        assert unpackb(nest, use_list=False) is not None
        keys = b"\x81" * 1024
        with pytest.raises(DecodeError):
            unpackb(keys, use_list=False, strict_map_key=False)
        with pytest.raises(UnhashableKey):
            unpackb(keys + b"\x01" * 1025, use_list=False, strict_map_key=False)
        with pytest.raises(StackError):
            unpackb(b"\x81" * 100_000, use_list=False, strict_map_key=False)

    on_a_small_stack(work)


def test_files_hold_one_value() -> None:
    tree = {"a": [1, 2.5, None]}
    file = io.BytesIO()
    codec.pack(tree, file)
    file.seek(0)
    assert codec.unpack(file, use_list=False) == {"a": (1, 2.5, None)}
    assert codec.load(io.BytesIO(b"\xc0")) is None
    with pytest.raises(ExtraData):
        codec.unpack(io.BytesIO(b"\x01\x02"))
    assert (codec.dump, codec.load) == (codec.pack, codec.unpack)
    assert math.isnan(codec.loads(codec.dumps(math.nan)))
