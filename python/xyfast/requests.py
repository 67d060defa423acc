"""What we send: the frames, and what an answer to them means.

Every builder gives the JSON text of one frame. Time and dice are arguments.
"""

from __future__ import annotations

import base64
import json
import random
import re
from dataclasses import dataclass
from typing import Literal

from xyfast.arguments import must_be, must_be_text
from xyfast.errors import ConfigError
from xyfast.reading import LARGEST, SUFFIX, at, identifier, number, text
from xyfast.redaction import redact

__all__ = [
    "APP_KEY",
    "LONGEST",
    "NEWEST",
    "Mids",
    "Uuids",
    "Verdict",
    "ack_diff",
    "ack_diff_state",
    "get_state",
    "handshake",
    "has_more",
    "heartbeat",
    "history",
    "im_user_agent",
    "image_content",
    "judge",
    "list_conversations",
    "message_id",
    "mid_key",
    "next_cursor",
    "older",
    "pts",
    "reg_uid",
    "registration",
    "request",
    "send",
    "server_time",
    "text_content",
]

APP_KEY = "444e9908a51d1cb236a27862abc769c9"
"""The web page's application key in the chat service, the same for every user."""

NEWEST = LARGEST
"""The first cursor of every paged call."""

LONGEST = 750_000
"""Most bytes of a content: as base64, in its frame, it stays below the 1 MiB of a link."""

_CONTEXT = {"appVersion": "1.0", "platform": "web"}


class Mids:
    """Makes the ids that pair a request with its answer; no two of one maker are equal.

    A random number from 0 to 999, the time in milliseconds, a space and ``0``, as the web
    page makes them. The number is even: heartbeats, which links make by themselves, have odd
    ones. The time moves on by itself when it is asked for twice within one
    millisecond or steps back.
    """

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._last = 0

    def next(self, now_ms: int, /) -> str:
        """Give the next one; ``now_ms`` is milliseconds since 1970."""
        self._last = max(now_ms, self._last + 1)
        return f"{self._dice.randrange(0, 1000, 2)}{self._last} 0"


class Uuids:
    """Makes the ids that this client gives to what it sends; no two of one maker are equal.

    ``-``, the time in milliseconds and ``1``, as the web page makes them; the time moves on
    by itself as in `Mids`.
    """

    def __init__(self) -> None:
        self._last = 0

    def follow(self, uuid: str, /) -> None:
        """Make none that is not later than ``uuid``, which an earlier run made."""
        if made := re.fullmatch(r"-([0-9]{1,16})1", uuid):
            self._last = max(self._last, int(made[1]))

    def next(self, now_ms: int, /) -> str:
        """Give the next one; ``now_ms`` is milliseconds since 1970."""
        self._last = max(now_ms, self._last + 1)
        return f"-{self._last}1"


def mid_key(mid: str, /) -> str:
    """Give the part of a mid that an answer surely repeats: what stands before the space."""
    return mid.partition(" ")[0]


def request(lwp: str, body: object, /, *, mid: str) -> str:
    """Any request; a ``body`` of None is left out.

    Raises `ConfigError` for what is no JSON, for which a server may cut the link.
    """
    frame: dict[str, object] = {"lwp": lwp, "headers": {"mid": mid}}
    if body is not None:
        frame["body"] = body
    try:
        text = json.dumps(frame, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError):  # its words may quote what is private
        raise ConfigError(
            "a request must be JSON: no objects of other types, no NaN or infinity, no lone "
            "surrogates, and no endless nesting"
        ) from None
    return text


def heartbeat(*, mid: str) -> str:
    """Ask whether anybody is there; links do so by themselves too."""
    return request("/!", None, mid=mid)


def handshake(user_agent: str, /) -> list[tuple[str, str]]:
    """Give the headers of a WebSocket handshake, but cookies."""
    return [("Origin", "https://www.goofish.com"), ("User-Agent", user_agent)]


def registration(*, token: str, device_id: str, user_agent: str, mid: str) -> str:
    """Register a link (``/reg``).

    ``token`` and ``device_id`` must belong together, ``user_agent`` is the browser's.
    """
    headers = {
        "cache-header": "app-key token ua wv",
        "app-key": APP_KEY,
        "token": token,
        "ua": im_user_agent(user_agent),
        "dt": "j",
        "wv": "im:3,au:3,sy:6",
        "sync": "0,0;0;0;",
        "did": device_id,
        "mid": mid,
    }
    return _compact({"lwp": "/reg", "headers": headers})


