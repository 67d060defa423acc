"""Payloads in the shape of the platform's own; every id and text is made up.

The writer is independent of the package's codec, so that a test which compares the
two has two witnesses.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Message",
    "Sample",
    "bad_base64",
    "bad_msgpack",
    "chat",
    "deleted",
    "image_content",
    "marker",
    "order_content",
    "pack",
    "read",
    "recalled",
    "red_reminder",
    "session",
    "text_content",
    "tip_content",
    "typing",
    "unknown",
]

SUFFIX = "@goofish"
_PLACEHOLDERS = {2: "[图片]", 3: "[语音]"}


def pack(value: object) -> bytes:
    """Return ``value`` as MessagePack in the platform's spelling.

    Integers are as short as they can be; text of 32 bytes and more is ``str 16`` even
    where ``str 8`` would do, as on the wire.
    """
    out = bytearray()
    _pack(value, out)
    return bytes(out)


def _pack(value: object, out: bytearray) -> None:
    if value is None:
        out.append(0xC0)
    elif isinstance(value, bool):
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        _pack_int(value, out)
    elif isinstance(value, str):
        data = value.encode()
        _head(len(data), out, fix=0xA0, fixed=32, wide=0xDA)
        out += data
    elif isinstance(value, list):
        _head(len(value), out, fix=0x90, fixed=16, wide=0xDC)
        for item in value:
            _pack(item, out)
    elif isinstance(value, dict):
        _head(len(value), out, fix=0x80, fixed=16, wide=0xDE)
        for key, item in value.items():
            _pack(key, out)
            _pack(item, out)
    else:
        raise TypeError(f"no payload holds a {type(value).__name__}")


def _pack_int(value: int, out: bytearray) -> None:
    if -32 <= value < 128:
        out += struct.pack(">b", value)
        return
    forms = (
        (0xCC, ">BB", 0xFF),
        (0xCD, ">BH", 0xFFFF),
        (0xCE, ">BI", 0xFFFFFFFF),
        (0xCF, ">BQ", 0xFFFFFFFFFFFFFFFF),
    )
    for marker_, form, most in forms if value >= 0 else ():
        if value <= most:
            out += struct.pack(form, marker_, value)
            return
    signed = ((0xD0, ">Bb", 7), (0xD1, ">Bh", 15), (0xD2, ">Bi", 31), (0xD3, ">Bq", 63))
    for marker_, form, bits in signed if value < 0 else ():
        if value >= -(1 << bits):
            out += struct.pack(form, marker_, value)
            return
    raise OverflowError("an integer has at most 64 bits")


def _head(length: int, out: bytearray, *, fix: int, fixed: int, wide: int) -> None:
    if length < fixed:
        out.append(fix | length)
    elif length < 1 << 16:
        out += struct.pack(">BH", wide, length)
    else:
        out += struct.pack(">BI", wide + 1, length)


def compact(value: object) -> str:
    """Return ``value`` as JSON text without spaces or escapes, as on the wire."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One chat message as the platform knows it; ids are without suffix."""

    id: str
    """The PNM id, ``"5000000000001.PNM"``."""
    conversation: str
    sender: str
    peer: str
    """The other party of the conversation, from the account's side."""
    time: int
    """Milliseconds."""
    content: dict[str, Any]
    """The content JSON, for example `text_content`."""
    item: str = "800000000031"
    nick: str = "测试买家"

    @property
    def note_id(self) -> str:
        """The notification's id, which is not the message's."""
        return f"{int(self.id.partition('.')[0]) % 10**12:032x}"

    @property
    def summary(self) -> str:
        """The text as a notification shows it."""
        match self.content:
            case {"text": {"text": str(text)}} | {"tips": {"title": str(text)}}:
                return text
            case {"dxCard": {"item": {"main": {"exContent": {"title": str(text)}}}}}:
                return text
        return _PLACEHOLDERS.get(self.content["contentType"], "[卡片消息]")

    @property
    def notification(self) -> dict[str, str]:
        """The named fields of a push, which history calls the extension."""
        url = (
            f"fleamarket://message_chat?itemId={self.item}&peerUserId={self.peer}"
            f"&peerUserNick={self.nick[:1]}***者&sid={self.conversation}"
            f"&messageId={self.note_id}&adv=no"
        )
        extra: dict[str, str] = {"quickReply": "1", "messageId": self.note_id, "tag": "u"}
        kind = self.content["contentType"]
        if kind != 1:
            extra["contentType"] = str(kind)
        if kind == 14:
            extra["msgArg1"] = "MsgTips"
        return {
            "_platform": "android",
            "bizTag": compact({"sourceId": "S:1", "messageId": self.note_id}),
            "detailNotice": self.summary,
            "extJson": compact(extra),
            "reminderContent": self.summary,
            "reminderNotice": "发来一条新消息",
            "reminderTitle": self.nick,
            "reminderUrl": url,
            "senderUserId": self.sender,
            "senderUserType": "0",
            "sessionType": "1",
        }


def text_content(text: str) -> dict[str, Any]:
    """Return the content JSON of a text."""
    return {"atUsers": [], "contentType": 1, "text": {"text": text}}


