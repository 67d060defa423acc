"""The platform's token call, against the fake server's endpoint."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from xyfast.account import Account, make_device_id
from xyfast.config import Settings
from xyfast.errors import ConfigError, LoginRequired, TokenError
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
    assert token.value
    assert "%" not in token.value
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
    secrets = [token.value, mine.device_id or "", *mine.cookies.values()]
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
    assert repr(Token("secret", 5.0)) == "Token(lifetime=5.0)"


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
