"""The rows of the table of assumptions, each under its settings."""

from __future__ import annotations

import asyncio
import json

import pytest

from testing_client import (
    BUYER,
    CID,
    IM_KEY,
    NEWEST,
    SEND,
    A,
    B,
    get_token,
    ids,
    linked,
    opened,
    send_body,
    trees,
)
from xyfast.testing import (
    FakeServer,
    Fault,
    OldToken,
    Redelivery,
    RepeatedUuid,
    Replay,
    SecondLink,
    ServerSettings,
    samples,
)

# Rows 3 to 5: registration


async def test_registration_is_answered_with_the_own_id_and_then_an_empty_package() -> None:
    async with FakeServer([A]) as server, opened(server) as client:
        answer = await client.register(await get_token(server))
        assert answer["code"] == 200
        assert answer["headers"]["reg-uid"] == f"{A}@goofish"
        assert answer["headers"]["sid"]
        greeting = await client.push()
        assert greeting["lwp"] == "/s/vulcan"
        assert greeting["body"]["syncPushPackage"]["data"] == []
        assert server.ledger(A).registrations == [("D1", 200)]
        assert server.links(A) == server.links() == 1


async def test_the_greeting_can_be_left_out() -> None:
    async with (
        FakeServer([A], settings=ServerSettings(greeting=False)) as server,
        linked(server) as client,
    ):
        assert await client.pushed() == []


@pytest.mark.parametrize(
    ("device", "key"),
    [
        ("D2", {"app-key": IM_KEY}),
        ("D1", {"app-key": "another"}),
        ("D1", {}),
    ],
)
async def test_token_device_and_key_must_belong_together(device: str, key: dict[str, str]) -> None:
    async with FakeServer([A]) as server, opened(server) as client:
        answer = await client.request("/reg", token=await get_token(server), did=device, **key)
        refusal = 401, {"reason": "device id or appkey is not equal"}
        assert (answer["code"], answer["body"]) == refusal
        assert server.ledger(A).registrations == [(device, 401)]


async def test_an_unknown_or_expired_token_does_not_register() -> None:
    async with FakeServer([A]) as server, opened(server) as client:
        token = await get_token(server)
        server.expire_tokens(A)
        for text in (token, "unknown"):
            answer = await client.register(text)
            assert (answer["code"], answer["body"]["reason"]) == (401, "token is not found")
        assert (await client.request("/!"))["code"] == 401


async def test_header_names_count_in_any_case() -> None:
    async with FakeServer([A]) as server, opened(server) as client:
        token = await get_token(server)
        answer = await client.request("/reg", **{"App-Key": IM_KEY, "TOKEN": token, "Did": "D1"})
        assert answer["code"] == 200


async def test_handshake_fields_that_come_twice_are_tolerated() -> None:
    fields = [("Origin", "https://www.goofish.com")] * 2 + [
        ("Connection", "Upgrade"),
        ("Host", "wss-goofish.dingtalk.com"),
        ("Sec-WebSocket-Version", "13"),
    ]
    async with FakeServer([A]) as server, linked(server, additional_headers=fields) as client:
        assert (await client.request("/!"))["code"] == 200


# Pushes and acks


async def test_a_push_has_the_form_of_the_platform() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        before = server.push_text(A, "在吗")
        pushed = await client.push()
        package = pushed["body"]["syncPushPackage"]
        (entry,) = package["data"]
        assert pushed["lwp"] == "/s/sync"
        assert set(pushed["headers"]) == {"app-key", "mid", "ua", "sid"}
        assert (entry["objectType"], entry["bizType"]) == (40000, 40)
        assert package["maxPts"] // 1000 == pytest.approx(package["timestamp"], abs=1)
        (tree,) = trees(pushed)
        assert tree[1][3] == before
        assert tree[1][10]["reminderContent"] == "在吗"


async def test_positions_rise_strictly_within_one_millisecond() -> None:
    async with (
        FakeServer([A], clock=lambda: 1_767_225_600_000) as server,
        linked(server) as client,
    ):
        for _ in range(3):
            server.push_text(A, "在吗")
        positions = [push["body"]["syncPushPackage"]["maxPts"] for push in await client.pushed()]
        assert positions == sorted(set(positions))
        assert len(positions) == 3


