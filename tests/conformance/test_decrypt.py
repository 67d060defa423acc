"""What programs that used the pure-Python decoder rely on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from xyfast.codec import b64encode, decode, decrypt
from xyfast.errors import DecodeError, DecryptError

PATH = Path(__file__).parents[1] / "vectors" / "decrypt.json"
VECTORS = json.loads(PATH.read_text(encoding="utf-8"))["vectors"]


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in VECTORS])
def test_answers_the_vector(vector: dict[str, Any]) -> None:
    if not vector.get("error"):
        assert decrypt(vector["payload"]) == vector["text"]
        return
    with pytest.raises(DecryptError) as raised:
        decrypt(vector["payload"])
    assert str(raised.value).startswith("解密失败: ")
    if "error_text" in vector:
        assert str(raised.value) == vector["error_text"]


def test_the_vectors_are_all_there() -> None:
    assert len(VECTORS) == 789


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_bytes_as_their_ascii_text(kind: Any) -> None:
    assert decrypt(kind(b"gQGhYQ==")) == '{"1": "a"}'
    assert decrypt(kind("闲gQGhYQ==".encode())) == '{"1": "a"}'


def test_takes_the_str_of_anything_else() -> None:
    class Payload:
        def __str__(self) -> str:
            return "gQGhYQ=="

    class Text(str):
        __slots__ = ()

    assert decrypt(Payload()) == '{"1": "a"}'
    assert decrypt(Text("gQGhYQ==")) == '{"1": "a"}'


def test_skips_lone_surrogates() -> None:
    assert decrypt("gQ\ud800GhYQ\udfff==") == '{"1": "a"}'
    assert decrypt("\ud800gQGhYQ") == '{"1": "a"}'


def test_the_error_says_what_and_where() -> None:
    with pytest.raises(DecryptError) as raised:
        decrypt(b64encode(b"\x81\x01\x92\x01\xc1"))
    assert (raised.value.reason, raised.value.offset) == ("format", 4)
    with pytest.raises(DecryptError) as raised:
        decrypt("gQGhYQ\n")
    assert (raised.value.reason, raised.value.offset) == ("base64", 7)


def test_the_error_is_caught_as_programs_catch_it() -> None:
    with pytest.raises(ValueError, match="解密失败: Unexpected end of data"):
        decrypt("")


@pytest.mark.parametrize(
    ("head", "level", "text"),
    [(b"", b"\x81\x01", '{"1": '), (b"\x81\x01", b"\x91", "["), (b"", b"\x91", "[")],
    ids=["maps", "lists in a map", "lists"],
)
def test_takes_512_levels_and_no_more(head: bytes, level: bytes, text: str) -> None:
    levels = 512 - len(head) // 2
    assert text * levels in decrypt(b64encode(head + level * levels + b"\x01"))
    with pytest.raises(DecryptError) as raised:
        decrypt(b64encode(head + level * (levels + 1) + b"\x01"))
    assert str(raised.value) == "解密失败: maximum recursion depth exceeded"
    assert raised.value.reason == "depth"


@pytest.mark.parametrize(("call", "level"), [(decrypt, b"\x91"), (decode, b"\x81\xc3")])
def test_what_is_too_deep_for_the_callers_stack_is_an_error(call: Any, level: bytes) -> None:
    payload = b64encode(level * 500 + b"\x01")

    def calls(frames: int) -> Any:
        return call(payload) if frames == 0 else calls(frames - 1)

    expected = calls(10)
    if sys.version_info >= (3, 12):  # C code has a limit of its own there
        assert type(calls(900)) is type(expected)
        return
    with pytest.raises(DecodeError) as raised:
        calls(900)
    assert raised.value.reason == "depth"


REALISTIC = [v for v in VECTORS if v["name"].startswith("kind/")]


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in REALISTIC])
def test_decode_is_what_json_makes_of_the_text(vector: dict[str, Any]) -> None:
    assert decode(vector["payload"]) == json.loads(vector["text"])
