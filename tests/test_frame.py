"""Frames and payloads as Python sees them; what an envelope is, cargo tests."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import msgpack
import pytest

from xyfast._core import Frame, decode_frame, parse_frame, read_payload
from xyfast.errors import DecodeError

VECTORS = json.loads((Path(__file__).parent / "vectors" / "pushes.json").read_text("utf-8"))
VALID = [v for v in VECTORS["vectors"] if v["expect"]["class"] != "invalid"]
INVALID = [v for v in VECTORS["vectors"] if v["expect"]["class"] == "invalid"]


def by_name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def push(*entries: object) -> Frame:
    package = {"data": [entry if isinstance(entry, int) else {"data": entry} for entry in entries]}
    body = {"syncPushPackage": package}
    return parse_frame(json.dumps({"lwp": "/s/sync", "headers": {}, "body": body}))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("vector", VALID, ids=by_name)
def test_a_frame_says_what_the_vectors_expect(vector: dict[str, Any]) -> None:
    frame, expect = parse_frame(vector["frame"]), vector["expect"]
    assert frame.kind == expect["class"]
    assert frame.lwp == expect.get("lwp", frame.lwp)
    assert frame.mid == expect.get("mid", frame.mid)
    assert frame.code == expect.get("code", frame.code)
    assert json.loads(frame.ack or "null") == expect.get("ack")
    if frame.kind == "push":
        assert frame.max_pts == expect["max_pts"]
        assert (frame.has_more, frame.resync) == (expect["has_more"], expect["resync"])
        stages = [payload.get("reason") for payload in expect["payloads"]]
        assert [payload.stage for payload in frame.payloads] == stages
    tree = json.loads(vector["frame"])
    assert frame.text == vector["frame"]
    assert json.loads(frame.headers) == tree["headers"]
    assert json.loads(frame.body or "null") == tree.get("body")


@pytest.mark.parametrize("vector", INVALID, ids=by_name)
def test_what_is_no_envelope_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_frame(vector["frame"])
    assert caught.value.reason in {"json", "envelope"}
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.reason, again.offset) == (caught.value.reason, caught.value.offset)


@pytest.mark.parametrize("vector", VALID, ids=by_name)
def test_a_payload_has_either_a_tree_or_an_error(vector: dict[str, Any]) -> None:
    for payload in parse_frame(vector["frame"]).payloads:
        assert (payload.tree is None) == (payload.error is not None) == (payload.stage is not None)
        assert payload.error is None or isinstance(payload.error, DecodeError)


def test_every_encoding_gives_the_same_tree() -> None:
    tree = {"1": {"2": "在吗"}, "3": [1, None]}
    text = json.dumps(tree, ensure_ascii=False)
    msgpack = b"\x82\x01\x81\x02\xa6" + "在吗".encode() + b"\x03\x92\x01\xc0"
    payloads = push(text, f" \n{text}", b64(text.encode()), b64(msgpack)).payloads
    assert [payload.tree for payload in payloads] == [tree] * 4
    assert [payload.stage for payload in payloads] == [None] * 4


def test_a_top_level_that_is_no_map_is_the_tree() -> None:
    payloads = push(b64(b"\x93\x01\xa1a\x81\x02\x03"), b64(b"\x07")).payloads
    assert [payload.tree for payload in payloads] == [[1, "a", {"2": 3}], 7]


@pytest.mark.parametrize(
    ("entry", "stage", "reason", "offset"),
    [
        (7, "missing", "missing", 0),
        ("g", "base64", "base64", None),
        ("", "msgpack", "truncated", 0),
        ('{"a":1,}', "json", "json", None),
        ("{" * 100_000, "json", "json", None),
        (b64(b'{"a":'), "json", "json", 5),
        (b64(b'{"a":"\xff"}'), "json", "json", 6),
        (b64(b"\x81\x01"), "msgpack", "truncated", 2),
        (b64(b"\x81\x01\xc1"), "msgpack", "format", 2),
        (b64(b"\x81\x01\xa1\xff"), "msgpack", "utf8", None),
        (b64(b"\x81\x01" + b"\x91" * 600 + b"\x01"), "msgpack", "depth", None),
    ],
)
def test_a_bad_payload_says_why_and_costs_no_neighbour(
    entry: object, stage: str, reason: str, offset: int | None
) -> None:
    first, bad, last = push("gQGhYQ==", entry, "gQGhYQ==").payloads
    assert first.tree == last.tree == {"1": "a"}
    assert (bad.tree, bad.stage) == (None, stage)
    assert isinstance(bad.error, DecodeError)
    assert bad.error.reason == reason
    assert offset is None or bad.error.offset == offset
    assert bad.text == (None if isinstance(entry, int) else entry)


def test_payloads_are_decoded_once() -> None:
    frame = push("gQGhYQ==")
    assert frame.payloads is frame.payloads


def test_no_repr_or_error_shows_a_text() -> None:
    secret = "synthetic-secret"
    frame = push(secret, json.dumps({"a": secret}), "{" + secret)
    shown = [repr(frame), *map(repr, frame.payloads), *(str(p.error) for p in frame.payloads)]
    with pytest.raises(DecodeError) as caught:
        parse_frame(f'{{"headers":"{secret}"}}')
    assert not any(secret in text for text in [*shown, str(caught.value), repr(caught.value)])
    assert repr(frame) == f"Frame(kind='push', link=0, payloads=3, size={len(frame.text)})"


def test_maps_inside_a_list_have_str_keys_too() -> None:
    payload = b64(bytes.fromhex("9183") + b"\x01\xa1a\xcb\x40\x04" + bytes(6) + b"\xa1b\xc3\xa1c")
    assert read_payload(payload).tree == [{"1": "c", "2.5": "b"}]
    assert read_payload(b64(msgpack.packb([{1.5: float("inf")}]))).tree == [{"1.5": float("inf")}]


@pytest.mark.parametrize(
    "text", ['{"a": NaN}', "{'a': 1}", '{"a": ' + "[" * 600 + "]" * 600 + "}", '{"a": 1} x']
)
def test_json_payloads_are_strict_and_bounded(text: str) -> None:
    for payload in (text, b64(text.encode())):
        read = read_payload(payload)
        assert (read.tree, read.stage) == (None, "json")
        assert isinstance(read.error, DecodeError)


@pytest.mark.parametrize(
    ("raised", "reason"), [(ValueError("digits"), "json"), (RecursionError(), "depth")]
)
def test_the_limits_of_pythons_reader_are_the_payloads_error(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, reason: str
) -> None:
    monkeypatch.setattr(json, "loads", raises(raised))
    read = read_payload('{"a": 1}')
    assert (read.tree, read.stage) == (None, "json")
    assert isinstance(read.error, DecodeError)
    assert read.error.reason == reason


def test_what_no_payload_is_to_blame_for_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = push('{"a": 1}')
    monkeypatch.setattr(json, "loads", raises(MemoryError()))
    with pytest.raises(MemoryError):
        read_payload('{"a": 1}')
    with pytest.raises(MemoryError):
        frame.payloads  # noqa: B018 - a property that works
    monkeypatch.undo()
    assert [payload.tree for payload in frame.payloads] == [{"a": 1}]


def raises(error: Exception) -> Any:
    def call(*_: object) -> None:
        raise error

    return call


def test_lone_surrogates_are_errors_like_any_other() -> None:
    read = read_payload("\ud800")
    assert (read.tree, read.stage) == (None, "base64")
    assert isinstance(read.error, DecodeError)
    with pytest.raises(DecodeError, match="surrogate"):
        parse_frame('{"headers":{},"lwp":"\ud800"}')


def test_a_package_with_too_many_entries_is_refused() -> None:
    assert len(push(*[0] * 4096).payloads) == 4096
    with pytest.raises(DecodeError, match="the frame has more than 4096 payloads") as caught:
        push(*[0] * 4097)
    assert caught.value.reason == "payloads"


# -- the payloads alone -------------------------------------------------------------------


@pytest.mark.parametrize("vector", VALID, ids=by_name)
def test_decode_frame_returns_the_trees_or_the_first_error(vector: dict[str, Any]) -> None:
    payloads = parse_frame(vector["frame"]).payloads
    bad = [(i, payload.error) for i, payload in enumerate(payloads) if payload.error]
    for frame in (vector["frame"], vector["frame"].encode(), memoryview(vector["frame"].encode())):
        if not bad:
            assert decode_frame(frame) == [payload.tree for payload in payloads]
            continue
        index, error = bad[0]
        with pytest.raises(DecodeError) as caught:
            decode_frame(frame)
        assert type(caught.value) is type(error)
        assert str(caught.value) == f"{error} in payload {index}"
        assert (caught.value.reason, caught.value.offset) == (error.reason, error.offset)


@pytest.mark.parametrize("vector", VALID, ids=by_name)
def test_a_bad_payload_costs_its_neighbours_nothing_on_request(vector: dict[str, Any]) -> None:
    payloads = parse_frame(vector["frame"]).payloads
    answers = decode_frame(vector["frame"], return_exceptions=True)
    assert len(answers) == len(payloads)
    for index, (answer, payload) in enumerate(zip(answers, payloads, strict=True)):
        if payload.error is None:
            assert answer == payload.tree
            continue
        assert isinstance(answer, DecodeError)
        assert (type(answer), answer.index) == (type(payload.error), index)
        assert (answer.reason, answer.offset) == (payload.error.reason, payload.error.offset)


def test_no_payload_answers_for_its_frame_or_for_what_ends_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(DecodeError):
        decode_frame("{}", return_exceptions=True)
    monkeypatch.setattr(json, "loads", raises(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        decode_frame(push('{"a": 1}').text, return_exceptions=True)


@pytest.mark.parametrize("vector", INVALID, ids=by_name)
def test_decode_frame_refuses_what_is_no_envelope(vector: dict[str, Any]) -> None:
    with pytest.raises(DecodeError) as parsed:
        parse_frame(vector["frame"])
    with pytest.raises(DecodeError) as decoded:
        decode_frame(vector["frame"])
    assert repr(decoded.value) == repr(parsed.value)
    assert decoded.value.offset == parsed.value.offset


def test_a_frame_without_payloads_gives_an_empty_list() -> None:
    assert decode_frame('{"headers":{}}') == []
    assert decode_frame('{"headers":{},"body":{"syncPushPackage":{"data":[]}}}') == []


def test_decode_frame_returns_dicts_only() -> None:
    assert decode_frame(push("gQGhYQ==", '{"1":2}', b64(b'{"1":[]}')).text) == [
        {"1": "a"},
        {"1": 2},
        {"1": []},
    ]
    with pytest.raises(
        DecodeError, match="the payload is not a map at byte 0 in payload 1"
    ) as caught:
        decode_frame(push("gQGhYQ==", b64(b"\x91\x01")).text)
    assert (caught.value.reason, caught.value.offset) == ("top-level", 0)


def test_decode_frame_takes_text_and_bytes_of_text() -> None:
    frame = '{"headers":{},"lwp":"/s/在吗"}'
    assert decode_frame(frame) == decode_frame(bytearray(frame.encode())) == []
    bad = (b'{"headers":{},"lwp":"\xff"}', 21), ('{"headers":{},"lwp":"\ud800"}', 21)
    for text, offset in bad:
        with pytest.raises(DecodeError) as caught:
            decode_frame(text)
        assert (caught.value.reason, caught.value.offset) == ("utf8", offset)
    wrong: Any = 5
    with pytest.raises(TypeError):
        decode_frame(wrong)


@pytest.mark.parametrize("length", [0, 1, 7, 31, 32, 33, 64, 10_000, 100_000])
def test_payloads_of_any_length_are_read(length: int) -> None:
    tree = {"1": "a" * length, "2": "在" * length}
    text = b64(msgpack.packb(tree))
    escaped = text.replace("/", "\\/").replace("A", "\\u0041")
    frame = '{"headers":{},"body":{"syncPushPackage":{"data":[{"data":"%s"}]}}}'
    assert decode_frame(frame % text) == decode_frame(frame % escaped) == [tree]
