"""Standing faults."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from websockets.asyncio.client import connect

from testing_client import CID, NEWEST, SEND, A, get_token, ids, linked, opened, send_body, trees
from xyfast.testing import FakeServer, Fault, ServerSettings


async def test_what_is_no_fault_is_refused() -> None:
    async with FakeServer([A]) as server:
        with pytest.raises(TypeError, match=r"members of Fault, such as Fault\.DEAF, not 'DEAF'"):
            server.fault(A, "DEAF")  # type: ignore[arg-type]


async def test_a_duplicated_package_comes_twice_under_one_mid() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(A, Fault.DUPLICATE)
        name = server.push_text(A, "在吗")
        first, second = await client.pushed()
        assert first == second
        assert server.ledger(A).delivered[name] == 2
        assert server.summary()["repeated"] == 1
        server.heal(A)
        server.push_text(A, "还有货吗")
        assert len(await client.pushed()) == 1


async def test_bad_payloads_stand_between_good_ones_and_are_of_both_kinds() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(None, Fault.BAD_PAYLOAD)
        reasons = set()
        for _ in range(2):
            names = server.push(A, [server.message(A, "0"), server.message(A, "1")])
            (pushed,) = await client.pushed()
            entries = pushed["body"]["syncPushPackage"]["data"]
            bad = entries.pop(1)
            assert ids(pushed) == names
            with pytest.raises(ValueError, match=r"incomplete|data characters") as caught:
                trees({"body": {"syncPushPackage": {"data": [bad]}}})
            reasons.add(type(caught.value).__module__)
            await client.ack(pushed)
            await server.wait(lambda: not server.ledger(A).unacked)
        assert len(reasons) == 2


async def test_reordered_entries_and_packages_come_backwards_and_all_come() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(A, Fault.REORDERED)
        names = [
            name
            for _ in range(5)
            for name in server.push(A, [server.message(A, "0"), server.message(A, "1")])
        ]
        heard: list[str] = []
        while len(heard) < len(names):
            heard += ids(await client.push())
        assert heard == [*names[7::-1], *names[:7:-1]]


async def test_a_deaf_account_is_answered_and_gets_no_push() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(A, Fault.DEAF)
        missed = server.push_text(A, "在吗")
        assert await client.pushed() == []
        (model,) = (await client.history())["userMessageModels"]
        assert model["message"]["messageId"] == missed
        await client.ack_diff(1)
        assert await client.pushed() == []
        server.heal(A, Fault.DEAF)
        heard = server.push_text(A, "还有货吗")
        assert await client.pushed_ids() == [heard]


async def test_a_deaf_account_is_not_even_greeted() -> None:
    async with FakeServer([A]) as server, opened(server) as client:
        server.fault(A, Fault.DEAF)
        assert (await client.register(await get_token(server)))["code"] == 200
        assert await client.pushed() == []


async def test_trickled_frames_are_whole_at_the_end() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(A, Fault.TRICKLE)
        names = [server.push_text(A, "在吗"), server.push_text(A, "还有货吗")]
        assert await client.pushed_ids() == names


async def test_every_request_of_an_unauthorised_account_is_answered_with_401() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(A, Fault.UNAUTHORISED)
        for lwp in ("/!", SEND):
            answer = await client.request(lwp)
            assert (answer["code"], answer["body"]["code"]) == (401, "4000001")
        server.push_text(A, "在吗")
        await client.request("/!")
        assert not client.pushes


async def test_unanswered_heartbeats_are_counted_all_the_same() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(A, Fault.HEARTBEAT_UNANSWERED)
        await client.ask("/!")
        answer = await client.request("/r/SyncStatus/getState", [{"topic": "sync"}])
        assert answer["code"] == 200
        assert not client.pushes
        assert server.ledger(A).heartbeats == 1


async def test_slow_handshakes_and_registrations_come_late() -> None:
    async with FakeServer([A], settings=ServerSettings(slow=0.2)) as server:
        token = await get_token(server)
        loop = asyncio.get_running_loop()
        server.fault(None, Fault.SLOW_HANDSHAKE, Fault.SLOW_REGISTRATION)
        before = loop.time()
        async with opened(server) as client:
            between = loop.time()
            assert between - before >= 0.19
            assert (await client.register(token))["code"] == 200
            assert loop.time() - between >= 0.19


async def test_a_client_may_leave_during_a_slow_handshake() -> None:
    async with FakeServer([A], settings=ServerSettings(slow=60.0)) as server:
        server.fault(None, Fault.SLOW_HANDSHAKE)
        with pytest.raises(asyncio.TimeoutError):
            await connect(server.url, open_timeout=0.05)


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        (Fault.REGISTRATION_REFUSED, 401, "invalid token"),
        (Fault.REGISTRATION_LIMITED, 400, "connect limit"),
    ],
)
async def test_registration_is_refused_as_told(fault: Fault, code: int, reason: str) -> None:
    async with FakeServer([A]) as server, opened(server) as client:
        server.fault(A, fault)
        token = await get_token(server)
        answer = await client.register(token)
        assert (answer["code"], answer["body"]["reason"]) == (code, reason)
        server.heal(A)
        assert (await client.register(token))["code"] == 200
        assert [record.code for record in server.ledger(A).registrations] == [code, 200]


async def test_lists_alone_may_be_throttled() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(A, Fault.LISTS_THROTTLED)
        for path, body in (
            ("/r/Conversation/listNewestPagination", [NEWEST, 10]),
            ("/r/MessageManager/listUserMessages", [f"{CID}@goofish", False, NEWEST, 10, False]),
        ):
            answer = await client.request(path, body)
            assert (answer["code"], answer["body"]["code"]) == (400, "400600001")
        assert (await client.ack_diff(1))["code"] == 200


async def test_our_position_may_be_refused_or_swallowed_and_a_mute_server_swallows_all() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(A, Fault.POSITION_REFUSED)
        assert (await client.ack_diff(1))["code"] == 400
        server.heal(A)
        for fault, paths in (
            (Fault.POSITION_UNANSWERED, ["/r/SyncStatus/getState"]),
            (Fault.MUTE, ["/r/SyncStatus/getState", SEND]),
        ):
            server.fault(A, fault)
            for path in paths:
                await client.ask(path, send_body("你好") if path == SEND else [{"topic": "sync"}])
            assert await client.pushed() == []
            server.heal(A)
        assert server.ledger(A).sent == []


@pytest.mark.parametrize(
    ("fault", "code", "body"),
    [
        (Fault.SEND_REFUSED, 200, {"moreInfo": "CSI_FORBID||安全拦截"}),
        (Fault.SEND_BUSY, 500, {"reason": "system is error"}),
        (Fault.FLOW_CONTROL, 400, {"code": "400600001"}),
    ],
)
async def test_sends_are_refused_as_told(fault: Fault, code: int, body: Mapping[str, Any]) -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(A, fault)
        answer = await client.say("你好")
        assert answer["code"] == code
        assert answer["body"].items() >= body.items()
        assert server.ledger(A).sent == []


@pytest.mark.parametrize(
    ("fault", "sent"), [(Fault.SEND_UNANSWERED, ["你好"]), (Fault.SEND_LOST, [])]
)
async def test_an_unanswered_send_is_in_history_or_not(fault: Fault, sent: Sequence[str]) -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(A, fault)
        mid = await client.ask(SEND, send_body("你好"))
        history = (await client.history()).get("userMessageModels", [])
        assert [model["message"]["content"]["custom"]["summary"] for model in history] == sent
        assert [message.text for message in server.ledger(A).sent] == sent
        assert all(push.get("headers", {}).get("mid") != mid for push in client.pushes)


async def test_a_flood_is_whole_and_in_order() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        names = server.flood(A, 1000)
        assert len(names) == 1000
        heard: list[str] = []
        while len(heard) < 1000:
            heard += ids(await client.push())
        assert heard == names
        assert len(server.ledger(A).delivered) == 1000
