"""Packing, compared with msgpack over all options and kinds of values."""

from __future__ import annotations

import datetime
import gc
import io
import sys
import threading
import tracemalloc
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xyfast import _core, codec
from xyfast.codec import ExtType, Packer, Timestamp, packb, unpackb
from xyfast.errors import EncodeError, LoneSurrogate, OutOfRange, UnsupportedType

UTC = datetime.timezone.utc

# -- values of every kind, and relatives of them ------------------------------------------


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


def hook(value: Any) -> Any:
    """Open what is opaque; name the type of ints and relatives; leave the rest."""
    if isinstance(value, Opaque):
        return value.inside
    if isinstance(value, int | frozenset | Items):
        return {type(value).__name__: None}
    return value


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "default": st.sampled_from([None, hook]),
        "use_single_float": st.booleans(),
        "use_bin_type": st.booleans(),
        "strict_types": st.booleans(),
        "datetime": st.booleans(),
        "unicode_errors": st.sampled_from([None, "strict", "surrogatepass", "replace"]),
    },
)
REFUSALS = (OverflowError, UnicodeEncodeError, TypeError, ValueError, RuntimeError)


def answer(pack: Any, *args: Any, **options: Any) -> Any:
    """Return what a call returns, or the first class that an ``except`` would name."""
    try:
        return pack(*args, **options)
    except REFUSALS as error:
        return next(kind for kind in REFUSALS if isinstance(error, kind))


@given(VALUES, OPTIONS)
def test_packs_and_refuses_as_msgpack_does(value: Pair, options: dict[str, Any]) -> None:
    expected = answer(msgpack.packb, value.theirs, **options)
    assert answer(packb, value.ours, **options) == expected
    assert answer(Packer(**options).pack, value.ours) == expected


