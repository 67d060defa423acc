"""Packing, compared with msgpack over all options and kinds of values."""

from __future__ import annotations

import datetime
import sys
from collections import Counter, OrderedDict, defaultdict
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from values import TEXTS, UTC, VALUES, Backwards, Items, Opaque, Pair, Shouting, answer
from xyfast import codec
from xyfast.codec import Packer, Timestamp, packb
from xyfast.errors import EncodeError, LoneSurrogate, OutOfRange, UnsupportedType


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


def test_relatives_of_dicts_keep_their_own_order() -> None:
    ordered = OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    grouped = defaultdict(list, {"k": [1]})
    for value in (ordered, grouped, Counter("aab"), Shouting(a=1), Backwards([1, 2])):
        assert packb(value) == msgpack.packb(value)


def test_the_short_name_is_the_long_one() -> None:
    assert codec.dumps is packb
