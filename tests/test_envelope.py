"""Envelope: what a payload's tree says, and that no tree can do harm."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xyfast import messages
from xyfast.envelope import conversations, history, history_entry, message_key, read, to_message
from xyfast.facts import Facts, Kind
from xyfast.messages import Content

VECTORS = json.loads((Path(__file__).parent / "vectors" / "pushes.json").read_text("utf-8"))
OWN, PEER, CID = "9000000000001", "9000000000102", "70000000011"


def respell(value: Any) -> Any:
    """Spell map keys as str, as the package's own decoder does."""
    if isinstance(value, dict):
        return {str(key): respell(inner) for key, inner in value.items()}
    return [respell(inner) for inner in value] if isinstance(value, list) else value


def decode(payload: str) -> Any:
    if payload.lstrip().startswith("{"):
        return json.loads(payload)
    raw = base64.b64decode(payload)
    return (
        json.loads(raw) if raw[:1] == b"{" else respell(msgpack.unpackb(raw, strict_map_key=False))
    )


def cases() -> list[Any]:
    """Every payload of every push that can be decoded: own id, payload, what it must say."""
    found = []
    for vector in VECTORS["vectors"]:
        expected = vector["expect"].get("payloads") or ()
        entries = json.loads(vector["frame"])["body"]["syncPushPackage"]["data"] if expected else ()
        assert len(entries) == len(expected)
        for index, (entry, facts) in enumerate(zip(entries, expected, strict=True)):
            if facts["kind"] != "undecodable":
                found.append(
                    pytest.param(
                        vector["own_id"], entry["data"], facts, id=f"{vector['name']}-{index}"
                    )
                )
    return found


CASES = cases()
TREES = [decode(case.values[1]) for case in CASES]
BY_NAME = {case.id: tree for case, tree in zip(CASES, TREES, strict=True)}


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


def chat_tree(**changes: Any) -> dict[str, Any]:
    """Build a buyer's text whose notification fields are changed; None removes a field."""
    tree: dict[str, Any] = copy.deepcopy(BY_NAME["chat/text-0"])
    fields = tree["1"]["10"]
    fields.update(changes)
    tree["1"]["10"] = {name: value for name, value in fields.items() if value is not None}
    return tree


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


def test_the_nickname_wins_over_the_headline() -> None:
    assert read(chat_tree(), OWN).sender_name == "测试买家"
    assert read(chat_tree(senderNick="昵称"), OWN).sender_name == "昵称"
    assert read(BY_NAME["order/paid-0"], OWN).sender_name is None


def test_the_peer_is_never_the_account_itself() -> None:
    url = f"fleamarket://message_chat?peerUserId={OWN}&sid={CID}"
    assert read(chat_tree(reminderUrl=url), OWN).peer_id == PEER
    assert read(chat_tree(reminderUrl=url, senderUserId=OWN), OWN).peer_id is None


@pytest.mark.parametrize("session_type", [None, "1", 1])
def test_a_conversation_of_two_is_not_a_group(session_type: object) -> None:
    assert read(chat_tree(sessionType=session_type), OWN).kind == "chat"