async def test_one_package_carries_several_entries_of_any_kind() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        message = server.message(A, "在吗")
        reminder = samples.red_reminder(CID, "等待卖家发货", message.time)
        names = server.push(A, [message, reminder, "gQEC"], lwp="/s/para")
        pushed = await client.push()
        assert pushed["lwp"] == "/s/para"
        data = pushed["body"]["syncPushPackage"]["data"]
        assert len(data) == len(names) == 3
        assert names[0] == message.id
        assert data[2]["data"] == "gQEC"
        await client.ack(pushed)
        await server.wait(lambda: server.ledger(A).acked == set(names))


async def test_acks_are_noted_once_however_often_they_come() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        name = server.push_text(A, "在吗")
        pushed = await client.push()
        assert server.ledger(A).unacked == {name}
        for _ in range(3):
            await client.ack(pushed)
        await server.wait(lambda: server.ledger(A).repeated_acks == 2)
        ledger = server.ledger(A)
        assert (ledger.acks, ledger.unacked, ledger.delivered[name]) == (1, set(), 1)
        assert server.summary() == {"pushed": 1, "acked": 1, "replied": 0, "redelivered": 0}


async def test_acked_answers_and_frames_that_are_no_envelopes_do_no_harm() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        await client.ack(await client.request("/!"))
        for text in ("hello", "[1,2,3]", '{"lwp":"/!"}', "[" * 100_000):
            await client.socket.send(text)
        assert (await client.request("/!"))["code"] == 200
        assert server.ledger(A).invalid == 4
        assert server.ledger(A).acks == 0


async def test_a_message_in_fragments_is_one_message() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        await client.socket.send(iter(['{"lwp":"/!",', '"headers":', '{"mid":"f 0"}}']))
        assert (await client.receive())["headers"]["mid"] == "f 0"


async def test_accounts_do_not_hear_each_other() -> None:
    async with FakeServer([A, B]) as server, linked(server) as one, linked(server, B) as two:
        name = server.push_text(B, "在吗")
        assert await one.pushed() == []
        assert await two.pushed_ids() == [name]


# Rows 6 and 7: ackDiff


async def test_without_ack_diff_pushes_come_unless_the_server_is_strict() -> None:
    async with (
        FakeServer([A], settings=ServerSettings(push_before_ack_diff=False)) as server,
        linked(server) as client,
    ):
        start = server.clock() * 1000 - 1
        name = server.push_text(A, "在吗")
        assert await client.pushed() == []
        await client.ack_diff(start)
        assert await client.pushed_ids() == [name]
        later = server.push_text(A, "还有货吗")
        assert await client.pushed_ids() == [later]


async def test_an_old_position_brings_what_came_after_it_in_order() -> None:
    settings = ServerSettings(package_size=2)
    async with FakeServer([A], settings=settings) as server:
        async with linked(server) as client:
            server.push_text(A, "0")
            pushed = await client.push()
            await client.ack(pushed)
            position = pushed["body"]["syncPushPackage"]["maxPts"]
        await server.wait(lambda: not server.links(A))
        names = [server.push_text(A, str(number)) for number in range(1, 6)]
        async with linked(server) as client:
            assert await client.pushed() == []
            answer = await client.ack_diff(position)
            assert answer["body"]["syncExtraType"] == {"type": 3}
            replayed = await client.pushed()
            assert [name for push in replayed for name in ids(push)] == names
            more = [push["body"]["syncPushPackage"]["hasMore"] for push in replayed]
            assert more == [1, 1, 0]


async def test_the_replay_can_come_in_the_answer() -> None:
    async with FakeServer([A], settings=ServerSettings(replay=Replay.ANSWER)) as server:
        names = [server.push_text(A, str(number)) for number in range(3)]
        async with linked(server) as client:
            answer = await client.ack_diff(0)
            assert ids(answer) == names
            assert await client.pushed() == []
            await client.ack(answer)
            await server.wait(lambda: server.ledger(A).acked == set(names))