def fresh(text: str) -> str:
    """Return an equal str that nobody has asked for its UTF-8."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")


@given(TEXTS)
@example("\ud83d\ude00")
def test_text_is_packed_from_its_own_units_and_does_not_grow(text: str) -> None:
    text += "ab"  # Single characters are shared.
    text, known = fresh(text), fresh(text)
    before = sys.getsizeof(text)
    expected = answer(msgpack.packb, known)
    assert answer(packb, text) == answer(packb, known) == expected
    assert sys.getsizeof(text) == before


# -- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "builtin"),
    [
        (object(), UnsupportedType, TypeError),
        ({1, 2}, UnsupportedType, TypeError),
        (1j, UnsupportedType, TypeError),
        (datetime.datetime(2026, 1, 1, tzinfo=UTC), UnsupportedType, TypeError),
        (2**64, OutOfRange, OverflowError),
        (-(2**63) - 1, OutOfRange, OverflowError),
        (Timestamp(2**63, 0), OutOfRange, OverflowError),
        ("\ud800", LoneSurrogate, UnicodeEncodeError),
        ("\U0001f600\udfff", LoneSurrogate, UnicodeEncodeError),
    ],
)
def test_a_refusal_is_ours_and_the_builtin_that_msgpack_raises(
    value: object, error: type[EncodeError], builtin: type[Exception]
) -> None:
    for nested in (value, [value], {"a": value}, (1, value)):
        for caught in (error, builtin, EncodeError, ValueError):
            with pytest.raises(caught):
                packb(nested)


def test_names_the_type_that_has_no_form_and_not_the_value() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "cookie2=hunter2"

    with pytest.raises(UnsupportedType, match=r"type Secret$"):
        packb({"a": Secret()})


def test_a_lone_surrogate_is_shown_without_its_text() -> None:
    with pytest.raises(LoneSurrogate) as raised:
        packb("密码hunter2\ud800")
    assert raised.value.object == "\ud800"
    assert "hunter2" not in repr(raised.value) + str(raised.value)


def test_a_float_beyond_32_bits_is_refused_as_single() -> None:
    assert packb(float("inf"), use_single_float=True) == b"\xca\x7f\x80\0\0"
    with pytest.raises(OutOfRange):
        packb(1e39, use_single_float=True)


def test_an_object_that_only_claims_to_be_a_timestamp_is_refused() -> None:
    class Liar:
        @property
        def __class__(self) -> type:  # type: ignore[override]
            return Timestamp

    with pytest.raises(UnsupportedType, match="Liar"):
        packb({"a": Liar()})


@pytest.mark.parametrize("options", [{"default": 5}, {"encoding": "utf-8"}, {"unicode_errors": 1}])
def test_wrong_options_are_type_errors(options: dict[str, Any]) -> None:
    for pack in (packb, lambda value, **options: Packer(**options).pack(value)):
        with pytest.raises(TypeError):
            pack(1, **options)


# -- the hook ----------------------------------------------------------------------------


def test_the_hook_is_asked_once_for_an_object() -> None:
    asked: list[object] = []

    def ask(value: object) -> object:
        asked.append(value)
        return {1, 2} if isinstance(value, Opaque) else [Opaque(None)]

    with pytest.raises(UnsupportedType, match="type set"):
        packb([Opaque(None)], default=ask)
    assert len(asked) == 1


def test_an_endless_hook_is_too_deep() -> None:
    for made in (lambda value: [value], lambda value: {"a": value}, lambda value: Items([value])):
        with pytest.raises(ValueError, match="deep"):
            packb(Opaque(None), default=made)


def test_what_the_hook_raises_comes_out() -> None:
    def fail(value: object) -> object:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        packb({"a": [Opaque(None)]}, default=fail)


# -- containers that change --------------------------------------------------------------


@given(st.data())
def test_a_container_that_changes_gives_the_right_head_or_an_error(data: st.DataObject) -> None:
    draw = data.draw
    place = draw(st.integers(0, 5))
    items: list[Any] = [draw(st.sampled_from([1, "a", (), [2], {"b": 3}])) for _ in range(5)]
    items.insert(place, Opaque(None))
    use = draw(st.sampled_from(["list", "values", "keys"]))
    container: Any
    if use == "list":
        container = items
    elif use == "values":
        container = dict(enumerate(items))
    else:
        container = {(item if isinstance(item, Opaque) else i): i for i, item in enumerate(items)}
    change = draw(st.sampled_from(["clear", "grow", "pop", "replace", "refill"]))

    def meddle(value: object) -> object:
        if change in ("clear", "refill"):
            container.clear()
        elif change == "pop":
            container.pop() if use == "list" else container.popitem()
        if change in ("grow", "refill"):
            more = [bytes([65 + i]) * 40 for i in range(30 if change == "grow" else len(items))]
            container.extend(more) if use == "list" else container.update(dict.fromkeys(more, 1))
        elif change == "replace":
            for key in range(len(items)) if use == "list" else list(container):
                container[key] = "other"
        gc.collect()
        return "made"

    outer = [container, container] if draw(st.booleans()) else container
    packed = answer(packb, outer, default=meddle)
    if packed is not RuntimeError:
        unpackb(packed, strict_map_key=False)


# -- depth -------------------------------------------------------------------------------


def nested(depth: int, around: Any, inside: Any) -> Any:
    value = inside
    for _ in range(depth):
        value = around(value)
    return value


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
    wrong: list[object] = []

    def work() -> None:
        for around in (lambda value: [value], lambda value: Point(value, 1)):
            value = nested(1023, around, Opaque(None))
            made = nested(1023, around, [])
            try:
                assert packb(value, default=lambda _: []) == packb(made)
                assert answer(packb, Opaque(None), default=around) is ValueError
            except BaseException as error:
                wrong.append(error)

    # The frames of a debug build are several times as large.
    size = 192 if _core.build_profile == "release" else 768
    before = threading.stack_size(size * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60)
    finally:
        threading.stack_size(before)
    assert not thread.is_alive()
    assert wrong == []


def test_a_list_within_itself_is_too_deep() -> None:
    endless: list[Any] = []
    endless.append({"a": (endless,)})
    with pytest.raises(EncodeError, match="deep"):
        packb(endless)


# -- Packer ------------------------------------------------------------------------------

CALLS = st.one_of(
    st.tuples(
        st.just("pack"),
        st.one_of(INTS, TEXTS, st.lists(INTS, max_size=3)).map(lambda value: (value,)),
    ),
    st.tuples(
        st.sampled_from(["pack_array_header", "pack_map_header"]),
        st.one_of(st.integers(-1, 70000), st.integers(2**32 - 1, 2**32), st.just(2**64)).map(
            lambda size: (size,)
        ),
    ),
    st.tuples(
        st.just("pack_map_pairs"),
        st.lists(st.tuples(TEXTS, INTS), max_size=20).map(lambda pairs: (pairs,)),
    ),
    st.tuples(
        st.just("pack_ext_type"),
        st.tuples(
            st.integers(-130, 130),
            st.one_of(BLOBS, BLOBS.map(bytearray), st.text(st.characters(codec="ascii"))),
        ),
    ),
    st.tuples(st.just("reset"), st.just(())),
)


@given(st.lists(CALLS, max_size=8), st.booleans())
def test_a_packer_does_what_msgpacks_does(calls: list[Any], autoreset: bool) -> None:
    ours, theirs = Packer(autoreset=autoreset), msgpack.Packer(autoreset=autoreset)
    for name, args in calls:
        expected = answer(getattr(theirs, name), *args)
        if expected in REFUSALS and name == "pack_map_pairs":
            return  # msgpack keeps half a map; we keep what was there.
        assert answer(getattr(ours, name), *args) == expected
        assert ours.bytes() == theirs.bytes()
        assert bytes(ours.getbuffer()) == bytes(memoryview(ours)) == theirs.bytes()
    out = io.BytesIO()
    out.write(ours)
    assert out.getvalue() == ours.bytes()


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("pack", {"obj": 1}),
        ("pack_array_header", {"size": 2}),
        ("pack_map_header", {"size": 2}),
        ("pack_map_pairs", {"pairs": [(1, 2)]}),
        ("pack_ext_type", {"typecode": 5, "data": "red"}),
    ],
)
def test_arguments_have_the_names_that_msgpack_gives_them(name: str, args: dict[str, Any]) -> None:
    packed = getattr(Packer(), name)(**args)
    assert packed == getattr(msgpack.Packer(), name)(**args)


@pytest.mark.parametrize("text", ["é", "闲鱼", "\ud800"])
def test_data_that_is_text_but_not_ascii_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="ascii"):
        msgpack.Packer().pack_ext_type(1, text)
    with pytest.raises(EncodeError, match="ASCII") as raised:
        Packer().pack_ext_type(1, text)
    assert text not in repr(raised.value)


def test_a_failed_call_keeps_no_half_value() -> None:
    packer = Packer(autoreset=False)
    packer.pack(1)
    for call in (
        lambda: packer.pack_map_pairs([("a", 1), ("b", object())]),
        lambda: packer.pack_map_pairs([("a", 1, 2)]),
        lambda: packer.pack_ext_type(1, "téxt"),
        lambda: packer.pack_ext_type(1, memoryview(b"a")),  # type: ignore[arg-type]
    ):
        with pytest.raises((TypeError, ValueError)):
            call()
        assert packer.bytes() == b"\x01"


def test_an_exported_buffer_does_not_change() -> None:
    packer = Packer(autoreset=False)
    packer.pack("a")
    with packer.getbuffer() as view:
        for call in (
            lambda: packer.pack(1),
            lambda: packer.pack_array_header(1),
            lambda: packer.pack_map_header(1),
            lambda: packer.pack_map_pairs([]),
            lambda: packer.pack_ext_type(1, b""),
            packer.reset,
        ):
            with pytest.raises(BufferError):
                call()
        assert view.readonly
        assert bytes(view) == packer.bytes() == b"\xa1a"
    packer.reset()
    assert packer.bytes() == b""


def test_a_view_taken_by_the_hook_is_safe() -> None:
    views: list[memoryview] = []

    def view(value: object) -> None:
        views.append(packer.getbuffer())

    packer = Packer(autoreset=False, default=view)
    packer.pack("a" * 100)
    with pytest.raises(BufferError):
        packer.pack(Opaque(None))
    assert bytes(views[0]) == packer.bytes() == b"\xd9\x64" + b"a" * 100


def test_a_hook_may_use_the_packer_that_asks_it() -> None:
    packer = Packer(default=lambda value: ExtType(1, packer.pack(value.inside)))
    assert packer.pack([Opaque(Opaque(7))]) == packb([ExtType(1, packb(ExtType(1, b"\x07")))])


def test_a_subclass_may_have_other_arguments() -> None:
    class Custom(Packer):
        def __init__(self, made: object, **options: Any) -> None:
            super().__init__(default=lambda value: made, **options)

    assert Custom("x", use_bin_type=False).pack([Opaque(None), b"y"]) == b"\x92\xa1x\xa1y"
    assert Custom(made=5).pack(Opaque(None)) == b"\x05"


def test_a_packer_in_a_cycle_is_collected() -> None:
    class Mark:
        packer: Packer
        alive = 0

        def __init__(self) -> None:
            Mark.alive += 1

        def __del__(self) -> None:
            Mark.alive -= 1

        def hook(self, value: object) -> None: ...

    mark = Mark()
    mark.packer = Packer(default=mark.hook)
    del mark
    gc.collect()
    assert Mark.alive == 0


def test_a_packer_is_the_same_for_all_threads() -> None:
    packer = Packer(default=lambda value: value.inside, autoreset=False)
    expected = packb([Opaque(i) for i in range(50)], default=lambda value: value.inside)
    start = threading.Barrier(8)

    def work() -> None:
        start.wait(10)
        for _ in range(50):
            packer.pack([Opaque(i) for i in range(50)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert packer.bytes() == expected * 400


# -- sizes and leaks ---------------------------------------------------------------------


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


def test_relatives_of_dicts_keep_their_own_order() -> None:
    ordered = OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    grouped = defaultdict(list, {"k": [1]})
    for value in (ordered, grouped, Counter("aab"), Shouting(a=1), Backwards([1, 2])):
        assert packb(value) == msgpack.packb(value)


def test_the_short_name_is_the_long_one() -> None:
    assert codec.dumps is packb
