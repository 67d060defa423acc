"""Registration, heartbeats and the life of a link."""

from __future__ import annotations

import asyncio

import pytest

from testing_client import IM_KEY, A, get_token, ids, linked, opened
from xyfast.testing import FakeServer, OldToken, SecondLink, ServerSettings

# Registration


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
    ("device", "key"), [("D2", {"app-key": IM_KEY}), ("D1", {"app-key": "another"}), ("D1", {})]
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


# Heartbeats, flow control, the life of a link


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


# Second links and old tokens


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
