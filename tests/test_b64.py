"""b64encode and b64decode, strict and forgiving, against the standard library."""

from __future__ import annotations

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trees import attempt
from xyfast.codec import b64decode, b64encode, decrypt
from xyfast.errors import DecodeError, DecryptError


@given(st.binary(max_size=300))
def test_encodes_as_the_standard_library_does(data: bytes) -> None:
    text = b64encode(data)
    assert text == base64.b64encode(data).decode()
    assert b64decode(text) == b64decode(text.encode()) == data


@given(st.text("AQgw+/=", max_size=12))
def test_strict_decoding_takes_one_text_for_every_value(text: str) -> None:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        data = None
    if data is not None and base64.b64encode(data).decode() == text:
        assert b64decode(text) == data
    else:
        with pytest.raises(DecodeError) as raised:
            b64decode(text)
        assert raised.value.reason == "base64"
        assert 0 <= raised.value.offset <= len(text)


@pytest.mark.parametrize("text", ["gQ GhYQ==", "gQGhYQ==\n", "gQ-_", "闲鱼==", "gQG\ud800", "Zh=="])
def test_strict_decoding_refuses_what_is_foreign(text: str) -> None:
    with pytest.raises(DecodeError, match="at character"):
        b64decode(text)


def forgiving(text: str) -> bytes:
    """Decode as the rules say: twice, with the standard library."""
    clean = text.encode("ascii", "ignore")
    try:
        return binascii.a2b_base64(clean)
    except binascii.Error:
        if len(clean) % 4 == 0:
            raise
        return binascii.a2b_base64(clean + b"=" * (4 - len(clean) % 4))


FOREIGN = st.text(st.sampled_from("AQgw+/==\n -_闲\ud800é\0"), max_size=16)


@given(st.one_of(FOREIGN, st.text(max_size=16)))
def test_forgiving_decoding_has_the_habits_of_the_standard_library(text: str) -> None:
    expected, refusal = attempt(forgiving, text)
    data, error = attempt(b64decode, text, strict=False)
    assert data == expected
    if refusal is not None:
        assert isinstance(error, DecodeError)
        with pytest.raises(DecryptError) as raised:
            decrypt(text)
        assert str(raised.value) == f"解密失败: {refusal}"
        assert raised.value.offset == error.offset == len(text)
