"""Entries of a history answer as the trees that a push would have brought.

Written in the shape of a push (`protocol.md` 8.1), a message of history is read, kept and
handled by what reads, keeps and handles pushes: there is one way to judge a message.
"""

from __future__ import annotations

import json
from typing import Any

from xyfast.facts import content_object
from xyfast.reading import at, identifier, mapping, number, text

__all__ = ["message_id", "models", "payload", "sender_id", "time_ms", "tree"]

_WRAPPER = 101  # content type of what is sent and kept: the content stands inside
_TIP = 14


def models(body: object, /) -> list[Any]:
    """Give the entries (``userMessageModels``) of a history answer: the newest first."""
    found = at(body, "userMessageModels")
    return found if isinstance(found, list) else []


def message_id(model: object, /) -> str | None:
    """Give the id of an entry's message, which is the key of its push too."""
    return identifier(at(model, "message", "messageId"))


def time_ms(model: object, /) -> int | None:
    """Give the time (milliseconds) of an entry's message."""
    return number(at(model, "message", "createAt"))


def sender_id(model: object, /) -> str | None:
    """Give the id of who wrote an entry's message."""
    return identifier(at(model, "message", "sender", "uid"))


def tree(model: object, /) -> dict[str, Any]:
    """Give the tree of the push that brought an entry of ``userMessageModels``.

    The path of every field is told by `protocol.md` 8.1 and 9.4. What is no entry gives a
    tree that says nothing. Never raises.
    """
    message = mapping(at(model, "message"))
    wrapper = mapping(message.get("content"))
    custom = mapping(wrapper.get("custom"))
    content = content_object(custom.get("data")) or wrapper
    fields = message["extension"] if isinstance(message.get("extension"), dict) else None
    body: dict[str, Any] = {
        "1": {"1": at(message, "sender", "uid")},
        "2": message.get("cid"),
        "3": message.get("messageId"),
        "4": 0,
        "5": message.get("createAt"),
    }
    if content or fields:
        # Type 14 of the wrapper is the platform's tip, whatever the content calls itself.
        tip = number(custom.get("type")) == _TIP
        shell = {
            "1": "",
            "2": custom.get("summary"),
            "3": "",
            "4": _TIP if tip else number(content.get("contentType")),
            "5": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        }
        body["6"] = {"1": _WRAPPER, "3": shell}
    if fields is not None:
        kind = message.get("conversationType")
        body["10"] = fields if kind is None else {"sessionType": kind, **fields}
    return {"1": body, "3": mapping(at(model, "userExtension"))}


def payload(model: object, /) -> str:
    """Give the text of that tree, as it may stand in an entry of a push: JSON."""
    # Half a surrogate pair can be spelled in an answer, but not be stored.
    return text(json.dumps(tree(model), ensure_ascii=False, separators=(",", ":"))) or ""