def ack_diff(*, pts: int, now_ms: int, mid: str) -> str:
    """Tell the server that everything up to ``pts`` (microseconds) is here (``ackDiff``)."""
    state = {
        "pipeline": "sync",
        "tooLong2Tag": "PNM,1",
        "channel": "sync",
        "topic": "sync",
        "highPts": 0,
        "pts": pts,
        "seq": 0,
        "timestamp": now_ms,
    }
    return ack_diff_state(_compact(state), mid=mid)


def ack_diff_state(state: str, /, *, mid: str) -> str:
    """Take over the position of a `get_state` answer: its body, JSON text, goes back as it came."""
    frame = {"lwp": "/r/SyncStatus/ackDiff", "headers": {"mid": mid}}
    return f'{_compact(frame)[:-1]},"body":[{state}]}}'


def get_state(*, mid: str) -> str:
    """Ask for the server's newest position, after it said that the gap is too long."""
    return request("/r/SyncStatus/getState", [{"topic": "sync"}], mid=mid)


def text_content(text: str, /) -> str:
    """The content of a text, as JSON text.

    Raises `ConfigError` for what is no str, empty, has a lone surrogate, or is longer than
    `LONGEST`.
    """
    must_be_text(text=text)
    return _content("text", {"contentType": 1, "text": {"text": text}})


def image_content(url: str, /, *, width: int, height: int) -> str:
    """The content of a picture that the upload service has taken; its size is in pixels.

    Raises `ConfigError` for what is no http(s) address or no size, as `text_content` too.
    """
    must_be_text(url=url)
    must_be(int, "a whole number", width=width, height=height)
    if not re.match(r"https?://[^/\s]", url, re.IGNORECASE):
        raise ConfigError("url must start with https:// or http://; upload the picture first")
    if width < 1 or height < 1:
        raise ConfigError("width and height must be above zero")
    picture = {"type": 0, "url": url, "width": width, "height": height}
    return _content("url", {"contentType": 2, "image": {"pics": [picture]}})


def send(
    content: str, /, *, conversation_id: str, peer_id: str, own_id: str, uuid: str, mid: str
) -> str:
    """Send a content. The own id is a receiver too, so that the echo comes back as a push."""
    data = base64.b64encode(content.encode()).decode()
    message = {
        "uuid": uuid,
        "cid": _full(conversation_id),
        "conversationType": 1,
        "content": {"contentType": 101, "custom": {"type": 1, "data": data}},
        "redPointPolicy": 0,
        "extension": {"extJson": "{}"},
        "ctx": _CONTEXT,
        "mtags": {},
        "msgReadStatusSetting": 1,
    }
    scope = {"actualReceivers": [_full(receiver) for receiver in (peer_id, own_id)]}
    return request("/r/MessageSend/sendByReceiverScope", [message, scope], mid=mid)


def list_conversations(*, mid: str, cursor: int = NEWEST, limit: int = 50) -> str:
    """Ask for a page of conversations, the last changed first; cursors are milliseconds."""
    return request("/r/Conversation/listNewestPagination", [cursor, limit], mid=mid)


def history(conversation_id: str, /, *, mid: str, cursor: int = NEWEST, limit: int = 20) -> str:
    """Ask for a page of a conversation's messages, the newest first."""
    body = [_full(conversation_id), False, cursor, limit, False]
    return request("/r/MessageManager/listUserMessages", body, mid=mid)


def im_user_agent(user_agent: str, /) -> str:
    """Give the user agent for ``/reg``: the browser's, and what the chat library adds to it."""
    if "DingTalk(" in user_agent:
        return user_agent
    system = "Windows/10"
    if found := re.search(r"Mac OS X ([0-9_.]+)", user_agent):
        system = f"Mac OS/{found[1].replace('_', '.')}"
    elif "Linux" in user_agent:
        system = "Linux/unknown"
    browser = "Chrome/146.0.0.0"
    for name in ("Edg", "Chrome", "Firefox", "Version"):
        if found := re.search(rf"\b{name}/([0-9.]+)", user_agent):
            browser = f"{_BROWSERS.get(name, name)}/{found[1]}"
            break
    return (
        f"{user_agent} DingTalk(2.2.0) OS({system}) Browser({browser})"
        " DingWeb/2.2.0 IMPaaS DingWeb/2.2.0"
    )


