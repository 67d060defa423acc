from __future__ import annotations

import asyncio
import http.client
import json
from urllib.parse import unquote, urlsplit

import pytest

from testing_client import TOKEN, A, B, HttpAnswer, call, get_token, jar, opened, token_data
from xyfast.testing import FakeServer, Fault, ServerSettings

DATA = token_data("D1")


async def ask(server: FakeServer, cookies: str, data: str = DATA, api: str = TOKEN) -> HttpAnswer:
    return await asyncio.to_thread(call, server, api, data, cookies)


def without(cookies: str, name: str) -> str:
    return "; ".join(f"{key}={value}" for key, value in jar(cookies).items() if key != name)


def merged(cookies: str, answer: HttpAnswer) -> str:
    changed = jar(cookies)
    for line in answer.set_cookies:
        changed |= jar(line.partition(";")[0])
    return "; ".join(f"{key}={value}" for key, value in changed.items())


async def test_a_signed_call_gets_a_url_encoded_token() -> None:
    async with FakeServer([A]) as server:
        answer = await ask(server, server.cookies(A))
        assert answer.status == 200
        assert answer.json["api"] == TOKEN
        assert answer.ret == "SUCCESS::调用成功"
        token = answer.json["data"]["accessToken"]
        assert "%2B" in token
        assert unquote(token) != token
        assert answer.json["data"]["accessTokenExpiredTime"] == "86400000"
        assert server.ledger(A).calls == [(TOKEN, "SUCCESS")]


async def test_a_missing_signing_cookie_is_set_by_the_refusal() -> None:
    async with FakeServer([A]) as server:
        cookies = without(server.cookies(A), "_m_h5_tk")
        answer = await ask(server, cookies)
        assert "FAIL_SYS_TOKEN_EMPTY" in answer.ret
        assert {line.partition("=")[0] for line in answer.set_cookies} == {
            "_m_h5_tk",
            "_m_h5_tk_enc",
        }
        assert "SUCCESS" in (await ask(server, merged(cookies, answer))).ret


async def test_an_old_signing_cookie_is_replaced_by_the_refusal() -> None:
    async with FakeServer([A]) as server:
        cookies = server.cookies(A)
        server.expire_signatures(A)
        answer = await ask(server, cookies)
        assert "FAIL_SYS_TOKEN_EXOIRED" in answer.ret
        assert "SUCCESS" in (await ask(server, merged(cookies, answer))).ret


async def test_a_signing_cookie_ages_by_the_clock_of_the_server() -> None:
    now = 1_767_225_600_000
    async with FakeServer([A], clock=lambda: now) as server:
        cookies = server.cookies(A)
        assert "SUCCESS" in (await ask(server, cookies)).ret
        now += int(server.settings.signing_life * 1000)
        assert "FAIL_SYS_TOKEN_EXOIRED" in (await ask(server, cookies)).ret


@pytest.mark.parametrize("wrong", [{"sign": "0" * 32}, {"key": "12574478"}])
async def test_a_wrong_signature_or_key_is_refused(wrong: dict[str, str]) -> None:
    async with FakeServer([A]) as server:
        cookies = server.cookies(A)
        answer = await asyncio.to_thread(call, server, TOKEN, DATA, cookies, **wrong)
        assert "FAIL_SYS_ILLEGAL_REQUEST" in answer.ret


@pytest.mark.parametrize("data", ['{"appKey":"1","deviceId":"D1"}', token_data(""), "[]", "{"])
async def test_a_token_call_without_key_or_device_is_refused(data: str) -> None:
    async with FakeServer([A]) as server:
        assert "FAIL_SYS_ILLEGAL_REQUEST" in (await ask(server, server.cookies(A), data)).ret


@pytest.mark.parametrize("lost", ["unb", "cookie2"])
async def test_cookies_without_a_login_are_a_session_that_expired(lost: str) -> None:
    async with FakeServer([A]) as server:
        answer = await ask(server, without(server.cookies(A), lost))
        assert "FAIL_SYS_SESSION_EXPIRED" in answer.ret


async def test_risk_control_lasts_until_a_human_has_logged_in() -> None:
    async with FakeServer([A, B]) as server:
        old = server.cookies(A)
        server.fault(A, Fault.RISK_CONTROL)
        for _ in range(2):
            answer = await ask(server, old)
            assert "FAIL_SYS_USER_VALIDATE" in answer.ret
            assert "RGV587_ERROR" in answer.ret
            assert "punish" in answer.json["data"]["url"]
        assert "SUCCESS" in (await ask(server, server.cookies(B))).ret
        new = server.log_in(A)
        assert "SUCCESS" in (await ask(server, new)).ret
        assert "FAIL_SYS_SESSION_EXPIRED" in (await ask(server, old)).ret


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.SESSION_EXPIRED, "FAIL_SYS_SESSION_EXPIRED"),
        (Fault.TRAFFIC_LIMIT, "FAIL_SYS_TRAFFIC_LIMIT"),
        (Fault.SIGNATURE_STALE, "FAIL_SYS_TOKEN_EXOIRED"),
    ],
)
async def test_a_fault_of_the_gateway_is_one_account_s_until_healed(
    fault: Fault, code: str
) -> None:
    async with FakeServer([A, B]) as server:
        server.fault(A, fault)
        assert code in (await ask(server, server.cookies(A))).ret
        assert "SUCCESS" in (await ask(server, server.cookies(B))).ret
        server.heal(A, fault)
        assert "SUCCESS" in (await ask(server, server.cookies(A))).ret