async def test_the_replay_can_be_missing() -> None:
    async with FakeServer([A], settings=ServerSettings(replay=Replay.NOTHING)) as server:
        name = server.push_text(A, "在吗")
        async with linked(server) as client:
            await client.ack_diff(0)
            assert await client.pushed() == []
            (model,) = (await client.history())["userMessageModels"]
            assert model["message"]["messageId"] == name


async def test_a_position_of_now_throws_away_what_came_before() -> None:
    async with FakeServer([A]) as server:
        name = server.push_text(A, "在吗")
        async with linked(server) as client:
            state = (await client.request("/r/SyncStatus/getState", [{"topic": "sync"}]))["body"]
            await client.ack_diff(state["pts"])
            assert await client.pushed() == []
        ledger = server.ledger(A)
        assert (ledger.skipped, ledger.acked) == ({name}, set())


async def test_what_is_in_flight_on_a_link_is_not_replayed_on_it() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        name = server.push_text(A, "在吗")
        await client.ack_diff(0)
        assert await client.pushed_ids() == [name]


@pytest.mark.parametrize("body", [None, [], [{}], [{"pts": "soon"}], {"pts": 1}])
async def test_an_ack_diff_without_position_is_refused(body: object) -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        assert (await client.request("/r/SyncStatus/ackDiff", body))["code"] == 400


# Rows 9 and 10: gaps and getState


async def test_a_gap_longer_than_kept_is_announced_and_leads_to_the_newest_position() -> None:
    async with FakeServer([A], settings=ServerSettings(kept=3)) as server:
        names = [server.push_text(A, str(number)) for number in range(5)]
        async with linked(server) as client:
            await client.ack_diff(1)
            (gap,) = await client.pushed()
            assert gap["body"]["syncExtraType"] == {"type": 1}
            assert gap["body"]["syncPushPackage"]["data"] == []
            state = (await client.request("/r/SyncStatus/getState", [{"topic": "sync"}]))["body"]
            assert state["pts"] == gap["body"]["syncPushPackage"]["maxPts"]
            assert (await client.request("/r/SyncStatus/ackDiff", [state]))["code"] == 200
            assert await client.pushed() == []
            models = (await client.history())["userMessageModels"]
            assert [model["message"]["messageId"] for model in models] == names[::-1]


async def test_entries_are_kept_for_a_time() -> None:
    now = 1_767_225_600_000
    settings = ServerSettings(kept_for=60.0)
    async with FakeServer([A], settings=settings, clock=lambda: now) as server:
        server.push_text(A, "在吗")
        now += 61_000
        async with linked(server) as client:
            await client.ack_diff(1)
            (gap,) = await client.pushed()
            assert gap["body"]["syncExtraType"] == {"type": 1}


async def test_a_gap_can_be_announced_at_any_time() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.announce_gap(A)
        (gap,) = await client.pushed()
        assert gap["body"]["syncExtraType"] == {"type": 1}


async def test_get_state_can_hold_what_is_uncertain() -> None:
    async with FakeServer([A], settings=ServerSettings(state_compensates=True)) as server:
        name = server.push_text(A, "在吗")
        async with linked(server) as client:
            answer = await client.request("/r/SyncStatus/getState", [{"topic": "sync"}])
            assert ids(answer) == [name]


# Rows 11 and 12: redelivery


async def test_an_unacked_push_comes_again_on_the_same_link() -> None:
    async with (
        FakeServer([A], settings=ServerSettings(redelivery_after=0.05)) as server,
        linked(server) as client,
    ):
        name = server.push_text(A, "在吗")
        first, second = await client.push(), await client.push()
        assert ids(first) == ids(second) == [name]
        await client.ack(first)
        await server.wait(lambda: name in server.ledger(A).acked)
        third = server.push_text(A, "还有货吗")
        while (last := await client.push()) and ids(last) != [third]:
            assert ids(last) == [name]
        assert server.summary()["redelivered"] >= 1