_BROWSERS = {"Edg": "Edge", "Version": "Safari"}


Refusal = Literal["token", "limit", "throttled", "rejected", "server"]
"""Classes of refusals.

``"token"``: the session is gone, a new token is needed; ``"limit"``: too many links of this
account; ``"throttled"``: wait some seconds; ``"rejected"``: this request will never be taken;
``"server"``: busy or broken, may work later.
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means: ``ok``, or the class of the refusal and the server's own words."""

    ok: bool
    error: Refusal | None = None
    reason: str = ""
    code: int | None = None


def judge(code: object, headers: object, body: object, /) -> Verdict:
    """Judge an answer by its code, headers and body, as JSON gives them.

    Code 200 is a success unless the body has a ``reason``; some data answers have no code,
    then a body is a success. Words of the server are cut at 200 characters, and hold no secrets.
    """
    number_of = number(code)
    refused = bool(text(at(body, "reason")))
    if not refused and (number_of == 200 or (code is None and body is not None)):
        return Verdict(ok=True, code=number_of)
    places = [at(body, name) for name in ("reason", "message", "developerMessage", "moreInfo")]
    places += [at(headers, name) for name in ("error", "reason", "message")]
    words = [found for place in places if (found := text(place))]
    error = _refusal(number_of, number(at(body, "code")), " ".join(words).lower())
    reason = redact(words[0][:_WORDS])[:200] if words else ""
    return Verdict(ok=False, error=error, reason=reason, code=number_of)


_WORDS = 2000  # of the server's that are looked through
_LIMIT = ("connect limit", "session remove", "too many")
_TOKEN = (
    "invalid token",
    "token invalid",
    "not auth",
    "token is not found",
    "device id or appkey is not equal",
)
_BUSY = ("system is error", "闲鱼走神了")


def _refusal(code: int | None, inner: int | None, words: str) -> Refusal:
    if inner == 400600001 or "400600001" in words:
        return "throttled"
    if any(phrase in words for phrase in _LIMIT):
        return "limit"
    if code == 401 or inner == 4000001 or any(phrase in words for phrase in _TOKEN):
        return "token"
    if any(phrase in words for phrase in _BUSY):
        return "server"
    # A reason under 200 is a refusal of this request; so are the 4xx codes.
    return "rejected" if code in range(400, 500) or (words and code in (200, None)) else "server"


def reg_uid(headers: object, /) -> str | None:
    """Give the account's id that an answer to ``/reg`` confirms."""
    return identifier(at(headers, "reg-uid"))


def server_time(headers: object, /) -> int | None:
    """Give the server's time in milliseconds, where an answer tells it.

    Answers to heartbeats and sends have ``server-timestamp``, some to ``/reg`` ``timestamp``.
    """
    found = number(at(headers, "server-timestamp"))
    return number(at(headers, "timestamp")) if found is None else found


def pts(body: object, /) -> int | None:
    """Give the position (microseconds) of a `get_state` answer."""
    return number(at(body, "pts"))


def message_id(body: object, /) -> str | None:
    """Give the id of the message that a send has made."""
    return identifier(at(body, "messageId")) or identifier(at(body, "1"))


def has_more(body: object, /) -> bool:
    """Say whether a paged answer has further pages."""
    more = at(body, "hasMore")
    return more is True or number(more) == 1


def next_cursor(body: object, /) -> int | None:
    """Give the cursor of the next page."""
    return number(at(body, "nextCursor"))


def older(body: object, cursor: int, /) -> int | None:
    """Give the cursor of the page behind one asked for at ``cursor``; None if it was the last.

    A list that does not go on gives ``cursor`` again. A page may end between two items of one
    millisecond, so that millisecond is asked for once more: part of a page comes twice.
    """
    if not has_more(body):
        return None
    found = next_cursor(body)
    return cursor if found is None or found <= 0 else min(found + 1, cursor)


def _content(name: str, content: dict[str, object]) -> str:
    text = _compact(content)
    if (size := len(text.encode())) > LONGEST:
        raise ConfigError(f"{name} is too long: {size} bytes of JSON, at most {LONGEST} are sent")
    return text


def _full(bare: str) -> str:
    return bare if bare.endswith(SUFFIX) else bare + SUFFIX


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
