"""What the IM service answers to each request path."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from xyfast.testing import samples
from xyfast.testing.faults import Fault
from xyfast.testing.ledger import Sent
from xyfast.testing.platform import AccountState, Conversation, Platform, page
from xyfast.testing.samples import SUFFIX, Message, compact
from xyfast.testing.settings import RepeatedUuid, Replay
from xyfast.testing.sync import Seat, SyncChannel

__all__ = ["ROUTES", "Answer", "Context", "model"]


class Answer(NamedTuple):
    """An answer, and what is pushed around it."""

    code: int
    body: dict[str, Any] | None
    before: Callable[[], object] | None = None
    after: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks."""

    platform: Platform
    channels: dict[str, SyncChannel]
    seat: Seat
    mid: str

    @property
    def account(self) -> AccountState:
        """The account whose link asks."""
        return self.seat.account

    @property
    def channel(self) -> SyncChannel:
        """The account's push channel."""
        return self.channels[self.account.id]


BAD_REQUEST = Answer(400, {"reason": "bad request"})


def get_state(context: Context, body: Any) -> Answer:
    """Answer the newest position, in the shape that ackDiff takes."""
    channel = context.channel
    state: dict[str, Any] = {
        "pipeline": "sync",
        "tooLong2Tag": "PNM,1",
        "channel": "sync",
        "topic": "sync",
        "highPts": 0,
        "pts": channel.position,
        "seq": 0,
        "timestamp": context.platform.clock(),
    }
    if context.platform.settings.state_compensates:
        entries = channel.uncertain()
        state["syncPushPackage"] = channel.carry(context.seat, context.mid, entries)
    return Answer(200, state)


def ack_diff(context: Context, body: Any) -> Answer:
    """Take the client's position and bring what it misses."""
    match body:
        case [{"pts": int() | str() as pts}, *_] if str(pts).isdigit():
            pass
        case _:
            return BAD_REQUEST
    channel, seat = context.channel, context.seat
    missed = channel.confirm_up_to(seat, int(pts))
    answer: dict[str, Any] = {
        "syncExtensionModel": {"fingerprint": 1},
        "syncExtraType": {"type": 3},
    }
    if context.platform.settings.replay is Replay.ANSWER and missed.entries:
        answer["syncPushPackage"] = channel.carry(seat, context.mid, missed.entries)
        return Answer(200, answer)
    return Answer(200, answer, after=lambda: channel.replay(seat, missed))


def send(context: Context, body: Any) -> Answer:
    """Take a message, answer its id and push the echo."""
    match body:
        case [
            {"uuid": str(uuid), "cid": str(cid), "content": {"custom": {"data": str(data)}}},
            {"actualReceivers": list(receivers)},
            *_,
        ]:
            content = _content(data)
        case _:
            return BAD_REQUEST
    account, platform = context.account, context.platform
    if platform.has(Fault.SEND_REFUSED, account):
        return Answer(200, {"reason": "消息发送失败", "moreInfo": "CSI_FORBID||安全拦截"})
    if platform.has(Fault.SEND_BUSY, account):
        return Answer(500, {"reason": "system is error"})
    if content is None:
        return BAD_REQUEST
    now = platform.clock()
    repeated = account.uuids.get(uuid)
    if repeated is not None and platform.settings.repeated_uuid is RepeatedUuid.SAME:
        return Answer(200, {"messageId": repeated, "createAt": now})
    ids = [_bare(str(receiver)) for receiver in receivers]
    others = [other for other in ids if other != account.id]
    known = account.conversations.get(_bare(cid))
    peer = others[0] if others else known.peer if known is not None else account.id
    message = Message(
        id=platform.new_message_id(),
        conversation=_bare(cid),
        sender=account.id,
        peer=peer,
        time=now,
        content=content,
    )
    account.uuids[uuid] = message.id
    account.remember(message)
    record = Sent(uuid, message.conversation, message.summary, tuple(ids), message.id, content)
    account.ledger.sent.append(record)

    def push() -> None:
        if account.id in ids:
            account.ledger.echoed.append(message.id)
            context.channel.push([samples.chat(message)])
        for other in others:
            if other in context.channels:
                _pass_on(context, other, message)

    first = platform.settings.echo_before_answer
    return Answer(
        200,
        {"messageId": message.id, "createAt": now},
        before=push if first else None,
        after=None if first else push,
    )


def create(context: Context, body: Any) -> Answer:
    """Find the conversation of a pair, or make it."""
    match body:
        case [{"pairFirst": str(first), "pairSecond": str(second), **rest}, *_]:
            pair = {_bare(first), _bare(second)}
        case _:
            return BAD_REQUEST
    account = context.account
    if account.id not in pair or len(pair) != 2:
        return BAD_REQUEST
    (peer,) = pair - {account.id}
    found = next((c for c in account.conversations.values() if c.peer == peer), None)
    if found is None:
        match rest:
            case {"extension": {"itemId": str(item)}}:
                pass
            case _:
                item = ""
        found = account.conversation(context.platform.new_conversation_id(), peer, item)
    return Answer(200, {"singleChatConversation": _conversation(account, found)})


def list_conversations(context: Context, body: Any) -> Answer:
    """List conversations, newest change first."""
    match body:
        case [int(cursor), int(limit), *_] if limit > 0:
            pass
        case _:
            return BAD_REQUEST
    account = context.account
    ordered = sorted(account.conversations.values(), key=lambda c: c.modified, reverse=True)
    splits = context.platform.settings.page_splits
    taken, more = page(ordered, lambda c: c.modified, before=cursor, limit=limit, splits=splits)
    answer: dict[str, Any] = {
        "hasMore": int(more),
        "nextCursor": taken[-1].modified if taken else 0,
    }
    if taken:
        answer["userConvs"] = [_user_conversation(account, c) for c in taken]
    return Answer(200, answer)