@pytest.mark.parametrize("redelivery", Redelivery)
async def test_after_a_reconnect_unacked_pushes_come_again_unless_never(
    redelivery: Redelivery,
) -> None:
    async with FakeServer([A], settings=ServerSettings(redelivery=redelivery)) as server:
        async with linked(server) as client:
            acked, lost = server.push_text(A, "0"), server.push_text(A, "1")
            await client.ack(await client.push())
            await server.wait(lambda: server.ledger(A).acked == {acked})
        await server.wait(lambda: not server.links(A))
        async with linked(server) as client:
            again = [] if redelivery is Redelivery.NEVER else [lost]
            assert await client.pushed_ids() == again


async def test_a_position_confirms_what_was_delivered() -> None:
    async with FakeServer([A]) as server:
        async with linked(server) as client:
            name = server.push_text(A, "在吗")
            position = (await client.push())["body"]["syncPushPackage"]["maxPts"]
        await server.wait(lambda: not server.links(A))
        async with opened(server) as client:
            await client.register(await get_token(server))
            await client.ack_diff(position)
            ledger = server.ledger(A)
            assert (ledger.acked, ledger.skipped) == ({name}, set())


async def test_only_what_is_due_comes_again() -> None:
    loop = asyncio.get_running_loop()
    async with (
        FakeServer([A], settings=ServerSettings(redelivery_after=0.3)) as server,
        linked(server),
    ):
        old, between = server.push_text(A, "0"), loop.time() + 0.2
        await server.wait(lambda: loop.time() > between)
        new = server.push_text(A, "1")
        delivered = server.ledger(A).delivered
        await server.wait(lambda: delivered[old] == 2)
        assert delivered[new] == 1


async def test_redelivery_waits_for_a_link_that_hears() -> None:
    async with (
        FakeServer([A], settings=ServerSettings(redelivery_after=0.05)) as server,
        linked(server),
    ):
        name = server.push_text(A, "在吗")
        delivered = server.ledger(A).delivered
        loop = asyncio.get_running_loop()
        server.fault(A, Fault.DEAF)
        later = loop.time() + 0.2
        await server.wait(lambda: loop.time() > later)
        assert delivered[name] == 1
        server.heal(A)
        await server.wait(lambda: delivered[name] > 1)


async def test_a_strict_server_redelivers_at_the_first_ack_diff() -> None:
    settings = ServerSettings(push_before_ack_diff=False, replay=Replay.NOTHING)
    async with FakeServer([A], settings=settings) as server:
        async with linked(server) as client:
            await client.ack_diff(1)
            name = server.push_text(A, "在吗")
            assert await client.pushed_ids() == [name]
        await server.wait(lambda: not server.links(A))
        async with linked(server) as client:
            assert await client.pushed() == []
            await client.ack_diff(1)
            assert await client.pushed_ids() == [name]


# Rows 14 to 16: sends


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
        assert ledger.sent == [("-17672256000001", CID, "你好", (BUYER, A), name)]
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


# Rows 17 to 19: second links and old tokens


@pytest.mark.parametrize("same", [True, False], ids=["same-device", "other-device"])
@pytest.mark.parametrize("policy", SecondLink)
async def test_two_links_of_an_account_share_pushes_as_told(policy: SecondLink, same: bool) -> None:
    settings = ServerSettings(
        same_device=policy if same else SecondLink.NEWEST,
        other_device=SecondLink.NEWEST if same else policy,
        old_token=OldToken.LIVES,
    )
    async with (
        FakeServer([A], settings=settings) as server,
        linked(server) as old,
        linked(server, device="D1" if same else "D2") as new,
    ):
        names = [server.push_text(A, str(number)) for number in range(4)]
        if policy is SecondLink.KICK:
            assert (await old.push())["lwp"] == "/push/kickout"
        heard = [await old.pushed_ids(), await new.pushed_ids()]
        assert server.links(A) == 2
        if policy is SecondLink.BOTH:
            assert heard == [names, names]
        elif policy is SecondLink.SHARE:
            assert [len(part) for part in heard] == [2, 2]
            assert sorted(heard[0] + heard[1]) == names
        else:
            assert heard == [[], names]


