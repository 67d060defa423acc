"""What each request is answered."""

from __future__ import annotations

import json

import pytest

from testing_client import BUYER, CID, NEWEST, SEND, A, B, ids, linked, send_body, trees
from xyfast.testing import FakeServer, RepeatedUuid, ServerSettings

# Sends


async def test_a_send_is_answered_and_echoed_under_one_id() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        answer = await client.say("你好", "-17672256000001")
        name = answer["body"]["messageId"]
        assert answer["headers"]["server-timestamp"].isdigit()
        (echo,) = await client.pushed()
        (tree,) = trees(echo)
        assert ids(echo) == [name]
        assert tree[1][1][1] == f"{A}@goofish"
        assert f"peerUserId={BUYER}" in tree[1][10]["reminderUrl"]
        ledger = server.ledger(A)
        [sent] = ledger.sent
        assert sent[:5] == ("-17672256000001", CID, "你好", (BUYER, A), name)
        assert (ledger.echoed, ledger.pushed) == ([name], [])
        assert server.summary()["replied"] == 1


async def test_without_the_own_id_there_is_no_echo() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        await client.say("你好", receivers=(BUYER,))
        assert await client.pushed() == []


async def test_the_echo_can_come_before_the_answer() -> None:
    async with (
        FakeServer([A], settings=ServerSettings(echo_before_answer=True)) as server,
        linked(server) as client,
    ):
        answer = await client.say("你好")
        assert [ids(push) for push in client.pushes] == [[answer["body"]["messageId"]]]


@pytest.mark.parametrize(("policy", "messages"), [(RepeatedUuid.SECOND, 2), (RepeatedUuid.SAME, 1)])
async def test_a_repeated_uuid_makes_a_second_message_or_not(
    policy: RepeatedUuid, messages: int
) -> None:
    async with (
        FakeServer([A], settings=ServerSettings(repeated_uuid=policy)) as server,
        linked(server) as client,
    ):
        first, second = await client.say("你好", "-5"), await client.say("你好", "-5")
        names = {first["body"]["messageId"], second["body"]["messageId"]}
        assert len(names) == len(server.ledger(A).sent) == messages


async def test_a_message_reaches_a_receiver_that_is_an_account_too() -> None:
    async with FakeServer([A, B]) as server, linked(server) as one, linked(server, B) as two:
        answer = await one.say("你好", receivers=(B, A))
        (pushed,) = await two.pushed()
        assert ids(pushed) == [answer["body"]["messageId"]]
        assert trees(pushed)[0][1][10]["senderUserId"] == A
        assert server.ledger(B).pushed == ids(pushed)


@pytest.mark.parametrize(
    "body", [None, [], [{"uuid": "-1"}], [{**send_body("x")[0], "content": 1}, {}]]
)
async def test_a_send_of_another_shape_is_refused(body: object) -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        assert (await client.request(SEND, body))["code"] == 400
        assert server.ledger(A).sent == []


# History and conversations


@pytest.mark.parametrize("inclusive", [False, True])
async def test_history_goes_back_from_the_cursor(inclusive: bool) -> None:
    now = 1_767_225_600_000
    settings = ServerSettings(history_inclusive=inclusive)
    async with (
        FakeServer([A], settings=settings, clock=lambda: now) as server,
        linked(server) as client,
    ):
        names = []
        for number in range(5):
            now += 1000
            names.append(server.push_text(A, str(number)))
        page = await client.history(limit=2)
        listed = [model["message"]["messageId"] for model in page["userMessageModels"]]
        assert (listed, page["hasMore"]) == ([names[4], names[3]], 1)
        page = await client.history(page["nextCursor"], limit=10)
        listed = [model["message"]["messageId"] for model in page["userMessageModels"]]
        assert listed == (names[3::-1] if inclusive else names[2::-1])
        assert page["hasMore"] == 0
        page = await client.history(1)
        assert page == {"hasMore": 0, "nextCursor": 0, "degradeFailover": 0}


async def test_a_page_does_not_end_within_a_millisecond() -> None:
    async with FakeServer([A], clock=lambda: 1_767_225_600_000) as server, linked(server) as client:
        names = server.push(A, [server.message(A, str(number)) for number in range(5)])
        page = await client.history(limit=2)
        listed = [model["message"]["messageId"] for model in page["userMessageModels"]]
        assert (listed, page["hasMore"]) == (names[::-1], 0)


