"""The drop-in for the standard library's base64, against the standard library."""

from __future__ import annotations

import base64 as stdlib
import binascii
import pickle
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xyfast.codec import base64
from xyfast.errors import Base64Error, DecodeError

DATA = st.binary(max_size=300)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
TEXT = st.one_of(
    DATA.map(lambda data: stdlib.b64encode(data).decode()),
    DATA.map(lambda data: stdlib.encodebytes(data).decode()),
    st.text(st.sampled_from("AQgz+/-_=\n "), max_size=20),
    st.text(ALPHABET + "=\n", max_size=200),
    st.text(max_size=20),
)
BYTES_LIKE: list[Callable[[bytes], Any]] = [
    bytes,
    bytearray,
    memoryview,
    lambda data: memoryview(data)[::-1],
    lambda data: array("B", data),
    lambda data: array("H", data * 2),
]


def outcome(call: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """What a call returns, or the type and the words of what it raises."""
    try:
        result = call(*args)
    except Exception as error:
        kind = type(error)
        if kind is Base64Error:
            kind = binascii.Error
        return kind, str(error)
    return type(result), result


def same(name: str, *args: Any) -> None:
    expected = outcome(getattr(stdlib, name), *args)
    assert outcome(getattr(base64, name), *args) == expected


@given(TEXT, st.sampled_from([None, b"-_", "-_", b"ab", b"-", b"-_=", "é-", 5]), st.booleans())
@example("Zm9v=", None, True)
@example("Zg=", None, False)
@example("=Zg==", None, True)
@example("Zg==Zg==", None, True)
@example("Z", None, False)
def test_decodes_str_and_bytes_alike(text: str, altchars: Any, validate: bool) -> None:
    same("b64decode", text, altchars, validate)
    same("b64decode", text.encode("utf-8", "surrogatepass"), altchars, validate)


@given(TEXT, st.sampled_from(BYTES_LIKE))
def test_the_named_decoders_are_the_same(text: str, kind: Callable[[bytes], Any]) -> None:
    data = kind(text.encode("utf-8", "surrogatepass"))
    for name in ("b64decode", "standard_b64decode", "urlsafe_b64decode", "decodebytes"):
        same(name, data)
        same(name, text)


@given(DATA, st.sampled_from(BYTES_LIKE))
def test_the_encoders_are_the_same(data: bytes, kind: Callable[[bytes], Any]) -> None:
    for name in ("b64encode", "standard_b64encode", "urlsafe_b64encode", "encodebytes"):
        same(name, kind(data))
    for altchars in (b"-_", bytearray(b"!?"), b"-", "-_", 5):
        same("b64encode", kind(data), altchars)


@pytest.mark.parametrize("value", [None, 5, "text", ["Zg=="], object])
def test_other_types_are_refused_in_the_same_words(value: Any) -> None:
    for name in base64.__all__:
        if name != "Base64Error":
            same(name, value)


def test_a_str_with_surrogates_is_refused_in_the_same_words() -> None:
    same("b64decode", "Zg\ud800==")


@given(st.integers(0, 2000), st.integers(0, 2000), st.sampled_from("\n =-é\0"))
def test_long_text_is_decoded_around_a_foreign_character(size: int, at: int, odd: str) -> None:
    text = stdlib.b64encode(bytes(range(256)) * 8)[:size].decode()
    text = text[:at] + odd + text[at:]
    same("b64decode", text)
    same("b64decode", text.encode())
    same("b64decode", text, None, True)


def test_the_error_is_binasciis_and_ours() -> None:
    with pytest.raises(Base64Error, match="Incorrect padding") as raised:
        base64.b64decode("Zg=")
    assert isinstance(raised.value, binascii.Error)
    assert isinstance(raised.value, DecodeError)
    assert raised.value.reason == "base64"
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (type(copy), str(copy), copy.offset) == (Base64Error, "Incorrect padding", 3)


@pytest.mark.parametrize(
    ("call", "text", "offset"),
    [
        (base64.b64decode, "Zg", 2),
        (base64.b64decode, "Zm9vZ\n", 6),
        (base64.urlsafe_b64decode, b"-_", 2),
        (base64.decodebytes, bytearray(b"Zg=\n"), 4),
        (base64.b64decode, array("H", b"Zg"), 2),
        (partial(base64.b64decode, validate=True), "Zm9v Zm9v", 4),
        (partial(base64.b64decode, validate=True), memoryview(b"=Zm9vZm9"), 0),
        (partial(base64.b64decode, validate=True), b"Zm9vZg", 6),
        (partial(base64.b64decode, altchars="-_", validate=True), "Zm9v-_?_", 6),
    ],
)
def test_the_error_says_where_the_fault_shows(
    call: Callable[..., bytes], text: Any, offset: int
) -> None:
    with pytest.raises(Base64Error) as raised:
        call(text)
    assert (raised.value.reason, raised.value.offset) == ("base64", offset)
