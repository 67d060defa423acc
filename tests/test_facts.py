"""Facts: how a notification and its content are judged."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from payloads import BY_NAME, CID, OWN, PEER, chat_tree, with_content
from xyfast.envelope import read


def test_the_nickname_wins_over_the_headline() -> None:
    assert read(chat_tree(), OWN).sender_name == "测试买家"
    assert read(chat_tree(senderNick="昵称"), OWN).sender_name == "昵称"
    assert read(chat_tree(sessionType="30"), OWN).sender_name == "测试买家"
    assert read(BY_NAME["order/paid-0"], OWN).sender_name is None


def test_the_peer_is_never_the_account_itself() -> None:
    url = f"fleamarket://message_chat?peerUserId={OWN}&sid={CID}"
    assert read(chat_tree(reminderUrl=url), OWN).peer_id == PEER
    assert read(chat_tree(reminderUrl=url, senderUserId=OWN), OWN).peer_id is None


@pytest.mark.parametrize("session_type", [None, "1", 1])
def test_a_conversation_of_two_is_not_a_group(session_type: object) -> None:
    assert read(chat_tree(sessionType=session_type), OWN).kind == "chat"


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


@pytest.mark.parametrize("link", ["orderId=", "orderId:", "bizOrderId=", "order_detail?id="])
def test_every_spelling_of_a_link_is_found_in_any_text(link: str) -> None:
    said = f"看 fleamarket://x?{link}6000000000000000062"
    assert read(chat_tree(anything={"deep": [1, [said]]}), OWN).order_id == "6000000000000000062"
    assert read(with_content({"text": {"text": said}}), OWN).order_id == "6000000000000000062"


def test_the_first_link_of_the_tree_wins() -> None:
    deep = [{"deep": ["bizOrderId=6000000000000000062"]}, "orderId=7000000000000000062"]
    assert read({"0": deep, **chat_tree()}, OWN).order_id == "6000000000000000062"
    assert read({"0": [[], {}], **chat_tree(), "9": deep}, OWN).order_id == "6000000000000000062"


@pytest.mark.parametrize(
    "content",
    [
        {"dxCard": {"item": {"main": MAIN}}},
        {"dxCard": {"item": {"main": {"targetUrl": "x://order_detail?id=6000000000000000062"}}}},
        {"dynamicOperation": {"changeContent": {"dxCard": {"item": {"main": MAIN}}}}},
    ],
)
def test_a_link_of_the_card_wins_over_every_other_place(content: dict[str, Any]) -> None:
    tree = with_content(
        content, extJson='{"updateKey":"70000000011:7000000000000000062:2_paid_seller"}'
    )
    # Put in front, so that it is what a search of the whole tree would find.
    tree = {"0": "fleamarket://x?orderId=8000000000000000062", **tree}
    assert read(tree, OWN).order_id == "6000000000000000062"


def test_the_update_key_wins_over_a_link_elsewhere() -> None:
    tree = chat_tree(extJson='{"updateKey":"70000000011:6000000000000000062:2_paid_seller"}')
    tree = {"0": "fleamarket://x?orderId=8000000000000000062", **tree}
    assert read(tree, OWN).order_id == "6000000000000000062"


@pytest.mark.parametrize(
    ("declared", "own", "words"), [(1, 2, "在吗"), (2, 1, "你好"), (None, 1, "你好")]
)
def test_only_content_that_calls_itself_a_text_gives_the_text(
    declared: int | None, own: int, words: str
) -> None:
    tree = with_content({"contentType": own, "text": {"text": "你好"}}, reminderContent="在吗")
    tree["1"]["6"]["3"]["4"] = declared
    assert read(tree, OWN).text == words


ORDER_TEXTS = [
    "[我已拍下，待付款]",
    "[我已付款，等待你发货]",
    "我已付款，等待你发货",
    "[已付款，待发货]",
    "[买家已付款]",
    "[付款完成]",
    "[记得及时发货]",
    "[你已发货]",
    "[你已发货，请等待买家确认收货]",
    "[买家确认收货，交易成功]",
    "[你已确认收货，交易成功]",
    "[你关闭了订单，钱款已原路退返]",
    "[退款成功，钱款已原路退返]",
]
SYSTEM_TEXTS = [
    "发来一条消息",
    "发来一条新消息",
    "快给ta一个评价吧~",
    "卖家人不错？送Ta闲鱼小红花",
    "AI正在帮你回复消息，不错过每笔订单",
    "[不想宝贝被砍价?设置不砍价回复  ]",
]


@pytest.mark.parametrize("words", ORDER_TEXTS)
def test_known_wordings_of_orders_are_order_notices(words: str) -> None:
    assert read(with_content({}, reminderContent=words), OWN).kind == "order"
    assert read(chat_tree(reminderTitle=words), OWN).kind == "order"
    assert read(with_content({}, reminderContent=words + "?"), OWN).kind == "chat"


@pytest.mark.parametrize("words", SYSTEM_TEXTS)
def test_known_wordings_of_the_platform_are_system_notices(words: str) -> None:
    assert read(with_content({}, reminderContent=words), OWN).kind == "system"
    assert read(with_content({}, reminderContent=words + "?"), OWN).kind == "chat"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"redReminder": "等待卖家发货"}, "order"),
        ({"redReminder": ""}, "chat"),
        ({"extJson": '{"updateKey":"x"}'}, "order"),
        ({"extJson": '{"contentType":"26"}'}, "order"),
        ({"extJson": '{"contentType":26}'}, "order"),
        ({"extJson": '{"contentType":14}'}, "system"),
        ({"extJson": '{"msgArg1":"MsgTips"}'}, "system"),
        ({"extJson": '{"msgArg1":"MsgCard"}'}, "chat"),
        ({"senderUserId": "1400"}, "system"),
        ({"senderUserId": "1400@goofish"}, "system"),
        ({"sessionType": "30"}, "group"),
        ({"sessionType": 30}, "group"),
        ({"sessionType": "30", "redReminder": "x"}, "order"),
        ({"sessionType": "30", "senderUserId": "1400"}, "system"),
    ],
)
def test_one_field_is_enough_to_tell_the_kind(fields: dict[str, Any], kind: str) -> None:
    assert read(chat_tree(**fields), OWN).kind == kind


@pytest.mark.parametrize(
    "fields",
    [
        {"bizTag": '{"messageId":"a1"}', "extJson": '{"messageId":"a2"}'},
        {"bizTag": "{}", "extJson": '{"messageId":"a1"}'},
        {"bizTag": None, "extJson": None, "reminderUrl": "x://y?messageId=a1&sid=1"},
    ],
)
def test_the_notifications_id_has_three_places(fields: dict[str, Any]) -> None:
    assert read(chat_tree(**fields), OWN).note_id == "a1"


@pytest.mark.parametrize(
    "fields",
    [
        {"reminderUrl": "x://y?itemId=8&sid=1", "bizTag": '{"itemId":"9"}'},
        {"reminderUrl": "x://y?itemId=&sid=1", "bizTag": '{"itemId":8}', "extJson": '{"itemId":9}'},
        {"reminderUrl": None, "extJson": '{"itemId":"8"}'},
    ],
)
def test_the_first_item_id_wins(fields: dict[str, Any]) -> None:
    assert read(chat_tree(**fields), OWN).item_id == "8"


def test_content_in_a_wrapper_is_unwrapped() -> None:
    inner = {"contentType": 1, "text": {"text": "orderId=6000000000000000062"}}
    data = base64.b64encode(json.dumps(inner).encode()).decode()
    tree = with_content({"contentType": 101, "custom": {"type": 1, "data": data}})
    facts = read(tree, OWN)
    assert (facts.text, facts.order_id) == (inner["text"]["text"], "6000000000000000062")


def test_a_shortened_notification_does_not_shorten_the_text() -> None:
    long = "在" * 5000
    tree = with_content({"contentType": 1, "text": {"text": long}}, reminderContent="在…")
    assert read(tree, OWN).text == long


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