async def test_the_older_link_hears_again_when_the_newer_one_is_gone() -> None:
    settings = ServerSettings(old_token=OldToken.LIVES)
    async with FakeServer([A], settings=settings) as server, linked(server) as old:
        async with linked(server):
            pass
        await server.wait(lambda: server.links(A) == 1)
        name = server.push_text(A, "在吗")
        assert await old.pushed_ids() == [name]


async def test_the_newest_link_decides_which_device_is_the_newest() -> None:
    settings = ServerSettings(other_device=SecondLink.NEWEST, old_token=OldToken.LIVES)
    async with (
        FakeServer([A], settings=settings) as server,
        linked(server, device="D1"),
        linked(server, device="D2") as other,
        linked(server, device="D1") as newest,
    ):
        name = server.push_text(A, "在吗")
        assert await other.pushed() == []
        assert await newest.pushed_ids() == [name]


async def test_a_link_that_registers_again_is_one_link() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        await client.register(await get_token(server))
        assert (await client.push())["lwp"] == "/s/vulcan"
        assert server.links(A) == 1
        name = server.push_text(A, "在吗")
        assert await client.pushed_ids() == [name]


@pytest.mark.parametrize("old_token", OldToken)
@pytest.mark.parametrize("how", ["expired", "replaced"])
async def test_a_link_with_an_old_token_is_deaf_refused_or_well(
    old_token: OldToken, how: str
) -> None:
    async with (
        FakeServer([A], settings=ServerSettings(old_token=old_token)) as server,
        linked(server) as client,
    ):
        await get_token(server, device="another")
        assert (await client.request("/!"))["code"] == 200
        if how == "expired":
            server.expire_tokens(A)
        else:
            await get_token(server)
        name = server.push_text(A, "在吗")
        answer = await client.request("/!")
        assert answer["code"] == (401 if old_token is OldToken.UNAUTHORISED else 200)
        heard = [pushed for push in client.pushes for pushed in ids(push)]
        assert heard == ([name] if old_token is OldToken.LIVES else [])
        async with opened(server) as new:
            await new.register(await get_token(server))
            await new.push()
            await new.ack_diff(1)
            assert name in await new.pushed_ids()


# Rows 20, 21, 24, 25: heartbeats, flow control, the life of a link


async def test_heartbeats_are_answered_at_once_with_the_server_s_time() -> None:
    now = 1_767_225_600_000
    async with FakeServer([A], clock=lambda: now) as server, linked(server) as client:
        answer = await client.request("/!")
        assert answer["code"] == 200
        assert "body" not in answer
        assert answer["headers"]["server-timestamp"] == str(now)
        assert server.ledger(A).heartbeats == 1


async def test_a_link_without_heartbeats_is_closed_and_one_with_them_is_not() -> None:
    async with (
        FakeServer([A], settings=ServerSettings(heartbeat_timeout=0.5)) as server,
        linked(server, device="D2") as silent,
        linked(server) as beating,
    ):
        loop = asyncio.get_running_loop()
        start = loop.time()
        while server.links(A) == 2 or loop.time() < start + 1.0:
            await beating.request("/!")
        await silent.socket.wait_closed()
        assert silent.socket.protocol.close_code == 1000
        assert (await beating.request("/!"))["code"] == 200


async def test_requests_too_soon_after_registration_are_throttled() -> None:
    async with (
        FakeServer([A], settings=ServerSettings(quiet_time=60.0)) as server,
        linked(server) as client,
    ):
        answer = await client.request("/r/SyncStatus/getState", [{"topic": "sync"}])
        assert answer["body"]["code"] == "400600001"
        assert (await client.request("/!"))["code"] == 200


async def test_the_server_ends_a_link_after_its_life() -> None:
    async with (
        FakeServer([A], settings=ServerSettings(link_life=0.1)) as server,
        linked(server) as client,
    ):
        await client.socket.wait_closed()
        assert client.socket.protocol.close_code == 1000


# Rows 22 and 23: history and conversations


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
    async with (
        FakeServer([A], clock=lambda: 1_767_225_600_000) as server,
        linked(server) as client,
    ):
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


# Read marks, row 26 and what is not known


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