def list_messages(context: Context, body: Any) -> Answer:
    """List the messages of a conversation, newest first."""
    match body:
        case [str(cid), bool(), int(cursor), int(limit), *_] if limit > 0:
            pass
        case _:
            return BAD_REQUEST
    found = context.account.conversations.get(_bare(cid))
    newest_first = reversed(found.messages) if found is not None else iter(())
    settings = context.platform.settings
    before = cursor + settings.history_inclusive
    taken, more = page(
        newest_first, lambda m: m.time, before=before, limit=limit, splits=settings.page_splits
    )
    answer: dict[str, Any] = {
        "hasMore": int(more),
        "nextCursor": taken[-1].time if taken else 0,
        "degradeFailover": 0,
    }
    if taken:
        answer["userMessageModels"] = [model(message) for message in taken]
    return Answer(200, answer)


def mark_read(context: Context, body: Any) -> Answer:
    """Note messages as read; ids must be PNM ids, or a conversation's."""
    match body:
        case [list(ids)] | list(ids) if ids:
            pass
        case _:
            return BAD_REQUEST
    names = [str(name) for name in ids]
    if not all(name.endswith((".PNM", SUFFIX)) for name in names):
        return BAD_REQUEST
    context.account.ledger.read.extend(names)
    return Answer(200, {})


def clear_red_point(context: Context, body: Any) -> Answer:
    """Set conversations to nothing unread."""
    match body:
        case [list(items)]:
            pass
        case _:
            return BAD_REQUEST
    for item in items:
        cid = item.get("cid") if isinstance(item, dict) else item
        found = context.account.conversations.get(_bare(str(cid)))
        if found is not None:
            found.unread = 0
    return Answer(200, {})


def recall(context: Context, body: Any) -> Answer:
    """Take an own message back, for both parties."""
    match body:
        case [str(message_id), *_]:
            message = context.account.find(message_id)
        case _:
            return BAD_REQUEST
    if message is None or message.sender != context.account.id:
        return Answer(400, {"reason": "message not found"})
    return Answer(200, {}, after=lambda: take_back(context.platform, context.channels, message))


def take_back(platform: Platform, channels: dict[str, SyncChannel], message: Message) -> None:
    """Remove a message from every account that has it, and tell them."""
    for channel in channels.values():
        found = channel.account.find(message.id)
        if found is None:
            continue
        channel.account.forget(found)
        if platform.settings.recall_pushes:
            notice = samples.recalled(message.conversation, message.id, platform.clock())
            channel.push([notice])


def _pass_on(context: Context, receiver: str, message: Message) -> None:
    """Push a sent message to a receiver that is an account of this server too."""
    incoming = Message(
        id=message.id,
        conversation=message.conversation,
        sender=message.sender,
        peer=message.sender,
        time=message.time,
        content=message.content,
    )
    channel = context.channels[receiver]
    channel.account.remember(incoming)
    channel.account.ledger.pushed.append(incoming.id)
    channel.push([samples.chat(incoming)])


def _bare(id: str) -> str:  # noqa: A002
    return id.removesuffix(SUFFIX)


def _content(data: str) -> dict[str, Any] | None:
    try:
        content = json.loads(base64.b64decode(data, validate=True))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and "contentType" in content else None


def _conversation(account: AccountState, conversation: Conversation) -> dict[str, Any]:
    return {
        "cid": conversation.id + SUFFIX,
        "pairFirst": account.id + SUFFIX,
        "pairSecond": conversation.peer + SUFFIX,
        "bizType": "1",
        "createAt": conversation.created,
        "extension": {
            "itemId": conversation.item,
            "itemTitle": "测试商品",
            "itemSellerId": account.id,
            "ownerUserId": account.id,
            "extUserId": conversation.peer,
        },
    }


def _user_conversation(account: AccountState, conversation: Conversation) -> dict[str, Any]:
    inner: dict[str, Any] = {
        "modifyTime": conversation.modified,
        "redPoint": conversation.unread,
        "visible": 1,
        "topRank": 0,
        "muteNotification": 0,
        "joinTime": conversation.created,
        "singleChatConversation": _conversation(account, conversation),
    }
    if conversation.messages:
        inner["lastMessage"] = model(conversation.messages[-1])
    return {"type": 1, "singleChatUserConversation": inner}


def model(message: Message) -> dict[str, Any]:
    """Return a message as history lists it."""
    data = base64.b64encode(compact(message.content).encode()).decode()
    kind = 14 if message.content["contentType"] == 14 else 1
    return {
        "readStatus": 1,
        "msgStatus": 1,
        "userExtension": {"needPush": "true"},
        "message": {
            "messageId": message.id,
            "cid": message.conversation + SUFFIX,
            "createAt": message.time,
            "conversationType": 1,
            "sender": {"uid": message.sender + SUFFIX, "tag": 0},
            "content": {
                "contentType": 101,
                "custom": {"type": kind, "summary": message.summary, "data": data},
            },
            "extension": message.notification,
        },
    }


ROUTES: dict[str, Callable[[Context, Any], Answer]] = {
    "/r/SyncStatus/getState": get_state,
    "/r/SyncStatus/ackDiff": ack_diff,
    "/r/MessageSend/sendByReceiverScope": send,
    "/r/SingleChatConversation/create": create,
    "/r/Conversation/listNewestPagination": list_conversations,
    "/r/MessageManager/listUserMessages": list_messages,
    "/r/MessageStatus/read": mark_read,
    "/r/Conversation/clearRedPoint": clear_red_point,
    "/r/MessageManager/recallMessage": recall,
}