async def test_a_gateway_in_trouble_answers_502_or_nothing() -> None:
    async with FakeServer([A]) as server:
        cookies = server.cookies(A)
        server.fault(None, Fault.HTTP_ERROR)
        answer = await ask(server, cookies)
        assert answer.status == 502
        assert "html" in answer.text
        server.fault(None, Fault.HTTP_DROPPED)
        with pytest.raises(ConnectionResetError):
            await ask(server, cookies)
        server.heal(None)
        assert (await ask(server, cookies)).status == 200


async def test_a_slow_answer_comes_late() -> None:
    async with FakeServer([A], settings=ServerSettings(slow=0.2)) as server:
        server.fault(None, Fault.HTTP_SLOW)
        loop = asyncio.get_running_loop()
        before = loop.time()
        assert "SUCCESS" in (await ask(server, server.cookies(A))).ret
        assert loop.time() - before >= 0.19


async def test_the_other_calls_answer_in_their_shapes() -> None:
    async with FakeServer([A]) as server:
        cookies = server.cookies(A)
        server.push_text(A, "在吗")
        login = await ask(server, cookies, "{}", "mtop.taobao.idlemessage.pc.loginuser.get")
        assert login.json["data"]["userId"] == A
        query = json.dumps({"sessionId": "70000000011"})
        user = await ask(server, cookies, query, "mtop.taobao.idlemessage.pc.user.query")
        assert user.json["data"]["userInfo"]["userId"] == "9000000000102"
        item = await ask(server, cookies, '{"itemId":"8"}', "mtop.taobao.idle.pc.detail")
        assert item.json["data"]["itemDO"]["itemId"] == "8"
        other = await ask(server, cookies, "{}", "mtop.idle.web.user.page.nav")
        assert other.json["data"] == {}
        assert "SUCCESS" in other.ret


async def test_one_connection_carries_many_calls_with_header_names_in_any_case() -> None:
    async with FakeServer([A]) as server:
        cookies = server.cookies(A)

        def calls() -> list[str]:
            connection = http.client.HTTPConnection(urlsplit(server.token_url).netloc, timeout=5)
            try:
                return [
                    call(
                        server, TOKEN, DATA, cookies, connection=connection, cookie_header=name
                    ).ret
                    for name in ("cookie", "COOKIE", "Cookie")
                ]
            finally:
                connection.close()

        assert await asyncio.to_thread(calls) == ["SUCCESS::调用成功"] * 3


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST /h5/a/1.0/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", b"413"),
    ],
)
async def test_other_requests_get_their_http_status(request_bytes: bytes, status: bytes) -> None:
    async with FakeServer([A]) as server:
        base = urlsplit(server.token_url)
        reader, writer = await asyncio.open_connection(base.hostname, base.port)
        writer.write(request_bytes)
        if status == b"413":
            writer.write(b"x" * 1_100_000)
        line = await asyncio.wait_for(reader.readline(), 5)
        assert line.split()[1] == status
        writer.transport.abort()


async def test_a_cookie_header_sent_twice_counts_as_one() -> None:
    async with FakeServer([A]) as server:
        base = urlsplit(server.token_url)
        one, two = server.cookies(A).split("; ", 1)
        reader, writer = await asyncio.open_connection(base.hostname, base.port)
        head = (
            f"POST /h5/{TOKEN}/1.0/ HTTP/1.1\r\nHost: x\r\nCookie: {one}\r\nCookie: {two}\r\n\r\n"
        )
        writer.write(head.encode())
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        # Signed wrongly, yet by a known account with a known signing cookie.
        assert server.ledger(A).calls == [(TOKEN, "FAIL_SYS_ILLEGAL_REQUEST")]
        writer.transport.abort()


async def test_the_token_registers_whether_or_not_it_was_decoded() -> None:
    async with FakeServer([A]) as server:
        encoded = (await ask(server, server.cookies(A))).json["data"]["accessToken"]
        for token in (encoded, unquote(encoded)):
            async with opened(server) as client:
                assert (await client.register(token))["code"] == 200


async def test_every_token_call_gives_another_token() -> None:
    async with FakeServer([A]) as server:
        assert await get_token(server) != await get_token(server)
