"""History: what is fetched later is judged exactly like what was pushed."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from payloads import CID, JSON, OWN, PEER, places, put, vector
from xyfast._core import read_payload
from xyfast.envelope import history, message_key, read
from xyfast.facts import Facts
from xyfast.history import message_id, models, payload, time_ms, tree
from xyfast.reading import LARGEST
from xyfast.testing import samples
from xyfast.testing.routes import model


def entry(**changes: Any) -> dict[str, Any]:
    data = base64.b64encode(
        json.dumps({"contentType": 1, "text": {"text": "在吗"}}).encode()
    ).decode()
    message = {
        "messageId": "5000000000071.PNM",
        "cid": f"{CID}@goofish",
        "createAt": 1767225671000,
        "conversationType": 1,
        "sender": {"uid": f"{PEER}@goofish", "tag": 0},
        "content": {"contentType": 101, "custom": {"type": 1, "summary": "在吗", "data": data}},
        "extension": {"reminderContent": "在吗"},
    }
    return {"readStatus": 1, "message": {**message, **changes}}


def spelled(value: object) -> bool:
    """Whether JSON has a spelling for it: not for infinity."""
    return not re.search(r"\b(NaN|Infinity)\b", json.dumps(value))


def said(model: object) -> Facts:
    """What an entry says, read as it is kept."""
    found = read_payload(payload(model))
    assert found.error is None
    facts = read(found.tree, OWN)
    assert facts == read(tree(model), OWN)
    return facts


def test_history_says_what_a_push_would_have_said() -> None:
    body, expected = vector("answer/history")
    found = [said(model) for model in models(body)]
    for facts, wanted in zip(found, expected["messages"], strict=True):
        assert {name: getattr(facts, name) for name in wanted} == wanted


SENDERS = st.sampled_from([OWN, PEER, "1400"])
TEXTS = st.text(max_size=20) | st.sampled_from(["[我已付款，等待你发货]", "发来一条消息", "在吗"])
CONTENTS = st.one_of(
    st.builds(samples.text_content, TEXTS),
    st.builds(samples.image_content, TEXTS),
    st.builds(samples.order_content, TEXTS, st.just("6000000000000000062")),
    st.builds(samples.tip_content, TEXTS),
    st.builds(lambda n: {"contentType": n, "x": {"y": n}}, st.integers(3, 30)),
)


@given(
    st.builds(
        samples.Message,
        id=st.just("5000000000001.PNM"),
        conversation=st.just(CID),
        sender=SENDERS,
        peer=st.just(PEER),
        time=st.integers(1, LARGEST),
        content=CONTENTS,
        nick=TEXTS,
    )
)
def test_history_and_push_of_a_message_say_the_same(message: samples.Message) -> None:
    pushed = read_payload(samples.chat(message).payload)
    live, kept = read(pushed.tree, OWN), said(model(message))
    assert kept == live
    assert message_key(kept, payload(model(message)), None) == message_key(live, pushed.text, 7)


@given(JSON.filter(spelled), JSON.filter(spelled))
def test_any_answer_gives_trees_that_can_be_kept(body: object, entry: object) -> None:
    for listed in (body, {"userMessageModels": [entry]}, {"userMessageModels": body}):
        for each in [entry, *models(listed)]:
            said(each)
            payload(each).encode()
            message_id(each), time_ms(each)


@given(st.data())
def test_an_entry_with_anything_in_any_place_gives_facts(data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(places(entry())))
    said(put(entry(), place, data.draw(JSON.filter(spelled))))


def test_what_is_no_entry_says_nothing() -> None:
    assert said(None) == said({"message": {}}) == Facts()


def test_history_names_the_same_key_as_the_push() -> None:
    facts = said(entry(messageId="5000000000001.PNM"))
    assert message_key(facts, "", None) == "5000000000001.PNM"


def test_history_keeps_its_order_and_may_be_empty() -> None:
    page = {"userMessageModels": [entry(messageId=f"{n}.PNM") for n in (3, 2, 1)]}
    assert [message_id(model) for model in models(page)] == ["3.PNM", "2.PNM", "1.PNM"]
    assert [facts.message_id for facts in history(page, OWN)] == ["3.PNM", "2.PNM", "1.PNM"]
    assert history({"nextCursor": 0, "hasMore": 0, "degradeFailover": 0}, OWN) == []


def test_a_text_of_history_without_notification_is_still_a_chat() -> None:
    facts = said(entry(extension={}))
    assert (facts.kind, facts.text, facts.sender_id) == ("chat", "在吗", PEER)


def test_a_tip_of_history_in_the_buyers_name_is_no_chat() -> None:
    content = entry()["message"]["content"]
    content["custom"]["type"] = 14
    assert said(entry(content=content)).kind == "system"


def test_content_of_history_may_stand_without_a_wrapper() -> None:
    content = {"contentType": 1, "text": {"text": "包邮吗"}}
    assert said(entry(content=content)).text == "包邮吗"


def test_content_of_history_that_cannot_be_read_leaves_its_summary() -> None:
    content = {"contentType": 101, "custom": {"type": 1, "summary": "[卡片消息]", "data": "?"}}
    assert said(entry(content=content, extension={})).text == "[卡片消息]"


def test_a_group_of_history_is_no_chat() -> None:
    assert said(entry(conversationType=2)).kind == "group"
    assert said(entry(extension={"sessionType": "30"})).kind == "group"


def test_an_order_link_inside_base64_content_of_history_is_found() -> None:
    inner = {"contentType": 1, "text": {"text": "order_detail?id=6000000000000000062"}}
    data = base64.b64encode(json.dumps(inner).encode()).decode()
    content = {"contentType": 101, "custom": {"type": 1, "data": data}}
    assert said(entry(content=content)).order_id == "6000000000000000062"
