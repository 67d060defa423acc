"""Envelope: what a payload's tree says, and that no tree can do harm."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payloads import (
    BY_NAME,
    CASES,
    CID,
    JSON,
    OWN,
    PEER,
    TREES,
    chat_tree,
    decode,
    places,
    put,
    vector,
)
from xyfast import messages
from xyfast.envelope import conversations, message_key, read, to_message
from xyfast.facts import Facts, Kind
from xyfast.messages import Content


def plain(facts: Facts) -> dict[str, Any]:
    """Give facts as JSON would spell them."""
    values = {name: getattr(facts, name) for name in Facts.__slots__}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


@pytest.mark.parametrize(("own_id", "payload", "expected"), CASES)
def test_every_payload_says_what_is_expected(
    own_id: str, payload: str, expected: dict[str, Any]
) -> None:
    facts = plain(read(decode(payload), own_id))
    assert {name: facts[name] for name in expected} == expected
    for name in ("images", "message_ids"):
        assert facts[name] == expected.get(name, [])


def test_every_kind_is_among_the_payloads() -> None:
    assert {case.values[2]["kind"] for case in CASES} == set(get_args(Kind))


CLASSES = {
    "chat": messages.ChatMessage,
    "group": messages.GroupMessage,
    "order": messages.OrderNotice,
    "system": messages.SystemNotice,
    "read": messages.ReadReceipt,
    "typing": messages.Typing,
    "session": messages.SessionOpened,
    "marker": messages.Marker,
    "unknown": messages.Unknown,
}


@pytest.mark.parametrize(("own_id", "payload", "expected"), CASES)
def test_every_payload_becomes_the_message_of_its_kind(
    own_id: str, payload: str, expected: dict[str, Any]
) -> None:
    tree = decode(payload)
    message = to_message(read(tree, own_id), account_id=own_id, key="k", tree=tree, redelivered=2)
    assert type(message) is CLASSES[expected["kind"]]
    assert (message.account_id, message.key, message.redelivered) == (own_id, "k", 2)
    assert (message.conversation_id, message.time, message.tree) == (
        expected["conversation_id"],
        expected["time_ms"],
        tree,
    )
    for name in set(expected) & {field for field in dir(message) if not field.startswith("_")}:
        value = getattr(message, name)
        assert (list(value) if isinstance(value, tuple) else value) == expected[name]


@pytest.mark.parametrize(
    ("tree", "ours", "origin"),
    [
        ("chat/text-0", False, "peer"),
        ("chat/self-echo-0", False, "seller"),
        ("chat/self-echo-0", True, "client"),
    ],
)
def test_an_echo_tells_whether_this_client_sent_it(tree: str, ours: bool, origin: str) -> None:
    facts = read(BY_NAME[tree], OWN)
    message = to_message(facts, account_id=OWN, key="k", tree=None, ours=ours)
    assert isinstance(message, messages.ChatMessage)
    assert message.origin == origin


@pytest.mark.parametrize("name", ["chatType", "sessionId"])
def test_one_name_is_enough_for_the_web_form(name: str) -> None:
    tree = BY_NAME["session/arouse-0"]
    left = {key: value for key, value in tree.items() if key in ("operation", name)}
    facts = read(left, OWN)
    assert (facts.kind, facts.conversation_id) == ("session", CID)
    assert read({"operation": tree["operation"]}, OWN) == Facts()


@pytest.mark.parametrize("gone", ["contentType", "sessionArouse"])
def test_a_session_is_told_by_its_type_or_its_content(gone: str) -> None:
    content = dict(BY_NAME["session/arouse-0"]["operation"]["content"])
    del content[gone]
    facts = read(put(BY_NAME["session/arouse-0"], ("operation", "content"), content), OWN)
    assert (facts.kind, facts.conversation_id, facts.item_id) == ("session", CID, "800000000031")


def test_the_web_form_names_its_sender() -> None:
    assert read(BY_NAME["chat/operation-text-0"], OWN).sender_name == "测试买家"


def test_the_other_party_of_a_session_is_the_peer_in_either_role() -> None:
    tree = BY_NAME["session/arouse-0"]
    assert read(tree, OWN).peer_id == PEER
    assert read(tree, PEER).peer_id == OWN


@pytest.mark.parametrize(
    "tree",
    [
        {"1": []},
        {"1": ["5000000000001.PNM"], "2": 1, "3": f"{CID}@goofish"},
        {"1": ["5000000000001.PNM"], "2": 2, "3": CID},
        {"1": [{"1": CID}]},
        {"1": [[f"{CID}@goofish"]]},
        {"1": "5000000000001.PNM", "2": 1},
        {"1": f"{CID}@goofish", "2": 1, "3": 0},
        {"1": f"{CID}@goofish", "2": 2, "3": "5000000000001.PNM"},
        {"1": f"{CID}@goofish", "2": 1, "3": {"redReminder": ""}},
        {"1": {"6": {"3": "text"}, "10": {}}},
        {"operation": {"content": {"contentType": 2}}, "sessionId": CID},
    ],
)
def test_what_fits_no_shape_is_unknown_and_says_nothing(tree: object) -> None:
    assert read(tree, OWN) == Facts()


def test_a_card_update_without_order_is_a_system_notice() -> None:
    tree = {"1": "x", "2": f"{CID}@goofish", "4": {"reminderContent": "好"}, "5": 1767225600000}
    facts = read(tree, OWN)
    assert (facts.kind, facts.text, facts.conversation_id) == ("system", "好", CID)
    tree["4"] = {"reminderContent": "好", "extJson": '{"updateKey":"x:6000000000000000062:y"}'}
    assert read(tree, OWN).kind == "order"


def test_content_is_found_in_its_old_place_too() -> None:
    tree = put(BY_NAME["chat/images-0"], ("1", "6", "3", "5"), "")
    content = BY_NAME["chat/images-0"]["1"]["6"]["3"]["5"]
    assert len(read(put(tree, ("1", "6", "3", "1"), content), OWN).images) == 3
    assert read(tree, OWN).images == ()


def test_the_content_type_beside_the_content_counts() -> None:
    tree = put(BY_NAME["chat/text-0"], ("1", "6", "3", "5"), "{}")
    assert read(put(tree, ("1", "6", "3", "4"), 3), OWN).content == "audio"


def test_an_order_card_without_notification_is_an_order_notice() -> None:
    tree = put(BY_NAME["order/paid-0"], ("1", "10"), None)
    assert read(tree, OWN).kind == "order"


def check(facts: Facts) -> None:
    """Check that facts hold what their types say, and only what a store can keep."""
    assert facts.kind in get_args(Kind)
    assert facts.content is None or facts.content in get_args(Content)
    for name, value in plain(facts).items():
        if name == "is_self":
            assert value in (None, True, False)
        elif name == "time_ms":
            assert value is None or (type(value) is int and 0 <= value < 2**53)
        else:
            for one in value if isinstance(value, list) else [value]:
                assert one is None or isinstance(one, str)
                (one or "").encode()
    to_message(facts, account_id=OWN, key="k", tree=None)
    message_key(facts, "payload", 1)


@given(JSON)
def test_any_tree_gives_facts(tree: object) -> None:
    check(read(tree, OWN))


@given(st.data())
def test_a_real_tree_with_anything_in_any_place_gives_facts(data: st.DataObject) -> None:
    tree = data.draw(st.sampled_from(TREES))
    check(read(put(tree, data.draw(st.sampled_from(places(tree))), data.draw(JSON)), OWN))


@given(st.data())
def test_real_content_with_anything_in_any_place_gives_facts(data: st.DataObject) -> None:
    tree = data.draw(
        st.sampled_from(
            [BY_NAME[n] for n in ("order/paid-0", "chat/images-0", "system/rate-card-0")]
        )
    )
    content = json.loads(tree["1"]["6"]["3"]["5"])
    changed = put(content, data.draw(st.sampled_from(places(content))), data.draw(JSON))
    check(read(put(tree, ("1", "6", "3", "5"), json.dumps(changed)), OWN))


@given(JSON, JSON)
def test_any_answer_gives_conversations(body: object, entry: object) -> None:
    for convs in (body, {"userConvs": [entry]}, {"userConvs": body}):
        conversations(convs, OWN)


@pytest.mark.parametrize("depth", [10_000, 100_000])
def test_nesting_without_end_is_read_without_recursion(depth: int) -> None:
    deep: Any = "orderId=6000000000000000062"
    for _ in range(depth):
        deep = [deep]
    assert read(chat_tree(deep=deep), OWN).order_id == "6000000000000000062"
    while isinstance(deep, list):  # taken apart by hand: freeing it would recurse too
        deep = deep.pop()
    nested = '{"a":' * depth + "1" + "}" * depth
    assert read(chat_tree(extJson=nested, bizTag=nested), OWN).kind == "chat"


def test_a_message_is_known_by_its_own_id() -> None:
    facts = read(BY_NAME["chat/text-0"], OWN)
    assert message_key(facts, "payload", 1) == message_key(facts, "other", 2) == "5000000000001.PNM"


def test_a_marker_does_not_take_the_key_of_its_message() -> None:
    facts = read(BY_NAME["marker/new-message-0"], OWN)
    assert facts.message_id == "5000000000052.PNM"
    key = message_key(facts, "payload", 1)
    assert key != facts.message_id
    assert key == message_key(facts, "payload", 2)


def test_what_has_no_id_is_known_by_its_payload() -> None:
    facts = read(BY_NAME["order/red-1-0"], OWN)
    key = message_key(facts, "payload", 1)
    assert key == message_key(facts, "payload", 2)
    assert key != message_key(facts, "other", 1)
    assert key.startswith("digest:")
    assert len(key) == len("digest:") + 32


@pytest.mark.parametrize("name", ["typing/start-0", "chat/operation-text-0"])
def test_what_has_neither_id_nor_time_is_known_by_its_position_too(name: str) -> None:
    facts = read(BY_NAME[name], OWN)
    assert message_key(facts, "payload", 1) == message_key(facts, "payload", 1)
    assert message_key(facts, "payload", 1) != message_key(facts, "payload", 2)


def test_what_cannot_be_decoded_has_a_key_too() -> None:
    assert message_key(None, "garbage", 1) == message_key(None, "garbage", 2)
    assert message_key(None, None, 1) != message_key(None, None, 2)
    assert message_key(None, "\ud800", None) != message_key(None, "\udfff", None)


@pytest.mark.parametrize(("own_id", "payload", "expected"), CASES)
def test_no_key_shows_what_was_written(own_id: str, payload: str, expected: dict[str, Any]) -> None:
    key = message_key(read(decode(payload), own_id), payload, 1)
    assert key == expected["message_id"] or key.startswith("digest:")


def test_conversations_are_listed_with_peer_item_and_role() -> None:
    body, expected = vector("answer/conversations")
    (found,) = conversations(body, OWN)
    (wanted,) = expected["conversations"]
    assert (found.conversation_id, found.peer_id, found.item_id, found.unread, found.modified) == (
        wanted["conversation_id"],
        wanted["peer_id"],
        wanted["item_id"],
        wanted["unread"],
        wanted["modified_ms"],
    )
    assert found.seller_id == OWN
    (found,) = conversations(body, PEER)
    assert found.peer_id == OWN


def test_a_conversation_names_its_newest_message() -> None:
    last = {"message": {"messageId": "5000000000071.PNM"}}
    outer = {"singleChatConversation": {"cid": f"{CID}@goofish"}, "lastMessage": last}
    (found,) = conversations({"userConvs": [{"singleChatUserConversation": outer}]}, OWN)
    assert found.last_message_id == "5000000000071.PNM"
    assert (found.peer_id, found.unread, found.modified) == (None, 0, None)


def test_what_is_no_conversation_is_left_out() -> None:
    assert (
        conversations({"userConvs": [{"type": 2}, None, {"singleChatUserConversation": {}}]}, OWN)
        == []
    )
    assert conversations({"hasMore": 0}, OWN) == []
