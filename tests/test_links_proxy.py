"""Accounts behind proxies: links and token calls go through, and no login is ever shown."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxies import Proxy, proxying
from scripted import REGISTER, User, idle, registered
from world import ME, OTHER, World
from xyfast import Account, ConfigError, State
from xyfast._core import Closed, Links, check_proxy, post
from xyfast.errors import TokenError
from xyfast.secret import reveal
from xyfast.testing import FakeServer, fast_settings
from xyfast.tokens import PlatformTokens
from xyfast.troubles import LINKS, raised

LOGIN = "me:synthetic@"


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with proxying("me:synthetic") as proxy:
        yield proxy


def places(server: FakeServer) -> list[str]:
    """Where the token call and the link go."""
    return [url.split("/")[2] for url in (server.token_url, server.url)]


async def test_an_account_uses_its_own_proxy_for_its_token_and_its_link(
    server: FakeServer, proxy: Proxy
) -> None:
    world = World(server)
    account = Account.from_cookies(server.cookies(ME), proxy=proxy.url)
    async with world.client:
        await world.client.add(account)
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        assert proxy.asked == places(server)
        await world.connect(OTHER)  # which has none
        assert proxy.asked == places(server)
        server.push_text(ME, "在吗")
        await world.until(lambda: world.chats)


async def test_the_proxy_of_the_settings_is_for_all_who_have_none(
    server: FakeServer, proxy: Proxy
) -> None:
    world = World(server, settings={"proxy": proxy.url})
    async with world.client:
        await world.connect(ME, OTHER)
        assert proxy.asked == places(server) * 2


async def test_an_account_may_go_direct_past_the_proxy_of_the_settings(
    server: FakeServer, proxy: Proxy
) -> None:
    world = World(server, settings={"proxy": proxy.url})
    async with world.client:
        await world.client.add(Account.from_cookies(server.cookies(ME), proxy="direct"))
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        assert proxy.asked == []
        await world.connect(OTHER)
        assert proxy.asked == places(server)
        direct = Account.from_cookies(server.log_in(OTHER), proxy="direct")
        world.client.replace_credentials(direct)
        await world.until(lambda: len(server.ledger(OTHER).registrations) > 1)
        assert proxy.asked == places(server)


async def test_variables_of_the_environment_are_not_read(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    world = World(server)
    async with world.client:
        await world.connect(ME)


async def test_new_cookies_keep_the_proxy(server: FakeServer, proxy: Proxy) -> None:
    world = World(server)
    async with world.client:
        await world.client.add(Account.from_cookies(server.cookies(ME), proxy=proxy.url))
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        world.client.replace_credentials(Account.from_cookies(server.log_in(ME)))
        await world.until(lambda: len(server.ledger(ME).calls) > 1)
        await world.until(lambda: len(proxy.asked) == 4)
        assert proxy.asked == places(server) * 2


async def test_a_proxy_that_refuses_is_an_error_in_the_log_without_its_login(
    server: FakeServer, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.status = "407 x"
    world = World(server, settings={"proxy": proxy.url})
    with caplog.at_level(logging.DEBUG):
        async with world.client:
            await world.client.add(Account.from_cookies(server.cookies(ME)))
            await world.until(lambda: world.client.state(ME) is State.RECONNECTING)
            proxy.status = "200 x"
            await world.until(lambda: world.client.state(ME) is State.CONNECTED)
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage().startswith(
        f"proxy refuses (account={ME}, reason=token call to {places(server)[0]} through "
        f"{proxy.url.rpartition('@')[2]} failed: "
    )
    assert vars(record)["page"] == "reference/errors#proxy-refused"
    assert "synthetic" not in caplog.text


def test_a_proxy_is_never_shown(proxy: Proxy, server: FakeServer) -> None:
    account = Account({"unb": "1"}, proxy=proxy.url)
    assert "synthetic" not in f"{account!r} {account} {fast_settings(server, proxy=proxy.url)!r}"
    for bad in ("synthetic", f"ftp://{LOGIN}h:1", f"http://{LOGIN}h", f"http://{LOGIN}h:1/p"):
        for use in (
            check_proxy,
            lambda url: Account({"unb": "1"}, proxy=url),
            lambda url: fast_settings(server, proxy=url),
        ):
            with pytest.raises(ConfigError, match=r"^proxy ") as caught:
                use(bad)
            assert "synthetic" not in str(caught.value)


def test_a_file_may_name_the_proxy(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(
        'cookies = "unb=1; cookie2=1"\nproxy = "socks5://me:synthetic@127.0.0.1:1080"\n'
    )
    assert reveal(Account.from_file(path).proxy) == "socks5://me:synthetic@127.0.0.1:1080"
    path.write_text('cookies = "unb=1; cookie2=1"\nproxy = "http://me:synthetic@127.0.0.1"\n')
    with pytest.raises(ConfigError, match="proxy needs a port") as caught:
        Account.from_file(path)
    assert "synthetic" not in str(caught.value)


async def test_a_token_call_tells_the_trouble_of_its_proxy(
    server: FakeServer, proxy: Proxy
) -> None:
    tokens = PlatformTokens(fast_settings(server))
    account = Account.from_cookies(server.cookies(ME), device_id="d", proxy=proxy.url)
    for status, code in (("407 x", "proxy-refused"), ("502 x", "proxy")):
        proxy.status = status
        with pytest.raises(TokenError, match="failed: proxy: ") as caught:
            await tokens.token(account, lambda account: None)
        assert caught.value.code == code
        assert "synthetic" not in repr(caught.value)
    proxy.status = "200 x"
    assert (await tokens.token(account, lambda account: None)).value
    down = replace(account, proxy=f"socks5://{LOGIN}127.0.0.1:9")
    with pytest.raises(TokenError, match="proxy: connection refused") as caught:
        await tokens.token(down, lambda account: None)
    assert caught.value.code == "proxy"


@contextlib.contextmanager
def no_descriptors() -> Iterator[int]:
    """This process may open none; gives the limit."""
    free = os.dup(0)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield free
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_links_that_cannot_be_made_say_why() -> None:
    with no_descriptors() as limit, pytest.raises(OSError, match="no links can be made") as caught:
        Links()
    assert caught.value.errno == errno.EMFILE
    assert caught.value.strerror == f"no links can be made: too many open files (limit {limit})"
    assert raised(caught.value) is LINKS["exhausted"]


async def test_a_process_without_descriptors_says_so(user: User) -> None:
    with registered(idle) as url:
        await user.opened(url)  # with which the thread of links has started
        with no_descriptors() as limit:
            user.links.dial(2, url, headers=[], register=REGISTER)
            closed = await user.next()
            with pytest.raises(TokenError) as caught:
                post(url.replace("ws", "http"), headers=[], body=b"", timeout=5.0)
        assert isinstance(closed, Closed)
        assert (closed.trouble, closed.reason) == (
            "exhausted",
            f"too many open files (limit {limit})",
        )
        assert str(caught.value) == f"the call: too many open files (limit {limit})"
        assert caught.value.code == "exhausted"
        await user.opened(url, link=3)
        user.end()
