"""The Unpacker beside msgpack's, and beside unpackb."""

from __future__ import annotations

import gc
import io
import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trees import TREES, WILD, attempt
from xyfast.codec import Timestamp, Unpacker, packb, unpackb
from xyfast.errors import (
    BufferFull,
    DecodeError,
    FormatError,
    OutOfData,
    StackError,
    UnhashableKey,
)

CUTS = st.lists(st.integers(0, 400), max_size=12)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


class Trickle:
    """A file that gives a few bytes at a time."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = list(parts)
        self.asked: list[int] = []

    def read(self, size: int) -> bytes:
        self.asked.append(size)
        if not self.parts:
            return b""
        part, self.parts[0] = self.parts[0][:size], self.parts[0][size:]
        if not self.parts[0]:
            del self.parts[0]
        return part


def fed(data: bytes, **options: Any) -> Unpacker:
    unpacker = Unpacker(**options)
    unpacker.feed(data)
    return unpacker


# -- the same values ---------------------------------------------------------------------


@given(st.lists(TREES, max_size=4), CUTS)
def test_pieces_give_the_values_that_the_whole_gives(trees: list[Any], cuts: list[int]) -> None:
    parts = [msgpack.packb(tree) for tree in trees]
    data = b"".join(parts)
    expected = [repr(unpackb(part, strict_map_key=False)) for part in parts]
    unpacker = Unpacker(strict_map_key=False)
    values = []
    for piece in pieces(data, cuts):
        unpacker.feed(piece)
        values += [repr(value) for value in unpacker]
    assert values == expected
    assert unpacker.tell() == len(data)
    file = Trickle(pieces(data, cuts))
    assert [repr(value) for value in Unpacker(file, strict_map_key=False)] == expected


@given(st.lists(TREES, max_size=4), CUTS)
def test_a_skipped_value_is_passed_over_in_pieces_too(trees: list[Any], cuts: list[int]) -> None:
    data = b"".join(msgpack.packb(tree) for tree in trees) + b"\x07"
    unpacker = Unpacker(Trickle(pieces(data, cuts)))
    for _ in trees:
        assert unpacker.skip() is None
    assert unpacker.unpack() == 7
    assert unpacker.tell() == len(data)


def walk(unpacker: Any, data: bytes) -> Any:
    """Read one value by its heads, as far as possible."""
    first = data[unpacker.tell()]
    if 0x80 <= first <= 0x8F or first in (0xDE, 0xDF):
        count = unpacker.read_map_header()
        return [(walk(unpacker, data), walk(unpacker, data)) for _ in range(count)]
    if 0x90 <= first <= 0x9F or first in (0xDC, 0xDD):
        return [walk(unpacker, data) for _ in range(unpacker.read_array_header())]
    return unpacker.unpack()


@given(TREES, CUTS)
def test_a_value_can_be_read_head_by_head(tree: Any, cuts: list[int]) -> None:
    data = msgpack.packb(tree)
    theirs = msgpack.Unpacker(strict_map_key=False)
    theirs.feed(data)
    ours = Unpacker(Trickle(pieces(data, cuts)), strict_map_key=False)
    assert repr(walk(ours, data)) == repr(walk(theirs, data))
    assert ours.tell() == len(data)


METHODS = st.sampled_from(
    ["feed", "unpack", "skip", "read_array_header", "read_map_header", "__next__"]
)
# Lists of small numbers remain MessagePack from whatever byte on they are read.
LISTS = st.recursive(st.integers(0, 127), lambda inner: st.lists(inner, max_size=15))
SESSIONS = st.one_of(
    st.tuples(st.lists(TREES, max_size=4), st.lists(METHODS, max_size=30)),
    st.tuples(
        st.lists(LISTS, max_size=4),
        st.lists(st.one_of(METHODS, st.integers(0, 5)), max_size=30),
    ),
)


@given(SESSIONS, CUTS)
def test_calls_in_any_order_do_what_they_do_in_msgpack(
    session: tuple[list[Any], list[str | int]], cuts: list[int]
) -> None:
    trees, calls = session
    parts = pieces(b"".join(msgpack.packb(tree) for tree in trees), cuts)
    theirs, ours = msgpack.Unpacker(strict_map_key=False), Unpacker(strict_map_key=False)
    whole = True
    for call in calls:
        if call == "feed":
            part = parts.pop(0) if parts else b""
            theirs.feed(part)
            ours.feed(part)
            continue
        name, args = (call, ()) if isinstance(call, str) else ("read_bytes", (call,))
        expected, refusal = attempt(getattr(theirs, name), *args)
        value, error = attempt(getattr(ours, name), *args)
        assert repr(value) == repr(expected)
        for kind, same in (
            (msgpack.OutOfData, OutOfData),
            (StopIteration, StopIteration),
            (ValueError, ValueError),
            (Exception, Exception),
        ):
            assert isinstance(error, same) == isinstance(refusal, kind)
        # msgpack counts what it has seen of a value that is not whole.
        whole = refusal is None or (whole and isinstance(refusal, ValueError))
        if whole:
            assert ours.tell() == theirs.tell()


@given(WILD, CUTS)
def test_pieces_of_anything_give_what_the_whole_gives(data: bytes, cuts: list[int]) -> None:
    def outcome(unpacker: Unpacker) -> list[Any]:
        seen: list[Any] = []
        while True:
            value, error = attempt(unpacker.unpack)
            seen.append((repr(value), type(error), str(error), unpacker.tell()))
            if error is not None:
                return seen

    whole = outcome(fed(data))
    assert outcome(Unpacker(Trickle(pieces(data, cuts)))) == whole
    value, error = attempt(unpackb, data)
    if error is None:
        assert whole[0][0] == repr(value)
        assert whole[1][1] is OutOfData


@given(WILD, CUTS)
def test_damaged_data_is_refused_by_both(data: bytes, cuts: list[int]) -> None:
    theirs, ours = msgpack.Unpacker(), Unpacker()
    for piece in pieces(data, cuts):
        theirs.feed(piece)
        ours.feed(piece)
        error: Exception | None = None
        while not isinstance(error, OutOfData):
            expected, refusal = attempt(theirs.unpack)
            value, error = attempt(ours.unpack)
            assert repr(value) == repr(expected)
            assert (error is None) == (refusal is None)
            if isinstance(error, DecodeError) or isinstance(refusal, ValueError | TypeError):
                return  # one of them may have met the fault before the value was whole


# -- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind", "offset"),
    [
        (b"\x01\x92\x02\xc1", FormatError, 3),
        (b"\x01" + b"\x91" * 1025, StackError, 1025),
        (b"\x01\x81\x90\x01", UnhashableKey, 2),
        (b"\x01\xa2a\xff", UnicodeDecodeError, 3),
        (b"\x01\xd4\xff\x00", DecodeError, 1),
    ],
)
def test_an_unpacker_that_failed_stays_failed(
    data: bytes, kind: type[Exception], offset: int
) -> None:
    unpacker = fed(data)
    assert unpacker.unpack() == 1
    calls: list[Callable[[], Any]] = [
        unpacker.unpack,
        unpacker.skip,
        unpacker.read_array_header,
        unpacker.read_map_header,
        lambda: unpacker.read_bytes(1),
        lambda: unpacker.feed(b"\x01"),
        lambda: list(unpacker),
        unpacker.unpack,
    ]
    errors = [attempt(call)[1] for call in calls]
    assert all(type(error) is type(errors[0]) for error in errors)
    assert {str(error) for error in errors} == {str(errors[0])}
    assert isinstance(errors[0], kind)
    assert isinstance(errors[0], DecodeError)
    assert (errors[0].offset, unpacker.tell()) == (offset, 1)
    unpacker.__init__()  # type: ignore[misc]
    unpacker.feed(b"\x05")
    assert unpacker.unpack() == 5


def test_what_a_hook_raises_leaves_the_stream_behind_the_value() -> None:
    def hook(code: int, _: bytes) -> int:
        return 1 // code

    unpacker = fed(b"\x92\xd4\x00a\x01\x07", ext_hook=hook)
    with pytest.raises(ZeroDivisionError):
        unpacker.unpack()
    assert unpacker.tell() == 5
    assert unpacker.unpack() == 7


def test_what_the_file_raises_loses_nothing() -> None:
    class Flaky(Trickle):
        def read(self, size: int) -> bytes:
            if len(self.parts) == 1 and not self.asked.count(-1):
                self.asked.append(-1)
                raise BlockingIOError
            return super().read(size)

    unpacker = Unpacker(Flaky([b"\x92\x01", b"\x02"]))
    with pytest.raises(BlockingIOError):
        unpacker.unpack()
    assert unpacker.unpack() == [1, 2]


def test_a_length_or_depth_that_is_not_taken_is_refused_before_its_value_is_there() -> None:
    for head, limit in (
        (b"\xdb\x00\x01\x00\x00", {"max_str_len": 100}),
        (b"\xc6\x00\x01\x00\x00", {"max_bin_len": 100}),
        (b"\xc9\x00\x01\x00\x00", {"max_ext_len": 100}),
        (b"\xdd\x00\x01\x00\x00", {"max_array_len": 100}),
        (b"\xdf\x00\x01\x00\x00", {"max_map_len": 100}),
        (b"\xdf\x00\x00\x00\x06", {"max_buffer_size": 10}),
        (b"\xdb\x00\x00\x00\x0b", {"max_buffer_size": 10}),
        (b"\xc6\x00\x00\x00\x0b", {"max_buffer_size": 10}),
    ):
        [option] = limit
        with pytest.raises(DecodeError, match=f"a length exceeds {option} at byte 0") as raised:
            fed(head, **limit).unpack()
        assert raised.value.reason == "length"
    with pytest.raises(StackError):
        fed(b"\x91" * 1025).unpack()
    with pytest.raises(StackError):
        fed(b"\x91" * 1025).skip()


def test_a_wrong_head_stays_where_it_is() -> None:
    unpacker = fed(b"\x81\xa1a\x01\xc1")
    with pytest.raises(ValueError, match=r"no list at byte 0$"):
        unpacker.read_array_header()
    assert unpacker.read_map_header() == 1
    assert (unpacker.unpack(), unpacker.unpack()) == ("a", 1)
    with pytest.raises(ValueError, match=r"no dict at byte 4$"):
        unpacker.read_map_header()
    assert unpacker.read_bytes(5) == b"\xc1"


@pytest.mark.parametrize("first", [b"\xc4", b"\xd9", b"\xcf", b"\xc7", b"\xde", b"\xc1"])
def test_the_first_byte_of_a_head_is_enough_to_say_that_it_is_wrong(first: bytes) -> None:
    unpacker = fed(first)
    with pytest.raises(DecodeError, match=r"no list at byte 0$") as raised:
        unpacker.read_array_header()
    assert raised.value.reason == "type"
    assert unpacker.read_bytes(1) == first


def test_a_method_that_has_begun_must_end() -> None:
    unpacker = fed(b"\x92\x01")
    with pytest.raises(OutOfData):
        unpacker.unpack()
    for call in (unpacker.skip, unpacker.read_array_header, lambda: unpacker.read_bytes(1)):
        with pytest.raises(ValueError, match="begun"):
            call()
    unpacker.feed(b"\x02")
    assert next(unpacker) == [1, 2]


# -- limits of the buffer ----------------------------------------------------------------


def test_no_more_is_held_than_may_be() -> None:
    unpacker = Unpacker(max_buffer_size=3)
    unpacker.feed(b"\x01\x02")
    with pytest.raises(BufferFull):
        unpacker.feed(b"\x03\x04")
    unpacker.feed(b"\x05")
    assert list(unpacker) == [1, 2, 5]
    file = Trickle([b"\xc4\x0a" + b"x" * 10])
    unpacker = Unpacker(file, max_buffer_size=10)
    with pytest.raises(BufferFull):
        unpacker.unpack()
    assert file.asked == [10]
    with pytest.raises(BufferFull):
        Unpacker(io.BytesIO(b"\x98" + b"\x01" * 8), max_buffer_size=8).unpack()


def test_a_file_is_asked_for_as_much_as_was_said() -> None:
    for options, asked in (
        ({}, 1 << 20),
        ({"read_size": 7}, 7),
        ({"max_buffer_size": 100}, 100),
        ({"max_buffer_size": 0}, 1 << 20),
    ):
        file = Trickle([b"\x01"])
        assert Unpacker(file, **options).unpack() == 1
        assert file.asked == [asked]


def test_a_skipped_value_may_be_larger_than_the_buffer() -> None:
    file = Trickle([b"\xc6\x00\x10\x00\x00", *[b"x" * 1024] * 1024, b"\x07"])
    unpacker = Unpacker(file, max_buffer_size=2048)
    unpacker.skip()
    assert unpacker.unpack() == 7


def test_what_was_read_is_not_kept() -> None:
    resource = pytest.importorskip("resource")
    message = packb(b"x" * 65_536)
    unpacker = Unpacker()
    unpacker.feed(message[:100])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2000):
        # There is always a piece of the next value behind the one that is read.
        unpacker.feed(message[100:] + message[:100])
        unpacker.skip()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert unpacker.tell() == len(message) * 2000
    assert grown * 1024 < len(message) * 1000


@pytest.mark.parametrize(
    ("args", "options", "error"),
    [
        ((), {"read_size": 5, "max_buffer_size": 3}, ValueError),
        ((5,), {}, AttributeError),
        ((), {"timestamp": 7}, ValueError),
        ((), {"object_hook": dict, "object_pairs_hook": list}, TypeError),
        ((), {"encoding": "utf-8"}, TypeError),
        ((None, 5), {}, TypeError),
    ],
)
def test_an_unpacker_that_makes_no_sense_is_refused(
    args: tuple[Any, ...], options: dict[str, Any], error: type[Exception]
) -> None:
    for kind in (msgpack.Unpacker, Unpacker):
        with pytest.raises(error):
            kind(*args, **options)


def test_a_file_gives_bytes_and_feeds_itself() -> None:
    unpacker = Unpacker(io.BytesIO(b"\x01"))
    with pytest.raises(AssertionError):
        unpacker.feed(b"\x02")
    assert list(unpacker) == [1]
    unpacker.feed(b"\x02")
    assert list(unpacker) == [2]
    text: Any = io.StringIO("\x01")
    with pytest.raises(TypeError):
        Unpacker(text).unpack()
    wrong: Any = "\x01"
    with pytest.raises(TypeError):
        Unpacker().feed(wrong)


def test_bytes_can_be_taken_as_they_are() -> None:
    unpacker = Unpacker(io.BytesIO(b"\x01abcdef"), read_size=3)
    assert unpacker.unpack() == 1
    assert unpacker.read_bytes(0) == b""
    assert unpacker.read_bytes(4) == b"abcd"
    assert unpacker.tell() == 5
    assert unpacker.read_bytes(9) == b"ef"
    assert fed(memoryview(b"ab")).read_bytes(9) == b"ab"


# -- hooks, threads, life ----------------------------------------------------------------


def test_an_unpacker_at_work_takes_no_calls() -> None:
    errors: list[Exception | None] = []
    places: list[int] = []

    def hook(_: int, __: bytes) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: unpacker.feed(b"\x01"),
            unpacker.unpack,
            unpacker.skip,
            unpacker.read_map_header,
            lambda: unpacker.read_bytes(1),
            lambda: unpacker.__init__(),  # type: ignore[misc]
        ]
        errors.extend(attempt(call)[1] for call in calls)
        places.append(unpacker.tell())

    unpacker = fed(b"\x01\xd4\x01a", ext_hook=hook)
    assert list(unpacker) == [1, None]
    assert [type(error) for error in errors] == [RuntimeError] * 6
    assert places == [1]


def test_another_thread_waits_for_nothing() -> None:
    inside, leave = threading.Event(), threading.Event()

    class Slow:
        def read(self, _: int) -> bytes:
            inside.set()
            assert leave.wait(60)
            return b"\x01"

    unpacker = Unpacker(Slow())
    values: list[Any] = []
    thread = threading.Thread(target=lambda: values.append(unpacker.unpack()))
    thread.start()
    assert inside.wait(60)
    with pytest.raises(RuntimeError, match="at work"):
        unpacker.unpack()
    assert unpacker.tell() == 0
    leave.set()
    thread.join(60)
    assert values == [1]


def test_a_subclass_may_hook_itself_and_is_collected() -> None:
    class Mine(Unpacker):
        def __init__(self, factor: int) -> None:
            super().__init__(ext_hook=self.times)
            self.factor = factor

        def times(self, code: int, _: bytes) -> int:
            return code * self.factor

    unpacker = Mine(3)
    unpacker.feed(b"\xd4\x05a")
    assert unpacker.unpack() == 15
    sentinel = io.BytesIO()
    mark = weakref.ref(sentinel)
    unpacker.sentinel = sentinel  # type: ignore[attr-defined]
    del unpacker, sentinel
    gc.collect()
    assert mark() is None


@given(TREES)
def test_options_are_those_of_unpackb(tree: Any) -> None:
    data = msgpack.packb(tree)
    options: dict[str, Any] = {
        "use_list": False,
        "raw": True,
        "timestamp": 2,
        "strict_map_key": False,
        "object_pairs_hook": tuple,
        "ext_hook": lambda code, data: (code, data),
    }
    assert repr(fed(data, **options).unpack()) == repr(unpackb(data, **options))
    assert fed(packb(Timestamp(5)), timestamp=1).unpack() == 5.0


def test_an_exception_of_a_type_in_the_stream_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: object, seconds: int, nanoseconds: int = 0) -> None:
        raise KeyboardInterrupt

    unpacker = Unpacker()
    unpacker.feed(packb(Timestamp(1)))
    monkeypatch.setattr(Timestamp, "__init__", stop)
    with pytest.raises(KeyboardInterrupt):
        unpacker.unpack()
