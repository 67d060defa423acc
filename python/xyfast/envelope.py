"""What we receive: from a payload's tree to facts, and from facts to a message.

A payload is judged by its tree alone, never by the path of the push that carried it. Trees
come from a stranger: any JSON-like value gives `Facts`, what is not as expected is None.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from xyfast import messages
from xyfast.facts import Facts, content_object, notice
from xyfast.history import models
from xyfast.history import tree as pushed
from xyfast.messages import Conversation, Message, Sender
from xyfast.reading import SUFFIX, at, identifier, mapping, number, text

__all__ = [
    "DIGEST",
    "Facts",
    "conversations",
    "history",
    "message_key",
    "messages_of",
    "read",
    "to_message",
]

DIGEST = "digest:"
"""With this begins the key of what has no id of its own."""


def read(tree: object, own_id: str, /) -> Facts:
    """Say what a decoded payload is about; ``own_id`` is the account's id.

    Map keys must be str, as the decoder gives them. Never raises.
    """
    payload = mapping(tree)
    first = payload.get("1")
    if isinstance(payload.get("operation"), dict) and payload.keys() & {"chatType", "sessionId"}:
        return _read_operation(payload, own_id)
    if isinstance(first, list):
        return _read_list(payload, first)
    if isinstance(first, str):
        return _read_flat(payload, first, own_id)
    if isinstance(first, dict):
        return _read_message(payload, first, own_id)
    return Facts()


def history(body: object, own_id: str, /) -> list[Facts]:
    """Read the messages of a history answer, in its order: the newest first."""
    return [read(pushed(model), own_id) for model in models(body)]


def messages_of(body: object, own_id: str, sender: Sender, /) -> list[Message]:
    """Give the messages of a history answer, in its order; ``sender`` answers them."""
    found = []
    for model in models(body):
        tree = pushed(model)
        facts = read(tree, own_id)
        key = message_key(facts, None, facts.time_ms)
        found.append(to_message(facts, account_id=own_id, key=key, tree=tree, sender=sender))
    return found


def conversations(body: object, own_id: str, /) -> list[Conversation]:
    """Read the conversations of a list answer, in its order: the last changed first."""
    found = []
    entries = at(body, "userConvs")
    for entry in entries if isinstance(entries, list) else ():
        outer = at(entry, "singleChatUserConversation")
        chat = mapping(at(outer, "singleChatConversation"))
        if (conversation_id := identifier(chat.get("cid"))) is None:
            continue
        pair = (identifier(chat.get("pairFirst")), identifier(chat.get("pairSecond")))
        found.append(
            Conversation(
                conversation_id=conversation_id,
                peer_id=next((one for one in pair if one not in (None, own_id)), None),
                item_id=identifier(at(chat, "extension", "itemId")),
                seller_id=identifier(at(chat, "extension", "itemSellerId")),
                unread=number(at(outer, "redPoint")) or 0,
                modified=number(at(outer, "modifyTime")),
                last_message_id=identifier(at(outer, "lastMessage", "message", "messageId")),
            )
        )
    return found


def message_key(facts: Facts | None, payload: str | None, pts: int | None, /) -> str:
    """Give what tells a message from every other one of its account.

    ``payload`` is the text as the push carries it (None if missing), ``pts`` the push's
    position, ``facts`` None for a payload that cannot be decoded.

    A message's own id in the chat service is its key: history and every redelivery name the
    same one. A marker names the id of a message that is still to come, so that id must not
    become the marker's own key, or the message would be taken for a duplicate. What has no id
    is told apart by a digest of its payload, which a redelivery repeats to the byte. A payload
    without a time can honestly come twice with the same bytes (a peer that types again, a
    short text of the web form); there the position counts too: better twice than never.
    """
    if facts is not None and facts.message_id is not None and facts.kind != "marker":
        return facts.message_id
    digest = hashlib.blake2b((payload or "").encode("utf-8", "surrogatepass"), digest_size=16)
    if payload is None or (facts is not None and facts.time_ms is None):
        digest.update(f"\0{pts}".encode())
    return DIGEST + digest.hexdigest()


def to_message(
    facts: Facts,
    /,
    *,
    account_id: str,
    key: str,
    tree: Any,
    redelivered: int = 0,
    ours: bool = False,
    sender: Sender | None = None,
) -> Message:
    """Make the message that a handler receives.

    ``ours`` says that this client sent it (its id came with the answer to a send), ``sender``
    is what the message will reply through.
    """
    common: dict[str, Any] = {
        "account_id": account_id,
        "key": key,
        "conversation_id": facts.conversation_id,
        "time": facts.time_ms,
        "redelivered": redelivered,
        "tree": tree,
    }
    ids: dict[str, Any] = {
        "message_id": facts.message_id,
        "note_id": facts.note_id,
        "sender_id": facts.sender_id,
        "peer_id": facts.peer_id,
        "item_id": facts.item_id,
        "order_id": facts.order_id,
        "text": facts.text or "",
        "content": facts.content,
    }
    written: dict[str, Any] = {
        "sender_name": facts.sender_name,
        "images": facts.images,
        "origin": ("client" if ours else "seller") if facts.is_self else "peer",
    }
    if facts.kind == "chat":
        return messages.ChatMessage(**common, **ids, **written, _sender=sender)
    if facts.kind == "group":
        return messages.GroupMessage(**common, **ids, **written)
    if facts.kind == "order":
        return messages.OrderNotice(**common, **ids, red_reminder=facts.red_reminder)
    if facts.kind == "system":
        return messages.SystemNotice(**common, **ids)
    if facts.kind == "read":
        return messages.ReadReceipt(**common, message_ids=facts.message_ids)
    if facts.kind == "typing":
        return messages.Typing(**common)
    if facts.kind == "session":
        return messages.SessionOpened(**common, peer_id=facts.peer_id, item_id=facts.item_id)
    if facts.kind == "marker":
        return messages.Marker(**common, message_id=facts.message_id)
    return messages.Unknown(**common)


def _read_operation(payload: dict[str, Any], own_id: str) -> Facts:
    operation = payload["operation"]
    content = mapping(operation.get("content"))
    info = mapping(operation.get("sessionInfo"))
    conversation_id = identifier(payload.get("sessionId")) or identifier(info.get("sessionId"))
    kind = number(content.get("contentType"))
    if kind == 8 or "sessionArouse" in content:
        extensions = mapping(info.get("extensions"))
        parties = [identifier(extensions.get(name)) for name in ("extUserId", "ownerUserId")]
        arouse = at(content, "sessionArouse", "sessionArouseInfo", "arouseTimeStamp")
        return Facts(
            kind="session",
            conversation_id=conversation_id,
            peer_id=next((one for one in parties if one not in (None, own_id)), None),
            time_ms=number(arouse),
            item_id=identifier(extensions.get("itemId")),
        )
    if kind in (1, 101):
        inner = content_object(at(content, "custom", "data")) or content
        sender = at(operation, "senderInfo", "senderUserId")
        fields = mapping(content.get("reminder"))
        facts = notice(
            payload, fields, inner, own_id, sender=sender, conversation_id=conversation_id
        )
        return replace(facts, kind="chat")
    return Facts()


def _read_list(payload: dict[str, Any], first: list[Any]) -> Facts:
    cid = text(payload.get("3")) or ""
    if number(payload.get("2")) == 2 and cid.endswith(SUFFIX):
        return Facts(
            kind="read",
            conversation_id=identifier(cid),
            time_ms=number(payload.get("5")),
            message_ids=tuple(one for item in first if (one := identifier(item))),
        )
    typing_in = text(at(first[0], "1")) if first else None
    if typing_in and SUFFIX in typing_in:
        return Facts(kind="typing", conversation_id=typing_in.partition(SUFFIX)[0] or None)
    return Facts()


def _read_flat(payload: dict[str, Any], first: str, own_id: str) -> Facts:
    fields, red = mapping(payload.get("4")), text(at(payload, "3", "redReminder"))
    if isinstance(fields.get("reminderContent"), str):
        facts = notice(
            payload,
            fields,
            {},
            own_id,
            conversation_id=identifier(payload.get("2")),
            time_ms=number(payload.get("5")),
        )
        return replace(facts, kind="order" if facts.order_id or facts.red_reminder else "system")
    if red:
        return Facts(
            kind="order",
            conversation_id=identifier(first),
            text=red,
            red_reminder=red,
            time_ms=number(payload.get("4")),
        )
    mark = number(payload.get("2"))
    if first.endswith(".PNM") and mark == 2:
        return Facts(
            kind="read",
            conversation_id=identifier(payload.get("4")),
            time_ms=number(payload.get("6")),
            message_ids=(text(first) or "",),
        )
    if first.endswith(SUFFIX) and mark == 1 and isinstance(payload.get("3"), str):
        return Facts(
            kind="marker",
            message_id=identifier(payload["3"]),
            conversation_id=identifier(first),
            time_ms=number(payload.get("4")),
        )
    return Facts()


def _read_message(payload: dict[str, Any], first: dict[str, Any], own_id: str) -> Facts:
    fields, shell = first.get("10"), at(first, "6", "3")
    if not isinstance(at(fields, "reminderContent"), str) and not isinstance(shell, dict):
        return Facts()
    facts = notice(
        payload,
        mapping(fields),
        content_object(at(shell, "5")) or content_object(at(shell, "1")),
        own_id,
        declared=number(at(shell, "4")),
        summary=at(shell, "2"),
        sender=at(first, "1", "1"),
        message_id=identifier(first.get("3")),
        conversation_id=identifier(first.get("2")),
        time_ms=number(first.get("5")),
    )
    if not isinstance(fields, dict) and facts.kind != "order":
        facts = replace(facts, kind="system")
    return facts
