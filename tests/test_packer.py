"""The Packer, compared with msgpack's."""

from __future__ import annotations

import gc
import io
import threading
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from values import BLOBS, INTS, REFUSALS, TEXTS, Opaque, answer
from xyfast.codec import ExtType, Packer, packb
from xyfast.errors import EncodeError

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
