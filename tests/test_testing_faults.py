from __future__ import annotations

import asyncio
import builtins
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

import xyfast.testing
from testing_client import (
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
from xyfast.errors import StateError
from xyfast.testing import PLANS, FakeServer, Fault, ServerSettings

# Ends of a link


async def test_a_reset_link_ends_without_a_close_frame() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.reset(A)
        with pytest.raises(ConnectionClosedError) as caught:
            await client.receive()
        assert caught.value.rcvd is None
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        await server.wait(lambda: server.links(A) == 0)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4000])
async def test_a_link_is_closed_with_the_code_asked_for(code: int) -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.close_links(A, code, "bye")
        with pytest.raises(ConnectionClosed) as caught:
            await client.receive()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, "bye")


async def test_a_code_that_must_not_be_on_the_wire_is_a_protocol_error() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.close_links(A, 1006)
        with pytest.raises(ConnectionClosedError) as caught:
            await client.receive()
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1002


async def test_a_half_open_link_answers_nothing_and_stays() -> None:
    async with FakeServer([A]) as server:
        async with linked(server, close_timeout=0.1) as client:
            server.half_open(A)
            name = server.push_text(A, "在吗")
            mid = await client.ask("/!")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.socket.recv(), 0.1)
            assert mid
            assert server.links(A) == 1
            assert server.ledger(A).delivered[name] == 1
        async with linked(server) as client:
            assert await client.pushed_ids() == [name]
            assert server.links(A) == 2  # the server has not noticed that the first is gone


async def test_a_half_open_link_is_dropped_when_its_heartbeats_are_missing() -> None:
    async with FakeServer([A], settings=ServerSettings(heartbeat_timeout=0.1)) as server:
        async with linked(server, close_timeout=0.1):
            server.half_open(A)
        await server.wait(lambda: server.links(A) == 0)


async def test_a_cut_frame_ends_the_stream_inside_it() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.cut(A)
        with pytest.raises(ConnectionClosedError) as caught:
            await client.receive()
        assert caught.value.rcvd is None


async def test_an_oversized_frame_breaks_the_limit_of_its_reader() -> None:
    async with FakeServer([A]) as server, linked(server, max_size=1 << 20) as client:
        server.oversize(A, 1 << 20)
        with pytest.raises(ConnectionClosedError) as caught:
            await client.receive()
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1009


async def test_bits_that_no_frame_has_can_be_written() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.write(A, b"\xf1\x05hello")
        with pytest.raises(ConnectionClosedError) as caught:
            await client.receive()
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1002


@pytest.mark.parametrize("lwp", ["/push/kickout", "/s/session/remove"])
async def test_a_kicked_link_is_told_and_hears_nothing_more(lwp: str) -> None:
    async with FakeServer([A, B]) as server, linked(server) as client, linked(server, B) as other:
        server.kick(A, lwp)
        assert (await client.push())["lwp"] == lwp
        server.push_text(A, "在吗")
        assert await client.pushed() == []
        assert await other.pushed() == []


async def test_a_server_that_is_down_refuses_and_comes_back_on_its_ports() -> None:
    async with FakeServer([A]) as server:
        addresses = server.url, server.token_url
        async with linked(server) as client:
            await server.down()
            with pytest.raises(ConnectionClosedError):
                await client.receive()
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await connect(server.url)
            await server.up()
        assert (server.url, server.token_url) == addresses
        async with linked(server) as client:
            name = server.push_text(A, "在吗")
            assert await client.pushed_ids() == [name]


# Standing faults


async def test_a_duplicated_package_comes_twice_under_one_mid() -> None:
    async with FakeServer([A]) as server, linked(server) as client:
        server.fault(A, Fault.DUPLICATE)
        name = server.push_text(A, "在吗")
        first, second = await client.pushed()
        assert first == second
        assert server.ledger(A).delivered[name] == 2
        assert server.summary()["redelivered"] == 1
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
        server.heal(A, Fault.DEAF)
        heard = server.push_text(A, "还有货吗")
        assert await client.pushed_ids() == [heard]


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


