"""Tokens, cookies and the human who is asked for them, on real sockets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from world import ME, fast_settings, running
from xyfast import Account, LoginRequired, PlatformTokens, Settings, State, StateError, Token
from xyfast.testing import FakeServer, Fault


class Human:
    """A credential source that logs in when it is asked."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.asked: list[tuple[str, bool, str | None]] = []

    async def credentials(
        self, account: Account, reason: str, *, human: bool, url: str | None
    ) -> Account | None:
        self.asked.append((reason, human, url))
        return Account.from_cookies(self.server.log_in(account.id))


@pytest.mark.parametrize("fault", [Fault.RISK_CONTROL, Fault.SESSION_EXPIRED])
async def test_a_platform_that_asks_for_a_human_is_asked_nothing_until_he_has_acted(
    server: FakeServer, fault: Fault
) -> None:
    server.fault(ME, fault)
    human = Human(server)
    async with running(server, credentials=human) as world:
        await world.connect()
    [(reason, asked_for_human, _)] = human.asked
    assert asked_for_human
    assert "new cookies" in reason
    refused = [call for call in server.ledger(ME).calls if call.code.startswith("FAIL")]
    assert len(refused) == 1


class Parrot:
    """A credential source that always gives the same cookies."""

    def __init__(self, cookies: str) -> None:
        self.cookies = cookies
        self.asked = 0

    async def credentials(
        self, account: Account, reason: str, *, human: bool, url: str | None
    ) -> Account | None:
        self.asked += 1
        return Account.from_cookies(self.cookies)


async def test_a_hook_with_nothing_new_to_say_does_not_make_us_ask_the_platform_again(
    server: FakeServer,
) -> None:
    server.fault(ME, Fault.RISK_CONTROL)
    parrot = Parrot(server.cookies(ME))
    async with running(server, credentials=parrot) as world:
        await world.client.add(Account.from_cookies(parrot.cookies))
        await world.until(lambda: world.client.state(ME) is State.NEEDS_LOGIN and parrot.asked)
        await world.client.close()
    assert parrot.asked == 1
    assert len(server.ledger(ME).calls) == 1


class BrokenTokens:
    """A token provider that raises something of its own, and then works."""

    def __init__(self, server: FakeServer, settings: Settings) -> None:
        self.failures = 2
        self.inner = PlatformTokens(settings)

    async def token(self, account: Account, keep: Callable[[Account], None], /) -> Token:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("as planned")
        return await self.inner.token(account, keep)


async def test_a_token_provider_may_raise_anything_and_is_asked_again(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = BrokenTokens(server, fast_settings(server))
    async with running(server, tokens=tokens) as world:
        await world.connect()
    assert "token provider raised" in caplog.text


async def test_without_a_human_the_account_waits_for_new_cookies(server: FakeServer) -> None:
    server.fault(ME, Fault.RISK_CONTROL)
    async with running(server) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await world.until(lambda: world.client.state(ME) is State.NEEDS_LOGIN)
        world.client.replace_credentials(Account.from_cookies(server.log_in(ME)))
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        with pytest.raises(StateError, match="never added"):
            world.client.replace_credentials(Account.from_cookies("unb=1"))


async def test_refused_registrations_fail_the_account_after_one_new_token(
    server: FakeServer,
) -> None:
    server.fault(ME, Fault.REGISTRATION_REFUSED)
    async with running(server) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await world.until(lambda: world.client.state(ME) is State.FAILED)
        assert [r.code for r in server.ledger(ME).registrations] == [401, 401]


class OwnTokens:
    """A token provider of the user's."""

    async def token(self, account: Account, keep: Callable[[Account], None], /) -> Token:
        raise LoginRequired("ask the user", "OWN")


async def test_a_token_provider_of_the_user_is_used(server: FakeServer) -> None:
    async with running(server, tokens=OwnTokens()) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await world.until(lambda: world.client.state(ME) is State.NEEDS_LOGIN)
