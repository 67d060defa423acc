"""Pushes, acks, positions and who gets what."""

from __future__ import annotations

import asyncio

import pytest

from testing_client import CID, A, B, get_token, ids, linked, opened, trees
from xyfast.testing import FakeServer, Fault, Redelivery, Replay, ServerSettings, samples

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
    async with FakeServer([A], clock=lambda: 1_767_225_600_000) as server, linked(server) as client:
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
        assert server.summary() == {"pushed": 1, "acked": 1, "replied": 0, "repeated": 0}


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


# AckDiff


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


# Gaps and getState


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


# Redelivery


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
        assert server.summary()["repeated"] >= 1


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


async def test_what_is_lost_is_in_the_history_alone() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        name = server.lose(A, server.message(A, "lost"))
        assert await client.pushed() == []
        [model] = (await client.history())["userMessageModels"]
        assert model["message"]["messageId"] == name
        assert server.ledger(A).pushed == []


async def test_positions_can_run_ahead_of_the_clock() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.jump(A, 7200.0)
        server.push_text(A, "ahead")
        package = (await client.push())["body"]["syncPushPackage"]
        assert package["maxPts"] > (package["timestamp"] + 7_000_000) * 1000
