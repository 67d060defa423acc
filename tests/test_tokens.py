"""The platform's token call, against the fake server's endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from xyfast.account import Account, make_device_id
from xyfast.config import Settings
from xyfast.errors import ConfigError, LoginRequired, TokenError
from xyfast.secret import reveal
from xyfast.testing import FakeServer, Fault
from xyfast.tokens import PlatformTokens, Token, sign

ME = "9000000000001"


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer([ME]) as server:
        yield server


def tokens(server: FakeServer, **changes: float) -> PlatformTokens:
    return PlatformTokens(Settings(token_url=server.token_url, **changes))  # type: ignore[arg-type]


def account(server: FakeServer) -> Account:
    device_id = make_device_id(ME, random.Random(1))
    return Account.from_cookies(server.cookies(ME), device_id=device_id)


def without_signature(account: Account) -> Account:
    left = {name: v for name, v in account.cookies.items() if not name.startswith("_m_h5")}
    return replace(account, cookies=left)


def test_the_signature_is_the_platforms() -> None:
    assert sign("synthetic", 1767225600000, "{}") == "792ec1e8ad197c6a9ab0081b7d6b820f"


async def test_gives_a_decoded_token_with_its_lifetime(server: FakeServer) -> None:
    kept: list[Account] = []
    token = await tokens(server).token(account(server), kept.append)
    assert token.value.reveal()
    assert "%" not in token.value.reveal()
    assert token.lifetime == 86_400.0


async def test_a_missing_signing_cookie_is_fetched_and_kept(server: FakeServer) -> None:
    kept: list[Account] = []
    await tokens(server).token(without_signature(account(server)), kept.append)
    assert "_m_h5_tk" in kept[-1].cookies


async def test_a_stale_signing_cookie_is_replaced_and_kept(server: FakeServer) -> None:
    kept: list[Account] = []
    mine = account(server)
    server.expire_signatures(ME)
    await tokens(server).token(mine, kept.append)
    assert kept[-1].cookies["_m_h5_tk"] != mine.cookies["_m_h5_tk"]


@pytest.mark.parametrize("fault", [Fault.RISK_CONTROL, Fault.SESSION_EXPIRED])
async def test_what_only_a_human_can_mend_says_so(server: FakeServer, fault: Fault) -> None:
    server.fault(ME, fault)
    with pytest.raises(LoginRequired) as caught:
        await tokens(server).token(account(server), lambda account: None)
    assert "new cookies" in str(caught.value)
    assert (caught.value.url is not None) == (fault is Fault.RISK_CONTROL)


async def test_traffic_limits_may_pass_by_themselves(server: FakeServer) -> None:
    server.fault(ME, Fault.TRAFFIC_LIMIT)
    with pytest.raises(TokenError) as caught:
        await tokens(server).token(account(server), lambda account: None)
    assert not isinstance(caught.value, LoginRequired)
    assert caught.value.code == "FAIL_SYS_TRAFFIC_LIMIT"


async def test_an_endpoint_that_is_down_is_a_network_trouble(server: FakeServer) -> None:
    await server.down()
    with pytest.raises(TokenError) as caught:
        await tokens(server).token(account(server), lambda account: None)
    assert caught.value.code == "network"
    place = server.token_url.split("/")[2]
    assert str(caught.value) == f"token call to {place} failed: connection refused"
    await server.up()


async def test_nothing_secret_is_in_errors_and_reprs(server: FakeServer) -> None:
    mine = account(server)
    token = await tokens(server).token(mine, lambda account: None)
    server.fault(ME, Fault.SESSION_EXPIRED)
    with pytest.raises(LoginRequired) as caught:
        await tokens(server).token(mine, lambda account: None)
    await server.down()
    with pytest.raises(TokenError) as down:
        await tokens(server).token(mine, lambda account: None)
    shown = f"{token!r} {caught.value!r} {down.value!r} {mine!r}"
    secrets = [reveal(each) for each in (token.value, mine.device_id, *mine.cookies.values())]
    assert [secret for secret in secrets if secret in shown and secret != ME] == []
    await server.up()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.invalid/h5", "in clear"),
        ("ftp://127.0.0.1/h5", "must start with https://"),
        ("nonsense", "must start with https://"),
    ],
)
def test_addresses_that_would_leak_cookies_are_refused(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Settings(token_url=url)


def test_a_token_shows_nothing() -> None:
    assert repr(Token("secret", 5.0)) == "Token(value=<secret>, lifetime=5.0)"


Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def endpoint(handle: Handle, **changes: float) -> AsyncIterator[PlatformTokens]:
    """Tokens from a server that answers as ``handle`` does."""
    tasks: set[asyncio.Task[object]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError):
            await handle(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/h5"
        yield PlatformTokens(Settings(token_url=url, **changes))  # type: ignore[arg-type]
        await asyncio.gather(*tasks)


async def test_a_code_that_quotes_a_cookie_does_not_show_it(server: FakeServer) -> None:
    mine = account(server)
    ret = f"FAIL_{mine.cookies['cookie2'].reveal()}::no"
    body = f'{{"ret":["{ret}"]}}'.encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with endpoint(answer) as provider:
        with pytest.raises(TokenError, match=r"refused: FAIL_<secret>$") as caught:
            await provider.token(mine, lambda account: None)
    assert caught.value.code == "FAIL_<secret>"


async def test_redirects_are_not_followed_with_the_cookies(server: FakeServer) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 302 Found\r\nLocation: " + server.token_url.encode() + b"/elsewhere\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        )

    async with endpoint(answer) as provider:
        with pytest.raises(TokenError):
            await provider.token(account(server), lambda account: None)
    assert server.ledger(ME).calls == []


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 502 Bad\r\nContent-Length: 100\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000,
        b'HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n{"ret":"x", "data": [1, 2]}',
        b"",
    ],
    ids=["nonsense", "cut", "cut chunk", "cut error", "empty", "deep", "odd", "nothing"],
)
async def test_no_answer_of_a_server_is_more_than_a_token_error(
    server: FakeServer, answer: bytes
) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with endpoint(handle) as provider:
        with pytest.raises(TokenError):
            await provider.token(account(server), lambda account: None)


async def test_an_endpoint_that_drips_is_given_up_in_time(server: FakeServer) -> None:
    over = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        while not over.is_set():
            writer.write(b" ")
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(over.wait(), 0.02)

    async with endpoint(drip, token_timeout=0.2) as provider:
        with pytest.raises(TokenError, match=r"no answer within 0\.2 s"):
            await provider.token(account(server), lambda account: None)
        over.set()


async def test_signing_cookies_that_are_never_taken_are_dropped_at_last(
    server: FakeServer,
) -> None:
    server.fault(ME, Fault.SIGNATURE_STALE)
    kept: list[Account] = []
    with pytest.raises(TokenError, match="FAIL_SYS_TOKEN_EXOIRED"):
        await tokens(server).token(account(server), kept.append)
    assert len(server.ledger(ME).calls) == 5
    assert "_m_h5_tk" not in kept[-1].cookies
    assert "cookie2" in kept[-1].cookies


async def test_cookies_that_are_not_latin_are_sent_as_utf_8(server: FakeServer) -> None:
    mine = account(server)
    mine = replace(mine, cookies={**mine.cookies, "nick": "测试"})
    assert (await tokens(server).token(mine, lambda account: None)).value


async def test_a_slow_endpoint_does_not_delay_whoever_gives_up_waiting(server: FakeServer) -> None:
    server.fault(ME, Fault.HTTP_SLOW)
    asking = asyncio.ensure_future(tokens(server).token(account(server), lambda account: None))
    await server.wait(lambda: server.ledger(ME).calls)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize("fault", [Fault.HTTP_ERROR, Fault.HTTP_DROPPED, Fault.SIGNATURE_STALE])
async def test_whatever_else_goes_wrong_is_a_token_error(server: FakeServer, fault: Fault) -> None:
    server.fault(ME, fault)
    with pytest.raises(TokenError) as caught:
        await tokens(server).token(account(server), lambda account: None)
    assert not isinstance(caught.value, LoginRequired)
