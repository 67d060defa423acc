"""What a payload says: the facts, and how its notification and content are judged."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from xyfast._core import mentions
from xyfast.messages import Content
from xyfast.reading import at, identifier, json_object, number, text, url_parameters

__all__ = ["ORDER_TEXTS", "SYSTEM_TEXTS", "Facts", "Kind", "content_object", "notice"]

Kind = Literal["chat", "group", "order", "system", "read", "typing", "session", "marker", "unknown"]
"""What a payload is about; each has a class in `xyfast.messages`."""

_CONTENT: dict[int | None, Content] = {1: "text", 2: "image", 3: "audio", 14: "tip", 26: "card"}

ORDER_TEXTS = frozenset(
    {
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
    }
)
SYSTEM_TEXTS = frozenset(
    {
        "发来一条消息",
        "发来一条新消息",
        "快给ta一个评价吧~",
        "卖家人不错？送Ta闲鱼小红花",
        "AI正在帮你回复消息，不错过每笔订单",
        "[不想宝贝被砍价?设置不砍价回复  ]",
    }
)
_SYSTEM_SENDER = "1400"

_ORDER_LINK = re.compile(r"(?:orderId[=:]|bizOrderId=|order_detail\?id=)([0-9]{10,})")
_IN_ALL_LINKS = "rder"
_ORDER_PART = re.compile(r"([0-9]{10,})(?::|\Z)")
_CARD = ("dxCard", "item", "main")
_BUTTON = (*_CARD, "exContent", "button")
_TARGETS = (
    (*_BUTTON, "targetUrl"),
    (*_CARD, "targetUrl"),
    ("dynamicOperation", "changeContent", *_BUTTON, "targetUrl"),
)


@dataclass(slots=True, kw_only=True)  # frozen, it would take three times as long to make
class Facts:
    """What a payload's tree says. Ids are bare, ``time_ms`` is the server's milliseconds.

    ``is_self`` says whether the account itself is the sender. ``note_id`` is the id of the
    notification, another thing than ``message_id``. ``message_ids`` are those of a read
    receipt.
    """

    kind: Kind = "unknown"
    content: Content | None = field(default=None, repr=False)
    message_id: str | None = None
    note_id: str | None = None
    conversation_id: str | None = None
    sender_id: str | None = None
    peer_id: str | None = None
    is_self: bool | None = None
    sender_name: str | None = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)
    time_ms: int | None = None
    item_id: str | None = None
    order_id: str | None = None
    images: tuple[str, ...] = field(default=(), repr=False)
    red_reminder: str | None = field(default=None, repr=False)
    message_ids: tuple[str, ...] = ()


def notice(
    tree: object,
    fields: dict[str, Any],
    content: dict[str, Any],
    own_id: str,
    *,
    declared: int | None = None,
    summary: object = None,
    sender: object = None,
    message_id: str | None = None,
    conversation_id: str | None = None,
    time_ms: int | None = None,
) -> Facts:
    """Judge notification fields and content.

    ``declared`` is the content type that stands beside the content, ``summary`` the text for
    want of another, ``sender`` the sender's id for want of another. The rest stands elsewhere
    in every shape of tree, and is passed on.
    """
    ext, tag = json_object(fields.get("extJson")), json_object(fields.get("bizTag"))
    link = url_parameters(fields.get("reminderUrl"))
    type_of_content = number(content.get("contentType"))
    shape = number(ext.get("contentType"))
    if shape is None:
        shape = type_of_content if declared is None else declared
    shown = text(fields.get("reminderContent")) or text(summary)
    words = text(at(content, "text", "text")) if type_of_content in (None, 1) else None
    red = text(fields.get("redReminder")) or None
    title = text(fields.get("reminderTitle"))
    update = text(ext.get("updateKey"))
    sender_id = identifier(fields.get("senderUserId")) or identifier(sender)
    peer_id = identifier(link.get("peerUserId"))
    if peer_id in (None, own_id):
        peer_id = None if sender_id == own_id else sender_id

    kind: Kind = "chat"
    if shape == 26 or red or update or shown in ORDER_TEXTS or title in ORDER_TEXTS:
        kind = "order"
    elif (
        shape == 14
        or ext.get("msgArg1") == "MsgTips"
        or sender_id == _SYSTEM_SENDER
        or (words or shown) in SYSTEM_TEXTS
    ):
        kind = "system"
    elif identifier(fields.get("sessionType")) not in (None, "1"):
        kind = "group"

    return Facts(
        kind=kind,
        content="card" if "dxCard" in content else _label(shape),
        message_id=message_id,
        note_id=identifier(tag.get("messageId"))
        or identifier(ext.get("messageId"))
        or link.get("messageId"),
        conversation_id=conversation_id,
        sender_id=sender_id,
        peer_id=peer_id,
        is_self=None if sender_id is None else sender_id == own_id,
        sender_name=text(fields.get("senderNick"))
        or (title if kind in ("chat", "group") else None),
        text=words or shown,
        time_ms=time_ms,
        item_id=link.get("itemId")
        or identifier(tag.get("itemId"))
        or identifier(ext.get("itemId"))
        or url_parameters(at(content, *_BUTTON, "intent", "page", "jumpUrl")).get("itemId"),
        order_id=_order_id(tree, content, update or ""),
        images=_pictures(content),
        red_reminder=red,
    )


def content_object(value: object, /) -> dict[str, Any]:
    """Read a content JSON or base64 of it, out of its wrapper (type 101) if it is in one."""
    content = json_object(value)
    if number(content.get("contentType")) == 101:
        return json_object(at(content, "custom", "data")) or content
    return content


def _label(shape: int | None) -> Content:
    return "text" if shape is None else _CONTENT.get(shape, "other")


def _pictures(content: dict[str, Any]) -> tuple[str, ...]:
    if not isinstance(image := content.get("image"), dict):
        return ()
    pictures = image.get("pics")
    found = (
        text(at(picture, "url")) or text(at(picture, "picUrl"))
        for picture in (pictures if isinstance(pictures, list) else [image])
    )
    return tuple(url for url in found if url)


def _order_id(tree: object, content: dict[str, Any], update: str) -> str | None:
    if "dxCard" in content or "dynamicOperation" in content:
        for path in _TARGETS:
            if found := _ORDER_LINK.search(text(at(content, *path)) or ""):
                return found[1]
    # <conversation>:<order>:<state>
    if update and (found := _ORDER_PART.match(update.partition(":")[2])):
        return found[1]
    # The content stands in the tree as text, but as base64 in history and in old payloads.
    return _linked_order([tree, content])


def _linked_order(tree: list[Any]) -> str | None:
    """The first order id in any text of a tree; most trees have none."""
    if not mentions(tree, _IN_ALL_LINKS):
        return None
    left = [iter(tree)]
    while left:
        for value in left[-1]:
            if (kind := type(value)) is str:
                if found := _ORDER_LINK.search(value):
                    return found[1]
            elif kind is dict:
                left.append(iter(value.values()))
                break
            elif kind is list:
                left.append(iter(value))
                break
        else:
            left.pop()
    return None