def image_content(url: str, width: int = 720, height: int = 960) -> dict[str, Any]:
    """Return the content JSON of one picture."""
    picture = {"type": 0, "url": url, "width": width, "height": height}
    return {"contentType": 2, "image": {"pics": [picture]}}


def order_content(title: str, order: str, item: str = "800000000031") -> dict[str, Any]:
    """Return the content JSON of a trade card."""
    target = f"fleamarket://order_detail?id={order}&role=seller"
    button = {
        "text": "查看",
        "targetUrl": f"https://example.invalid/order?bizOrderId={order}",
        "intent": {"page": {"jumpUrl": f"fleamarket://item?itemId={item}"}},
    }
    card = {"exContent": {"title": title, "desc": "", "button": button}, "targetUrl": target}
    return {"contentType": 26, "dxCard": {"item": {"main": card}}}


def tip_content(text: str) -> dict[str, Any]:
    """Return the content JSON of a tip that the platform puts into a conversation."""
    return {"contentType": 14, "tips": {"title": text}}


@dataclass(frozen=True, slots=True)
class Sample:
    """One entry of a package: its payload and what the server must know about it."""

    payload: str
    id: str = ""
    """The message id, or empty for an entry that is no message."""
    object_type: int = 40000
    message: Message | None = None
    """The message, where history is to have it too."""


def _sample(tree: object, object_type: int, id: str = "") -> Sample:  # noqa: A002
    return Sample(base64.b64encode(pack(tree)).decode(), id, object_type)


def chat(message: Message) -> Sample:
    """Return the push of a chat message, trade card or tip."""
    body = {
        1: {1: message.sender + SUFFIX},
        2: message.conversation + SUFFIX,
        3: message.id,
        4: 0,
        5: message.time,
        6: {
            1: 101,
            3: {
                1: "",
                2: message.summary,
                3: "",
                4: message.content["contentType"],
                5: compact(message.content),
            },
        },
        7: 2,
        8: 1,
        9: 0,
        10: message.notification,
        12: 1,
    }
    sample = _sample({1: body, 3: {"needPush": "true"}}, 40000, message.id)
    return Sample(sample.payload, message.id, 40000, message)


def red_reminder(conversation: str, text: str, time: int) -> Sample:
    """Return an order notice without an order id."""
    reminder = {"redReminder": text, "redReminderStyle": "1"}
    return _sample({1: conversation + SUFFIX, 2: 1, 3: reminder, 4: time}, 40005)


def typing(conversation: str, sender: str, time: int) -> Sample:
    """Return the mark that the peer is typing."""
    return _sample({1: [{1: conversation + SUFFIX, 2: 1, 3: time, 4: sender + SUFFIX}]}, 40006)


def read(conversation: str, message_ids: list[str], time: int) -> Sample:
    """Return the mark that messages were read."""
    return _sample({1: message_ids, 2: 2, 3: conversation + SUFFIX, 4: 1, 5: time}, 40103)


def marker(conversation: str, message_id: str, time: int) -> Sample:
    """Return the hint that a message exists, without its text."""
    return _sample({1: conversation + SUFFIX, 2: 1, 3: message_id, 4: time}, 40000)


def recalled(conversation: str, message_id: str, time: int) -> Sample:
    """Return the notice of a recalled message; the shape of its tree is a guess."""
    return _sample({1: {2: conversation + SUFFIX, 3: message_id, 5: time}, 2: 3}, 40104)


def deleted(conversation: str, message_id: str, time: int) -> Sample:
    """Return the notice of a deleted message; the shape of its tree is a guess."""
    return _sample({1: {2: conversation + SUFFIX, 3: message_id, 5: time}, 2: 4}, 40101)


def session(conversation: str, account: str, peer: str, item: str, time: int) -> Sample:
    """Return the event of an opened conversation, JSON instead of MessagePack."""
    extensions = {
        "itemId": item,
        "itemSellerId": account,
        "ownerUserId": account,
        "extUserId": peer,
        "itemTitle": "测试商品",
    }
    arouse = {"sessionArouseInfo": {"arouseTimeStamp": time, "arouseChatScriptInfo": []}}
    tree = {
        "chatType": 1,
        "incrementType": 1,
        "sessionId": conversation,
        "operation": {
            "content": {"contentType": 8, "sessionArouse": arouse},
            "receiverIds": [account],
            "sessionInfo": {
                "sessionId": conversation,
                "sessionType": 1,
                "createTime": time,
                "extensions": extensions,
            },
        },
    }
    return Sample(base64.b64encode(compact(tree).encode()).decode(), object_type=370000)


def unknown(time: int) -> Sample:
    """Return a tree of no known shape."""
    return _sample({1: 7, 2: "synthetic", 5: time}, 40999)


def bad_base64() -> Sample:
    """Return an entry whose payload is not base64."""
    return Sample("%%% not base64 %%%")


def bad_msgpack() -> Sample:
    """Return an entry whose payload is base64 of a value that never ends."""
    return Sample(base64.b64encode(b"\x82\x01\xda\xff\xffcut").decode())
