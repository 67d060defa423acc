"""Tokens, cookies and the human who is asked for them, on real sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from testing_client import jar
from world import ME, running
from xyfast import (
    Account,
    LoginRequired,
    PlatformTokens,
    Settings,
    State,
    StateError,
    Token,
    TokenError,
)
from xyfast.account import format_cookies
from xyfast.instrumentation import Fact, StateChanged
from xyfast.testing import FakeServer, Fault, fast_settings


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


async def test_an_account_that_failed_asks_for_cookies_and_goes_on_with_them(
    server: FakeServer,
) -> None:
    facts: list[Fact] = []

    class Waking(Human):
        """Gives cookies when the server can be reached again."""

        async def credentials(self, *args: Any, **options: Any) -> Account | None:
            await server.up()
            return await super().credentials(*args, **options)

    human = Waking(server)
    async with running(server, credentials=human, hooks=[facts.append]) as world:
        await world.connect()
        await server.down()
        await world.until(lambda: human.asked)
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
    [(_, asked_for_human, _)] = human.asked
    assert not asked_for_human
    moves = [fact.new for fact in facts if isinstance(fact, StateChanged)]
    failed = moves.index(State.FAILED)
    assert moves[:failed].count(State.CONNECTING) == 1 + 5
    assert moves[failed : failed + 4] == [
        State.FAILED,
        State.RECONNECTING,
        State.CONNECTING,
        State.CONNECTED,
    ]


async def test_new_cookies_are_taken_up_beside_the_link_that_lives(server: FakeServer) -> None:
    facts: list[Fact] = []
    async with running(server, hooks=[facts.append]) as world:
        await world.connect()
        for number in range(40):
            server.push_text(ME, str(number))
            await asyncio.sleep(0)
            if number == 20:
                fresh = server.log_in(ME)  # those of before are worthless from here on
                world.client.replace_credentials(Account.from_cookies(fresh))
        await world.until(lambda: len(server.ledger(ME).registrations) == 2)
        await world.until(lambda: len(world.chats) == 40 and server.links(ME) == 1)
        [account] = world.client.accounts
        cookies = jar(format_cookies(account.cookies))
        assert cookies == {**cookies, **jar(fresh)}
    assert sorted(map(int, world.texts)) == list(range(40))
    moves = [fact.new for fact in facts if isinstance(fact, StateChanged)]
    assert moves == [State.CONNECTING, State.CONNECTED, State.DRAINING, State.CLOSED]


@pytest.mark.parametrize(
    "fault", [Fault.HTTP_DROPPED, Fault.HTTP_ERROR, Fault.TRAFFIC_LIMIT, Fault.SIGNATURE_STALE]
)
async def test_while_no_token_is_to_be_had_the_link_of_before_stays(
    server: FakeServer, fault: Fault
) -> None:
    tokens = CountedTokens(fast_settings(server))
    async with running(server, settings={"token_refresh": 0.3}, tokens=tokens) as world:
        await world.connect()
        server.fault(ME, fault)
        await world.until(lambda: tokens.failures > 1)
        server.push_text(ME, "heard")
        await world.until(lambda: world.chats)
        assert len(server.ledger(ME).registrations) == 1
        assert world.client.state(ME) is State.CONNECTED
        server.heal(ME)
        await world.until(lambda: len(server.ledger(ME).registrations) > 1)


async def test_a_human_who_is_needed_for_the_next_token_is_asked_while_the_link_lives(
    server: FakeServer,
) -> None:
    human = Absent()
    async with running(server, credentials=human, settings={"token_refresh": 0.3}) as world:
        await world.connect()
        server.fault(ME, Fault.RISK_CONTROL)
        await world.until(lambda: human.asked)
        calls = len(server.ledger(ME).calls)
        server.push_text(ME, "heard")
        await world.until(lambda: world.chats)
        assert world.client.state(ME) is State.CONNECTED
        server.reset(ME)
        await world.until(lambda: world.client.state(ME) is State.NEEDS_LOGIN)
        assert (len(server.ledger(ME).calls), human.asked) == (calls, 1)
        world.client.replace_credentials(Account.from_cookies(server.log_in(ME)))
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)


class CountedTokens:
    """Counts the calls that give no token."""

    def __init__(self, settings: Settings) -> None:
        self.failures = 0
        self.inner = PlatformTokens(settings)

    async def token(self, account: Account, keep: Callable[[Account], None], /) -> Token:
        try:
            return await self.inner.token(account, keep)
        except TokenError:
            self.failures += 1
            raise


class Absent:
    """A credential source with nobody behind it."""

    asked = 0

    async def credentials(self, *args: Any, **options: Any) -> Account | None:
        self.asked += 1
        return None


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


async def test_without_a_human_the_account_waits_for_new_cookies(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault(ME, Fault.RISK_CONTROL)
    caplog.set_level(logging.INFO)
    async with running(server) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await world.until(lambda: world.client.state(ME) is State.NEEDS_LOGIN)
        assert caplog.text.count("open the message page in the browser") == 1  # it is told once
        assert f"human (account={ME}, reason=FAIL_SYS_USER_VALIDATE, page=" in caplog.text
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
