"""Synthetic payloads of the 闲鱼 web IM, as the wire has them: map keys are integers.

Every id, name and text is invented.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import msgpack

HAN = (
    "在吗还有货这件宝贝成色怎么样可以便宜一点今天能发货包邮拍下请尽快付款谢谢卖家买家已经收到"
    "确认地址电话顺丰快递明天到家里没有人放门口就行了吧好的没问题再看看图片细节屏幕电池健康度"
)
EMOJI = "😀😂🥰👍🎉📦💰🙏"


def han(dice: random.Random, length: int) -> str:
    """Return so many random Chinese characters."""
    return "".join(dice.choices(HAN, k=length))


def respell(value: Any) -> Any:
    """Spell map keys as str, as JSON has to."""
    if isinstance(value, dict):
        return {str(key): respell(inner) for key, inner in value.items()}
    return [respell(inner) for inner in value] if isinstance(value, list) else value


def wire(tree: Any) -> bytes:
    """Pack as the server does: a string of 32 bytes or more has a head of 16 bits, not 8."""
    # That is the form before MessagePack had a type for bytes.
    packed: bytes = msgpack.packb(tree, use_bin_type=False)
    return packed


def compact(value: Any) -> str:
    """Return JSON text as the platform writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def message(content: dict[str, Any], summary: str, fields: dict[str, str]) -> dict[int, Any]:
    """Build a chat message around its content and its notification fields."""
    return {
        1: {
            1: {1: "9000000000102@goofish"},
            2: "70000000011@goofish",
            3: "5000000000001.PNM",
            4: 0,
            5: 1767225601000,
            6: {1: 101, 3: {1: "", 2: summary, 3: "", 4: 1, 5: compact(content)}},
            7: 2,
            8: 1,
            9: 0,
            10: fields,
            12: 1,
        },
        3: {"needPush": "true"},
    }


def reminder(dice: random.Random, text: str) -> dict[str, str]:
    """Build the sixteen notification fields of a message."""
    note = f"{dice.getrandbits(128):032x}"
    return {
        "_appVersion": "7.18.40",
        "_platform": "android",
        "bizTag": compact({"sourceId": "S:1", "messageId": note}),
        "clientIp": "192.0.2.17",
        "detailNotice": text,
        "extJson": compact({"quickReply": "1", "messageId": note, "tag": "u"}),
        "port": "40123",
        "reminderContent": text,
        "reminderNotice": "发来一条新消息",
        "reminderTitle": "测试买家",
        "reminderUrl": (
            "fleamarket://message_chat?itemId=800000000031&peerUserId=9000000000102"
            f"&peerUserNick=测***者&sid=70000000011&messageId={note}&adv=no"
        ),
        "senderUserId": "9000000000102",
        "senderUserType": "0",
        "sessionType": "1",
        "umidToken": f"{dice.getrandbits(192):048x}",
        "utdid": f"synthetic{dice.getrandbits(60):015x}",
    }


def short_message() -> dict[int, Any]:
    """A message with few notification fields, 288 bytes."""
    fields = {
        "reminderContent": "在吗还有货吗",
        "reminderTitle": "测试买家",
        "senderUserId": "9000000000102",
        "sessionType": "1",
    }
    return message({"contentType": 1, "text": {"text": "在吗还有货吗"}}, "在吗", fields)


def chat_message(*, emoji: bool = False) -> dict[int, Any]:
    """A message with all notification fields, 1.43 KB; its texts may hold emoji."""
    dice = random.Random(1500)
    text = han(dice, 50)
    if emoji:
        text = "".join(a + b for a, b in zip(text[:20], EMOJI * 3, strict=False))
    content = {"atUsers": [], "contentType": 1, "text": {"text": text}}
    return message(content, text, reminder(dice, text))


def card_message() -> dict[int, Any]:
    """A trade card: one string of JSON text with Chinese inside is most of its 7.95 KB."""
    dice = random.Random(8000)
    rows = [
        {
            "title": han(dice, 9),
            "desc": han(dice, 19),
            "price": f"{dice.randrange(100000) / 100:.2f}",
            "targetUrl": f"fleamarket://item?id={8 * 10**11 + index}&from=card",
            "style": {"color": f"#{dice.getrandbits(24):06x}", "bold": index % 2 == 0},
        }
        for index in range(31)
    ]
    button = {"text": "去发货", "targetUrl": "fleamarket://order_detail?id=2000000000000000001"}
    main = {"exContent": {"title": han(dice, 10), "rows": rows, "button": button}}
    content = {"contentType": 26, "dxCard": {"item": {"main": main}, "template": {"name": "card"}}}
    return message(content, "[卡片消息]", reminder(dice, "[我已付款，等待你发货]"))


def push_package(payloads: Sequence[str], *, mid: str, time_ms: int) -> dict[str, Any]:
    """Build a push that carries these payloads and ends at ``time_ms``."""
    entries = [
        {"bizType": 40, "data": payload, "objectType": 40000, "streamId": f"1_{index:09d}"}
        for index, payload in enumerate(payloads)
    ]
    package = {
        "maxHighPts": 0,
        "startSeq": 10,
        "endSeq": 11,
        "minCreateTime": 0,
        "data": entries,
        "maxPts": time_ms * 1000,
        "hasMore": 0,
        "timestamp": time_ms,
    }
    headers = {
        "app-key": "444e9908a51d1cb236a27862abc769c9",
        "mid": mid,
        "ua": "Mozilla/5.0 (synthetic) DingTalk(2.1.5) DingWeb/2.1.5 IMPaaS DingWeb/2.1.5",
        "sid": "synthetic-sid-0001",
    }
    return {"headers": headers, "lwp": "/s/sync", "body": {"syncPushPackage": package}}


def push_frame(*payloads: str) -> str:
    """Build the text of a push that carries these payloads."""
    return compact(push_package(payloads, mid="0000002a 0", time_ms=1767225601000))