def with_content(content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    tree = chat_tree(**fields)
    tree["1"]["6"]["3"]["5"] = json.dumps(content)
    return tree


BUTTON = {"targetUrl": "fleamarket://consign?orderId=6000000000000000062"}
MAIN = {"exContent": {"button": BUTTON}}


@pytest.mark.parametrize(
    "tree",
    [
        with_content({"dxCard": {"item": {"main": MAIN}}}),
        with_content(
            {"dxCard": {"item": {"main": {"targetUrl": "x://order_detail?id=6000000000000000062"}}}}
        ),
        with_content({"dynamicOperation": {"changeContent": {"dxCard": {"item": {"main": MAIN}}}}}),
        chat_tree(extJson='{"updateKey":"70000000011:6000000000000000062:2_paid_seller"}'),
        chat_tree(extJson='{"updateKey":"70000000011:6000000000000000062"}'),
        chat_tree(anything=["", {"deep": "orderId:6000000000000000062"}]),
        chat_tree(anything="bizOrderId=6000000000000000062&orderId=7000000000000000062"),
    ],
)
def test_an_order_id_is_found_in_every_known_place(tree: object) -> None:
    assert read(tree, OWN).order_id == "6000000000000000062"


def test_a_link_of_the_card_wins_over_other_places() -> None:
    tree = with_content(
        {"dxCard": {"item": {"main": MAIN}}},
        extJson='{"updateKey":"70000000011:7000000000000000062:2_paid_seller"}',
        reminderUrl="fleamarket://x?orderId=8000000000000000062",
    )
    assert read(tree, OWN).order_id == "6000000000000000062"


@pytest.mark.parametrize(
    "other", ["orderId=123456789", "orderId=abc", "orderid=6000000000000000062"]
)
def test_what_only_looks_like_an_order_link_is_none(other: str) -> None:
    assert read(chat_tree(anything=other), OWN).order_id is None


def test_old_pictures_are_found_under_their_old_name() -> None:
    old = [
        {"image": {"picUrl": "https://a.invalid/1"}},
        {"image": {"pics": [{"picUrl": "https://a.invalid/1"}]}},
    ]
    for content in old:
        assert read(with_content({"contentType": 2, **content}), OWN).images == (
            "https://a.invalid/1",
        )


def test_a_lone_surrogate_becomes_storable() -> None:
    tree = chat_tree(reminderContent="a\ud800b", senderNick="\udfff", extJson='{"contentType":5}')
    tree["1"]["2"] = "7\ud800@goofish"
    tree["1"]["6"]["3"]["5"] = "{}"
    facts = read(tree, OWN)
    assert (facts.text, facts.sender_name, facts.conversation_id) == ("a�b", "�", "7�")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(
        ["1", "2", "x@goofish", "1.PNM", "@goofish", "{", '{"contentType":101}', "e30="]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["1", "2", "3", "4", "5", "6", "10", "operation", "sessionId", "content"]
            )
            | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree if isinstance(tree, list) else ())
    )
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(tree)
    changed[path[0]] = put(changed[path[0]], path[1:], value)
    return changed


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
def test_any_answer_gives_pages(body: object, entry: object) -> None:
    check(history_entry(entry, OWN))
    for models in (body, {"userMessageModels": [entry]}, {"userMessageModels": body}):
        for facts in history(models, OWN):
            check(facts)
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


def vector(name: str) -> tuple[Any, Any]:
    found = next(v for v in VECTORS["vectors"] if v["name"] == name)
    return json.loads(found["frame"])["body"], found["expect"]


def test_history_says_what_a_push_would_have_said() -> None:
    body, expected = vector("answer/history")
    found = [plain(facts) for facts in history(body, OWN)]
    assert [{k: f[k] for k in e} for f, e in zip(found, expected["messages"], strict=True)] == (
        expected["messages"]
    )


def test_history_names_the_same_key_as_the_push() -> None:
    facts = history_entry(entry(messageId="5000000000001.PNM"), OWN)
    assert message_key(facts, "", None) == "5000000000001.PNM"


def test_history_keeps_its_order_and_may_be_empty() -> None:
    page = {"userMessageModels": [entry(messageId=f"{n}.PNM") for n in (3, 2, 1)]}
    assert [facts.message_id for facts in history(page, OWN)] == ["3.PNM", "2.PNM", "1.PNM"]
    assert history({"nextCursor": 0, "hasMore": 0, "degradeFailover": 0}, OWN) == []


def test_a_text_of_history_without_notification_is_still_a_chat() -> None:
    facts = history_entry(entry(extension={}), OWN)
    assert (facts.kind, facts.text, facts.sender_id) == ("chat", "在吗", PEER)


def test_a_tip_of_history_in_the_buyers_name_is_no_chat() -> None:
    content = entry()["message"]["content"]
    content["custom"]["type"] = 14
    assert history_entry(entry(content=content), OWN).kind == "system"


def test_a_group_of_history_is_no_chat() -> None:
    assert history_entry(entry(conversationType=2), OWN).kind == "group"


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


def test_a_conversation_names_its_newest_message() -> None:
    outer = {"singleChatConversation": {"cid": f"{CID}@goofish"}, "lastMessage": entry()}
    (found,) = conversations({"userConvs": [{"singleChatUserConversation": outer}]}, OWN)
    assert found.last_message_id == "5000000000071.PNM"


def test_what_is_no_conversation_is_left_out() -> None:
    assert (
        conversations({"userConvs": [{"type": 2}, None, {"singleChatUserConversation": {}}]}, OWN)
        == []
    )
    assert conversations({"hasMore": 0}, OWN) == []