# Plans


async def cuts(plan: str, seed: int) -> list[int]:
    """Push thirty messages and return the numbers after which the link was gone."""
    async with FakeServer([A], plan=plan, plan_every=10, seed=seed) as server:
        gone: list[int] = []
        for number in range(30):
            async with linked(server) as client:
                server.push_text(A, str(number))
                try:
                    await client.request("/!")
                except ConnectionClosed:
                    gone.append(number)
        return gone


@pytest.mark.parametrize("plan", ["reset", "close"])
async def test_a_plan_strikes_at_the_same_moments_for_the_same_seed(plan: str) -> None:
    first = await cuts(plan, 1)
    assert 1 <= len(first) <= 6
    assert await cuts(plan, 1) == first


async def test_the_plan_none_strikes_never() -> None:
    assert await cuts("none", 1) == []


async def test_the_half_open_plan_leaves_the_socket_open() -> None:
    async with (
        FakeServer([A], plan="half-open", plan_every=1) as server,
        linked(server, close_timeout=0.1) as client,
    ):
        server.push_text(A, "在吗")
        assert ids(await client.push())
        await client.ask("/!")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.socket.recv(), 0.1)
        assert server.links(A) == 1


@pytest.mark.parametrize(("plan", "fault"), [("duplicate", 2), ("bad-payload", 1)])
async def test_a_plan_can_be_a_standing_fault(plan: str, fault: int) -> None:
    async with FakeServer([A], plan=plan) as server, linked(server) as client:
        server.push_text(A, "在吗")
        pushes = await client.pushed()
        assert len(pushes) == fault
        if plan == "bad-payload":
            assert len(pushes[0]["body"]["syncPushPackage"]["data"]) == 2


def test_the_plans_have_the_names_that_the_command_line_offers() -> None:
    assert list(PLANS) == ["none", "reset", "close", "half-open", "duplicate", "bad-payload"]
    assert all(name == plan.name for name, plan in PLANS.items())


# Life and helpers


async def test_a_condition_that_never_comes_is_a_timeout_with_the_totals() -> None:
    async with FakeServer([A]) as server:
        server.push_text(A, "在吗")
        with pytest.raises(TimeoutError, match=r"within 0.05 s; \{'pushed': 1"):
            await server.wait(lambda: False, timeout=0.05)


async def test_a_condition_may_be_about_the_test_itself() -> None:
    async with FakeServer([A]) as server:
        done: list[int] = []
        asyncio.get_running_loop().call_later(0.03, done.append, 1)
        await server.wait(lambda: done)


async def test_closing_leaves_no_socket_and_keeps_the_ledger() -> None:
    server = FakeServer([A])
    await server.start()
    async with linked(server) as client:
        name = server.push_text(A, "在吗")
        _, plain = await asyncio.open_connection(*server.token_url[7:-3].split(":"))
        await server.close()
        with pytest.raises(ConnectionClosed):
            await client.pushed()
        plain.close()
    assert server.ledger(A).pushed == [name]
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await connect(server.url)


async def test_a_server_is_started_once_and_before_it_is_used() -> None:
    server = FakeServer([A])
    with pytest.raises(StateError):
        server.push_text(A, "在吗")
    await server.start()
    with pytest.raises(StateError):
        await server.start()
    await server.close()


async def test_an_account_that_the_server_does_not_have_is_named() -> None:
    async with FakeServer([A]) as server:
        with pytest.raises(KeyError, match=B):
            server.push_text(B, "在吗")


@pytest.mark.parametrize("missing", ["h11", "websockets"])
def test_a_missing_library_is_named_with_the_install_line(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def fails(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == missing:
            raise ImportError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.startswith("xyfast.testing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", fails)
    with pytest.raises(ImportError, match=rf'{missing}: pip install "xyfast\[testing\]"'):
        importlib.import_module("xyfast.testing")
    assert xyfast.testing.FakeServer is FakeServer
