"""Stand-ins hide who wrote what, and change nothing else."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xyfast import envelope
from xyfast._core import parse_frame, read_payload
from xyfast.disguise import WORDS, Disguise, compact
from xyfast.testing import Message, samples

VECTORS = json.loads((Path(__file__).parent / "vectors" / "pushes.json").read_text("utf-8"))
PUSHES = {v["name"]: v for v in VECTORS["vectors"] if v["expect"]["class"] == "push"}
ME = "9000000000001"
TIME = 1_767_225_601_000
PRIVATE = {
    "text": "我的地址是某路三号",
    "nick": "买家甲",
    "buyer": "2212345678901",
    "me": "2298765432109",
    "conversation": "51234567890",
    "item": "812345678901",
}
WRAPPED = base64.b64encode(compact(samples.text_content(PRIVATE["text"])).encode()).decode()


def private(content: dict[str, Any]) -> Any:
    message = Message(
        id="3412345678901.PNM",
        conversation=PRIVATE["conversation"],
        sender=PRIVATE["buyer"],
        peer=PRIVATE["buyer"],
        time=TIME,
        content=content,
        item=PRIVATE["item"],
        nick=PRIVATE["nick"],
    )
    return read_payload(samples.chat(message).payload).tree


@pytest.mark.parametrize("name", PUSHES)
def test_a_tree_in_disguise_is_read_alike(name: str) -> None:
    frame = parse_frame(PUSHES[name]["frame"])
    disguise = Disguise()
    own = disguise.account(PUSHES[name]["own_id"])
    for payload in frame.payloads:
        if payload.error is not None:
            continue
        real = envelope.read(payload.tree, PUSHES[name]["own_id"])
        shown = envelope.read(disguise.tree(payload.tree, frame.timestamp or TIME), own)
        assert (shown.kind, shown.content, shown.is_self) == (real.kind, real.content, real.is_self)
        assert shown.time_ms == real.time_ms
        assert len(shown.images) == len(real.images)
        assert len(shown.message_ids) == len(real.message_ids)
        for name_of in ("message_id", "note_id", "conversation_id", "peer_id", "order_id", "text"):
            assert (getattr(shown, name_of) is None) == (getattr(real, name_of) is None), name_of


@pytest.mark.parametrize(
    "content",
    [
        samples.text_content(PRIVATE["text"]),
        samples.image_content("https://img.example.invalid/812345678901/某路.jpg"),
        samples.order_content(PRIVATE["text"], "3412345678901234567"),
        samples.tip_content(PRIVATE["text"]),
        {"contentType": 101, "custom": {"data": WRAPPED}},
        {"contentType": 77, "where": {"address": PRIVATE["text"], "phone": 13800138000}},
    ],
)
def test_nothing_private_is_left(content: dict[str, Any]) -> None:
    disguise = Disguise()
    disguise.account(PRIVATE["me"])
    shown = compact(disguise.tree(private(content), TIME))
    for value in (*PRIVATE.values(), "3412345678901", "某路", "13800138000"):
        assert value not in shown
        assert base64.b64encode(value.encode()).decode().rstrip("=")[:-1] not in shown
    # Only times are left of long numbers, and stand-ins.
    for number in re.findall(r"\d{7,}", shown):
        assert int(number) == TIME or re.match(r"0*[89]0000", number), number


def test_texts_are_kept_when_asked_for_and_nothing_else() -> None:
    shown = compact(Disguise(texts=True).tree(private(samples.text_content(PRIVATE["text"])), TIME))
    assert PRIVATE["text"] in shown
    assert not any(PRIVATE[name] in shown for name in ("nick", "buyer", "conversation", "item"))


def test_what_is_equal_stays_equal() -> None:
    disguise = Disguise()
    own = disguise.account(PRIVATE["me"])
    tree = private(samples.text_content(PRIVATE["text"]))
    first, second = (envelope.read(disguise.tree(tree, TIME), own) for _ in range(2))
    assert first == second
    marker = samples.marker(PRIVATE["conversation"], "3412345678901.PNM", TIME)
    marked = envelope.read(disguise.tree(read_payload(marker.payload).tree, TIME), own)
    assert marked.message_id == first.message_id
    assert marked.conversation_id == first.conversation_id
    assert disguise.account(PRIVATE["me"]) == own != disguise.account("another")


names = st.text(max_size=12) | st.sampled_from(["text", "2", "updateKey", "reminderUrl", "5"])
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)
)


@given(trees, st.booleans())
def test_any_tree_has_a_disguise_that_is_json(tree: Any, texts: bool) -> None:
    json.dumps(Disguise(texts=texts).tree(tree, TIME))


@given(st.text(min_size=1, max_size=60).filter(lambda text: not text.isascii()))
def test_no_text_of_any_key_is_kept(text: str) -> None:
    shown = Disguise().tree({"1": text, "x": {"text": text, "2": [text]}, "updateKey": text}, TIME)
    assert text in WORDS or text not in compact(shown)


def test_a_short_id_is_replaced_wherever_it_stands() -> None:
    disguise = Disguise()
    own = disguise.account("66666")
    disguise.tree({"from": "77777@goofish", "type": "1@goofish"}, TIME)
    tree = {"a": 77777, "b": "77777", "77777": 66666, "time": TIME, "type": 1, "c": '{"d":77777}'}
    shown = disguise.tree(tree, TIME)
    other = shown["b"]
    assert other not in (own, "77777")
    assert shown == {
        "a": int(other),
        "b": other,
        other: int(own),
        "time": TIME,
        "type": 1,
        "c": f'{{"d":{other}}}',
    }