async def test_conversations_are_listed_by_their_newest_change() -> None:
    now = 1_767_225_600_000
    async with FakeServer([A], clock=lambda: now) as server, linked(server) as client:
        for conversation in ("1", "2", "3", "1"):
            now += 1000
            server.push_text(A, "在吗", conversation=conversation)
        path = "/r/Conversation/listNewestPagination"
        page = (await client.request(path, [NEWEST, 2]))["body"]
        listed = [conv["singleChatUserConversation"] for conv in page["userConvs"]]
        assert [one["singleChatConversation"]["cid"] for one in listed] == [
            "1@goofish",
            "3@goofish",
        ]
        assert [one["redPoint"] for one in listed] == [2, 1]
        assert page["hasMore"] == 1
        page = (await client.request(path, [page["nextCursor"], 2]))["body"]
        (last,) = page["userConvs"]
        assert last["singleChatUserConversation"]["singleChatConversation"]["cid"] == "2@goofish"
        page = (await client.request(path, [1, 2]))["body"]
        assert "userConvs" not in page
        await client.request("/r/Conversation/clearRedPoint", [[{"cid": "1@goofish"}]])
        now += 1000
        await client.say("你好")  # in a fourth conversation, and read by its writer
        page = (await client.request(path, [NEWEST, 2]))["body"]
        listed = [conv["singleChatUserConversation"] for conv in page["userConvs"]]
        assert [one["redPoint"] for one in listed] == [0, 0]


async def test_a_pair_has_one_conversation() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        path = "/r/SingleChatConversation/create"
        pair = {"pairFirst": f"{BUYER}@goofish", "pairSecond": f"{A}@goofish"}
        first = (await client.request(path, [{**pair, "extension": {"itemId": "8"}}]))["body"]
        pair = {"pairFirst": f"{A}@goofish", "pairSecond": f"{BUYER}@goofish"}
        assert (await client.request(path, [pair]))["body"] == first
        assert first["singleChatConversation"]["extension"]["itemId"] == "8"
        strangers = {"pairFirst": "1@goofish", "pairSecond": "2@goofish"}
        assert (await client.request(path, [strangers]))["code"] == 400


# Read marks, recalls and what is not known


async def test_reading_takes_message_ids_and_no_note_ids() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        name = server.push_text(A, "在吗")
        assert (await client.request("/r/MessageStatus/read", [[name]]))["code"] == 200
        note = f"{1:032x}"
        assert (await client.request("/r/MessageStatus/read", [[name, note]]))["code"] == 400
        assert server.ledger(A).read == [name]


@pytest.mark.parametrize("told", [True, False])
async def test_a_recalled_message_leaves_history_and_may_be_told(told: bool) -> None:
    async with (
        FakeServer([A, B], settings=ServerSettings(recall_pushes=told)) as server,
        linked(server) as one,
        linked(server, B) as two,
    ):
        name = (await one.say("你好", receivers=(B,)))["body"]["messageId"]
        assert await two.pushed_ids() == [name]
        assert (await one.request("/r/MessageManager/recallMessage", [name]))["code"] == 200
        for client in (one, two):
            assert "userMessageModels" not in await client.history()
            types = [
                entry["objectType"]
                for push in await client.pushed()
                for entry in push["body"]["syncPushPackage"]["data"]
            ]
            assert types == ([40104] if told else [])
        assert (await one.request("/r/MessageManager/recallMessage", [name]))["code"] == 400


async def test_only_own_messages_can_be_recalled() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        name = server.push_text(A, "在吗")
        assert (await client.request("/r/MessageManager/recallMessage", [name]))["code"] == 400
        assert len((await client.history())["userMessageModels"]) == 1


async def test_a_buyer_can_recall_what_the_test_pushed() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        name = server.push_text(A, "在吗")
        server.recall(name)
        pushed, told = await client.pushed()
        assert ids(pushed) == [name]
        assert told["body"]["syncPushPackage"]["data"][0]["objectType"] == 40104
        with pytest.raises(KeyError):
            server.recall(name)


async def test_an_unknown_path_is_refused() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        answer = await client.request("/r/Nobody/knows", [1])
        assert answer["code"] == 400
        assert json.loads(server.ledger(A).received[-1])["lwp"] == "/r/Nobody/knows"
