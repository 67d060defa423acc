from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xyfast.testing import Message, samples

VECTORS = {
    vector["name"]: vector
    for vector in json.loads(
        (Path(__file__).parent / "vectors" / "pushes.json").read_text(encoding="utf-8")
    )["vectors"]
}

keys = st.integers(0, 300) | st.text(max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(keys, inner, max_size=20),
)


def unpack(sample: samples.Sample) -> Any:
    return msgpack.unpackb(base64.b64decode(sample.payload), strict_map_key=False)


def payload(name: str) -> str:
    (entry,) = json.loads(VECTORS[name]["frame"])["body"]["syncPushPackage"]["data"]
    return str(entry["data"])


def message(number: int, text: str, time: int) -> Message:
    return Message(
        id=f"{number}.PNM",
        conversation="70000000011",
        sender="9000000000102",
        peer="9000000000102",
        time=time,
        content=samples.text_content(text),
    )


@given(values)
def test_another_library_reads_what_the_writer_wrote(value: Any) -> None:
    packed = samples.pack(value)
    assert msgpack.unpackb(packed, strict_map_key=False) == value


@pytest.mark.parametrize(
    ("value", "head"),
    [("x" * 31, "bf"), ("x" * 32, "da0020"), (dict.fromkeys(range(16), 0), "de0010")],
)
def test_the_writer_spells_lengths_as_on_the_wire(value: object, head: str) -> None:
    assert samples.pack(value).hex().startswith(head)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_the_writer_refuses_what_has_no_form(value: int) -> None:
    with pytest.raises(OverflowError):
        samples.pack(value)
    with pytest.raises(TypeError):
        samples.pack({1: object()})


@pytest.mark.parametrize(
    ("name", "number", "text", "time"),
    [
        ("chat/text", 5000000000001, "在吗，还有货吗", 1767225601000),
        ("chat/text-vulcan", 5000000000003, "可以小刀吗", 1767225603000),
    ],
)
def test_a_chat_has_the_bytes_of_the_vector(name: str, number: int, text: str, time: int) -> None:
    assert samples.chat(message(number, text, time)).payload == payload(name)


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("order/red-1", samples.red_reminder("70000000011", "等待买家付款", 1767225636000)),
        ("typing/start", samples.typing("70000000011", "9000000000102", 1767225648000)),
        (
            "read/batch",
            samples.read("70000000011", ["5000000000001.PNM", "5000000000002.PNM"], 1767225649000),
        ),
        ("marker/new-message", samples.marker("70000000011", "5000000000052.PNM", 1767225652000)),
    ],
)
def test_a_mark_has_the_bytes_of_the_vector(name: str, sample: samples.Sample) -> None:
    assert sample.payload == payload(name)


def test_a_picture_a_card_and_a_tip_name_their_content_type() -> None:
    contents = [
        (samples.image_content("https://img.example.invalid/1.jpg"), 2, "[图片]"),
        (samples.order_content("[我已拍下，待付款]", "60000000001"), 26, "[我已拍下，待付款]"),
        (samples.tip_content("快给ta一个评价吧~"), 14, "快给ta一个评价吧~"),
    ]
    for content, kind, shown in contents:
        body = unpack(
            samples.chat(
                Message(
                    id="5000000000001.PNM",
                    conversation="70000000011",
                    sender="9000000000102",
                    peer="9000000000102",
                    time=1767225601000,
                    content=content,
                )
            )
        )[1]
        assert body[6][3][4] == kind
        assert json.loads(body[6][3][5]) == content
        assert body[10]["reminderContent"] == shown
        assert json.loads(body[10]["extJson"])["contentType"] == str(kind)


def test_a_session_event_is_json() -> None:
    sample = samples.session("70000000011", "9000000000001", "9000000000102", "800000000031", 5)
    tree = json.loads(base64.b64decode(sample.payload))
    assert tree["sessionId"] == "70000000011"
    assert tree["operation"]["content"]["contentType"] == 8


def test_recalls_and_deletions_look_like_no_known_tree() -> None:
    for sample, object_type in [
        (samples.recalled("70000000011", "5000000000001.PNM", 5), 40104),
        (samples.deleted("70000000011", "5000000000001.PNM", 5), 40101),
        (samples.unknown(5), 40999),
    ]:
        tree = unpack(sample)
        assert sample.object_type == object_type
        assert not isinstance(tree[1], dict) or not {6, 10} & tree[1].keys()


def test_the_bad_payloads_are_bad() -> None:
    with pytest.raises(ValueError, match="data characters"):
        base64.b64decode(samples.bad_base64().payload)
    with pytest.raises(ValueError, match="incomplete"):
        unpack(samples.bad_msgpack())
