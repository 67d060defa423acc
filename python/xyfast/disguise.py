"""Payload trees with stand-ins for everything that says who wrote what.

What decides how a tree is read stays: its shape, short numbers, times, the platform's own
wordings, and which of its values are equal. All else is replaced, known or not.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from xyfast.facts import ORDER_TEXTS, SYSTEM_TEXTS
from xyfast.reading import SUFFIX

__all__ = ["NEAR", "WORDS", "Disguise", "compact"]

NEAR = 30 * 86_400_000
"""Milliseconds around a push within which a number is taken for a time."""

WORDS = {"true", "false", "[图片]", "[语音]", "[卡片消息]"} | ORDER_TEXTS | SYSTEM_TEXTS
WORDS |= {"等待买家付款", "等待卖家发货", "交易关闭"}
"""The platform's own wordings, by which messages are told apart."""

# Under these names people write. "2" is the summary of a chat message.
_WRITTEN = {"text", "title", "desc", "reminderContent", "detailNotice", "2"}
# Under these stand names of people, and headlines.
_NAMES = {"reminderTitle", "senderNick", "peerUserNick", "itemTitle", "nick"}
# Under these stand words of the protocol.
_PLAIN = {"_platform", "msgArg1", "tag", "sourceId"}
_TOKEN = re.compile(r"[A-Za-z0-9_:.-]{1,24}")
_KEY = re.compile(r"[A-Za-z_]\w{0,39}|[0-9]{1,7}", re.ASCII)
_ID = re.compile(r"[0-9]{8,}")
_LONGER = re.compile(r"[0-9]{4,}")
_NOTE = re.compile(r"[0-9a-f]{32}")
_UPDATE = re.compile(r"[0-9]+(:[0-9A-Za-z_-]+)+")
_SMALL = 10_000_000


class Disguise:
    """Makes stand-ins, the same one for the same value for as long as it lives.

    With ``texts`` what people wrote is kept; ids and names are replaced all the same.
    """

    def __init__(self, *, texts: bool = False) -> None:
        self._texts = texts
        self._accounts = 0
        self._ids: dict[str, str] = {}
        self._named: set[str] = set()
        self._others: dict[str, str] = {}
        self._around = 0

    def account(self, account_id: str) -> str:
        """Give the stand-in of an account of the user's own, the first time a new one."""
        self._named.add(account_id)
        if account_id not in self._ids:
            self._accounts += 1
            self._ids[account_id] = f"9{self._accounts:012d}"
        return self._ids[account_id]

    def tree(self, tree: Any, /, around: int) -> Any:
        """Give a payload's tree in disguise; ``around`` is the time of its push in milliseconds."""
        self._around = around
        return self._value("", tree)

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._key(name): self._value(str(name), each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._value(key, each) for each in value]
        if isinstance(value, str):
            return self._string(key, value)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            if self._is_named(str(value)):
                return int(self._id(str(value)))
            if abs(value) < _SMALL or self._is_time(value):
                return value
            return int(self._id(str(value)))
        if isinstance(value, float):
            return value if abs(value) < _SMALL or self._is_time(value) else 0.0
        return None

    def _key(self, key: Any) -> str:
        name = str(key)
        return name if _KEY.fullmatch(name) and not self._is_named(name) else self._string("", name)

    def _string(self, key: str, value: str) -> str:
        if not value or value in WORDS:
            return value
        if self._is_named(value):
            return self._id(value)
        number = value.removesuffix(SUFFIX).removesuffix(".PNM")
        if number != value:
            rest = value[len(number) :]
            if not (number.isascii() and number.isdigit()):
                return "0" + rest
            self._named.add(number)
            return self._id(number) + rest
        if key in _WRITTEN and not (key == "2" and _ID.fullmatch(value)):
            return value if self._texts else self._other(value)
        if key in _NAMES:
            return self._other(value)
        if value.isascii() and value.isdigit():
            kept = len(value) < 8 or (len(value) == 13 and self._is_time(int(value)))
            return value if kept else self._id(value)
        if key in _PLAIN and _TOKEN.fullmatch(value) and not _ID.search(value):
            return value
        if (inner := self._json(key, value)) is not None:
            return inner
        if "://" in value:
            return self._url(value)
        if key == "updateKey" and _UPDATE.fullmatch(value):
            return ":".join(self._part(part) for part in value.split(":"))
        if _NOTE.fullmatch(value):
            return self._id(value).zfill(32)
        return self._other(value)

    def _json(self, key: str, value: str) -> str | None:
        """A string that is JSON, or base64 of JSON, with its inside replaced."""
        if value.lstrip().startswith(("{", "[")):
            text, encode = value, False
        else:
            try:
                text, encode = base64.b64decode(value, validate=True).decode(), True
            except (binascii.Error, ValueError):
                return None
            if not text.lstrip().startswith("{"):
                return None
        try:
            inner = compact(self._value(key, json.loads(text)))
        except (ValueError, RecursionError):
            return None
        return base64.b64encode(inner.encode()).decode() if encode else inner

    def _url(self, value: str) -> str:
        address, mark, query = value.partition("?")
        if not re.fullmatch(r"fleamarket://[a-z_]{1,40}", address):
            address = f"https://example.invalid/{self._other(address)}"
        parts = []
        for part in query.split("&"):
            name, equals, given = part.partition("=")
            if equals and _KEY.fullmatch(name):
                parts.append(f"{name}={self._string(name, given)}")
        return address + mark + "&".join(parts)

    def _part(self, part: str) -> str:
        if part.isdigit():
            return self._id(part)
        return part if re.fullmatch(r"[A-Z_]+", part) else self._other(part)

    def _is_time(self, value: float) -> bool:
        return abs(value - self._around) < NEAR

    def _is_named(self, value: str) -> bool:
        """Whether this is an id, known by what stood around it; the shortest are other numbers."""
        return value in self._named and _LONGER.fullmatch(value) is not None

    def _id(self, value: str) -> str:
        return self._ids.setdefault(value, str(8_000_000_000_001 + len(self._ids)))

    def _other(self, value: str) -> str:
        return self._others.setdefault(value, f"text-{len(self._others) + 1}")


def compact(value: object) -> str:
    """Give ``value`` as JSON text without spaces or escapes, as on the wire."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
