"""Payloads as text and as trees, against msgpack and json."""

from __future__ import annotations

import array
import json
import mmap
import sys
from typing import Any

import msgpack
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trees import PAYLOADS, WILD, Entries, attempt, on_a_small_stack, wire
from xyfast.codec import b64encode, decode, decrypt, decrypt_many, packb, pick, unpackb
from xyfast.errors import DecodeError, DecryptError


def test_the_depth_is_limited_as_asked() -> None:
    with pytest.raises(DecodeError):
        decode(b64encode(b"\x81\x01\x90"), max_depth=1)


@pytest.mark.parametrize("depth", [-1, -(2**70), 2**64, 2**70])
def test_a_depth_that_is_no_count_is_a_value_error_with_the_range(depth: int) -> None:
    with pytest.raises(ValueError, match="max_depth must be within 0 and "):
        decode("gQGhYQ==", max_depth=depth)
    assert decode("gQGhYQ==", max_depth=sys.maxsize) == {"1": "a"}


@pytest.mark.parametrize("level", [b"\x91", b"\x81\x01", b"\x81\x01\x91", b"\x81", b"\x82\x91"])
def test_a_depth_bomb_is_an_error(level: bytes) -> None:
    bomb = b"\x81\x01" + level * 100_000 + b"\x01"
    payload = b64encode(bomb)

    def work() -> None:
        for call in (
            lambda: unpackb(bomb, strict_map_key=False),
            lambda: decrypt(payload),
            lambda: decode(payload),
            lambda: pick(payload, ["1.1.1"]),
        ):
            with pytest.raises(DecodeError) as raised:
                call()
            assert raised.value.reason == "depth"

    on_a_small_stack(work)


def test_nesting_costs_no_stack() -> None:
    def work() -> None:
        payload = b64encode(b"\x81\x01" + b"\x91" * 50_000 + b"\x01")
        tree, depth = decode(payload, max_depth=50_001)["1"], 0
        while isinstance(tree, list):
            (tree,) = tree
            depth += 1
        assert depth == 50_000

    on_a_small_stack(work)


def reference(data: bytes) -> str:
    """Do what the pure-Python decoder does, with msgpack and json."""
    unpacker = msgpack.Unpacker(strict_map_key=False, ext_hook=refuse)
    unpacker.feed(data)
    value = unpacker.unpack()
    if not isinstance(value, dict):
        return str(value)
    return json.dumps(
        value, ensure_ascii=False, default=lambda data: data.decode("utf-8", "ignore")
    )


def refuse(code: int, data: bytes) -> None:
    raise ValueError("an extension type")


@given(PAYLOADS)
def test_decrypt_writes_what_json_dumps_writes(payload: Entries) -> None:
    data = wire(payload)
    expected, refusal = attempt(reference, data)
    text, error = attempt(decrypt, b64encode(data))
    assert text == expected
    if refusal is not None:
        assert isinstance(error, DecryptError)
        assert str(error) == f"解密失败: {refusal}"


@given(WILD, st.binary(max_size=3))
def test_decrypt_takes_what_the_reference_takes(data: bytes, extra: bytes) -> None:
    # Extension types are unknown to payloads, and no hook of msgpack refuses timestamps.
    assume(not any(head in data for head in (b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff")))
    expected, refusal = attempt(reference, data)
    text, error = attempt(decrypt, b64encode(data))
    assert text == expected
    if refusal is not None:
        assert isinstance(error, DecryptError)
        assert str(error).startswith("解密失败: ")
    else:
        assert decrypt(b64encode(data + extra)) == expected


DYADIC = st.builds(lambda n, bit: n / 2**bit, st.integers(-(2**53), 2**53), st.integers(-10, 60))


@given(
    st.lists(
        st.one_of(st.floats(), DYADIC, st.integers(-1074, 1023).map(lambda n: 2.0**n)), min_size=50
    )
)
def test_decrypt_spells_floats_as_python_does(floats: list[float]) -> None:
    # Fractions of two, and powers of it, have spellings that are equally short and equally near.
    assert decrypt(b64encode(packb({1: floats}))) == json.dumps({"1": floats})


@given(st.binary(min_size=1, max_size=12))
def test_decrypt_words_bad_text_as_python_does(text: bytes) -> None:
    expected, refusal = attempt(text.decode)
    answer, error = attempt(decrypt, b64encode(b"\x81\x01" + bytes([0xA0 + len(text)]) + text))
    if isinstance(refusal, UnicodeDecodeError):
        assert isinstance(error, DecryptError)
        assert str(error) == f"解密失败: {refusal}"
        assert error.offset == 3 + refusal.start
    else:
        assert json.loads(answer) == {"1": expected}


@given(PAYLOADS)
def test_decode_is_what_json_makes_of_the_text(payload: Entries) -> None:
    text = b64encode(wire(payload))
    expected, refusal = attempt(lambda: json.loads(decrypt(text)))
    tree, error = attempt(decode, text)
    assert repr(tree) == repr(expected)
    if isinstance(refusal, DecryptError):
        assert isinstance(error, DecodeError)
        assert (error.reason, error.offset) == (refusal.reason, refusal.offset)


@given(WILD)
def test_decrypt_and_decode_refuse_the_same_maps(data: bytes) -> None:
    is_map = data[0:1] in (b"\xde", b"\xdf") or 0x80 <= (data or b"\0")[0] <= 0x8F
    text = b64encode(data)
    answers: list[object] = []
    for call in (decrypt, decode):
        try:
            call(text)
            answers.append(None)
        except DecodeError as error:
            answers.append((error.reason, error.offset))
    if is_map or not data:
        assert answers[0] == answers[1]
    else:
        assert answers[1] == ("top-level", 0)


def test_decrypt_takes_every_buffer_as_text_and_the_str_of_everything_else() -> None:
    text = b"gQGhYQ=="
    mapped = mmap.mmap(-1, len(text))
    mapped[:] = text
    strided = memoryview(b"".join(bytes([byte, 0]) for byte in text))[::2]
    for payload in (bytearray(text), mapped, array.array("B", text), strided):
        assert decrypt(payload) == '{"1": "a"}'
        assert decrypt_many([payload]) == ['{"1": "a"}']

    class Said:
        def __str__(self) -> str:
            return text.decode()

    assert decrypt(Said()) == '{"1": "a"}'
    mapped.close()


@pytest.mark.parametrize("text", ['{"headers":{"mid":"1 0"}}', b' {"lwp":"/s/sync"}'])
def test_a_frame_in_the_place_of_a_payload_is_told_apart(text: str | bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(text)
    notes = ["this looks like a frame: use decode_frame"] if sys.version_info >= (3, 11) else []
    assert getattr(caught.value, "__notes__", []) == notes
    with pytest.raises(DecodeError) as caught:
        decode("gQ")
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("wrong", [None, 5, ["gQEC"]])
def test_decode_takes_nothing_but_text(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected str or a bytes-like object"):
        decode(wrong)
    with pytest.raises(TypeError):
        pick(wrong, [])


def test_no_error_repeats_the_message() -> None:
    secret = "密码hunter2"
    for data in (
        packb({1: secret})[:-1],
        packb({1: secret})[:-1] + b"\xff",
        packb({1: [secret]})[:-1] + b"\xc1",
        b"\x81" + packb([secret]) + b"\x01",
        b"\x82\x01" + packb(secret) + packb(secret.encode()) + b"\x01",
    ):
        for call in (decrypt, decode):
            with pytest.raises(DecodeError) as raised:
                call(b64encode(data))
            assert "hunter2" not in str(raised.value) + repr(raised.value)
