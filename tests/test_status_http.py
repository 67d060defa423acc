"""The server of the status page: what it reads, and who may hold a connection for how long."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

import visits
from visits import Answer, Viewer, exchange, request, visit
from xyfast import ConfigError
from xyfast.config import address_of
from xyfast.status import server as module
from xyfast.status.http import HEAD_MOST, Refused, Request, Response, parse
from xyfast.status.server import StatusServer

GOOD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8787\r\n\r\n"
BIG = b"x" * (1 << 20)


def head(line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "127.0.0.1") -> bytes:
    named = [] if host is None else [f"Host: {host}"]
    return "\r\n".join((line, *named, *fields, "", "")).encode("latin-1")


# --- what a head says -------------------------------------------------------------------


def test_a_request_is_read() -> None:
    found = parse(head("GET /accounts/a%2Fb/pause?query=%E5%BA%97&x= HTTP/1.1", "X-A:\t1 "))
    assert found.method == "GET"
    assert found.path == ("accounts", "a/b", "pause")
    assert found.query == {"query": "店", "x": ""}
    assert found.fields["x-a"] == "1"


def test_what_a_request_shows_of_itself_holds_no_token() -> None:
    found = parse(head("GET / HTTP/1.1", "Authorization: Bearer canary-canary"))
    assert found.fields["authorization"] == "Bearer canary-canary"
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("GET /"), 400),
        (head("get / HTTP/1.1"), 400),
        (head("GET  / HTTP/1.1"), 400),
        (head("GET / HTTP/1.1 "), 400),
        (head("GET http://127.0.0.1/ HTTP/1.1"), 400),
        (head("GET /\x00 HTTP/1.1"), 400),
        (head("GET /ä HTTP/1.1"), 400),
        (head("GET /%ff HTTP/1.1"), 400),
        (head("GET /?a=%ff HTTP/1.1"), 400),
        (head(f"GET /?{'a=1&' * 50} HTTP/1.1"), 400),
        (head("GET / HTTP/1.2"), 505),
        (head("GET / HTTP/2.0"), 505),
        (head("GET / HTTP/1"), 400),
        (head("GET / HTTP/1.1", "No colon"), 400),
        (head("GET / HTTP/1.1", "Folded: a", " b"), 400),
        (head("GET / HTTP/1.1", "Space : a"), 400),
        (head("GET / HTTP/1.1", "A: b\nC: d"), 400),
        (head("GET / HTTP/1.1", "Host: 127.0.0.1"), 400),
        (head("GET / HTTP/1.1", "Authorization: a", "Authorization: b"), 400),
        (head("GET / HTTP/1.1", *["A: b"] * 65), 431),
        (head("POST / HTTP/1.1", "Content-Length: 1"), 413),
        (head("POST / HTTP/1.1", "Content-Length: -0"), 413),
        (head("POST / HTTP/1.1", "Transfer-Encoding: chunked"), 413),
        (head(host=None), 400),
        (head(host=""), 400),
        (head(host="a b"), 400),
        (head(host="user@127.0.0.1"), 400),
    ],
)
def test_what_is_no_request_for_us_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(Refused) as caught:
        parse(data)
    assert caught.value.status == status


def test_a_line_of_spaces_keeps_nobody_waiting() -> None:
    """It took minutes; here it would meet pytest's timeout."""
    with pytest.raises(Refused):
        parse(head("GET / HTTP/1.1", "A:" + " " * (HEAD_MOST - 100) + "\0"))


def test_a_proxy_may_speak_the_older_version() -> None:
    assert parse(head("GET / HTTP/1.0")).path == ("",)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "127.8.9.1", "localhost:80", "[::1]"])
def test_names_of_this_machine_are_taken(host: str) -> None:
    assert parse(head(host=host)).method == "GET"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8787",
        "192.168.1.4",
        "0.0.0.0",
        "[::]",
        "[2001:db8::1]:80",
        "2130706433",
    ],
)
def test_a_site_that_has_its_name_lead_here_is_refused(host: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(head(host=host))
    assert caught.value.status == 421


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_get_nothing_but_a_link_here(site: str) -> None:
    for mode, wanted in (("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe")):
        asked = f"Sec-Fetch-Site: {site}", f"Sec-Fetch-Mode: {mode}", f"Sec-Fetch-Dest: {wanted}"
        for path in ("/events", "/metrics", "/status.json"):
            with pytest.raises(Refused) as caught:
                parse(head(f"GET {path} HTTP/1.1", *asked))
            assert caught.value.status == 403
    link = f"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"
    assert parse(head("GET / HTTP/1.1", *link)).path == ("",)
    for own in ("same-origin", "none"):
        assert parse(head("GET /events HTTP/1.1", f"Sec-Fetch-Site: {own}")).path == ("events",)


PARTS = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"/", b"/events", b"/%", b"?a=%zz", b" HTTP/1.1"),
        *(b"Host: ", b"127.0.0.1", b"[::1]", b":", b" ", b"Content-Length: 5"),
        *(b"\r\n", b"\n", b"\r", b"\x00", b"\xff", GOOD),
    ]
)
BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.one_of(PARTS, st.binary(max_size=5)), max_size=20).map(b"".join),
)


@given(BYTES)
def test_any_bytes_are_a_request_or_are_refused(data: bytes) -> None:
    try:
        parse(data + b"\r\n\r\n")
    except Refused as error:
        found: int | None = error.status
    else:
        found = None
    assert found in (None, 400, 413, 421, 431, 505)


# --- on sockets -------------------------------------------------------------------------


async def answer(request: Request) -> Response:
    if request.path == ("raise",):
        raise ValueError(request.query["text"])
    return Response(200, b"here you are")


class Events:
    """Gives ``data``, and counts."""

    def __init__(self, data: bytes = b"1") -> None:
        self.data = data
        self.given = 0

    async def __call__(self, request: Request) -> bytes:
        self.given += 1
        return self.data


@asynccontextmanager
async def served(events: Events | None = None, every: float = 0.0) -> AsyncIterator[StatusServer]:
    status = StatusServer("127.0.0.1:0", answer, events or Events(), every=every)
    await status.start()
    try:
        yield status
    finally:
        await status.close()
        assert not status._serving


async def come(status: StatusServer, count: int = 1) -> None:
    """Wait until so many are served."""
    while len(status._serving) < count:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def gone(status: StatusServer) -> None:
    """Wait until nobody is served."""
    while status._serving:
        await asyncio.wait(set(status._serving), timeout=visits.PATIENCE)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What our loggers say, without what asyncio says of a machine that is slow."""
    told = [each for each in caplog.records if each.levelno >= logging.WARNING]
    return [each.getMessage() for each in told if each.name.startswith("xyfast")]


async def test_every_answer_forbids_what_the_page_does_not_need() -> None:
    async with served() as status:
        found = await visit(status.url, "/")
        refused = Answer(await exchange(status.url, b"nonsense\r\n\r\n"))
    assert (found.status, found.text) == (200, "here you are")
    assert (refused.status, refused.json) == (400, {"error": "the first line is no request"})
    for each in (found, refused):
        policy = each.fields["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert each.fields["x-content-type-options"] == "nosniff"
        assert each.fields["cache-control"] == "no-store"
        assert each.fields["connection"] == "close"
        assert "access-control-allow-origin" not in each.fields


async def test_what_fails_is_told_to_the_log_and_not_to_visitors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served() as status:
        found = await visit(status.url, "/raise?text=canary")
    assert found.status == 500
    assert "canary" not in found.text + caplog.text
    [told] = complaints(caplog)
    assert "ValueError" in told


@pytest.fixture(scope="module")
def on_loop() -> Iterator[tuple[asyncio.AbstractEventLoop, StatusServer]]:
    """A server for all examples, on a loop that runs only while one is looked at."""
    loop = asyncio.new_event_loop()
    status = StatusServer("127.0.0.1:0", answer, Events(), every=3600.0)
    loop.run_until_complete(status.start())
    yield loop, status
    loop.run_until_complete(status.close())
    loop.close()


@given(data=BYTES)
def test_any_bytes_get_an_answer_or_an_end(
    on_loop: tuple[asyncio.AbstractEventLoop, StatusServer], data: bytes
) -> None:
    loop, status = on_loop
    failed: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = failed.append  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("xyfast.status.server", "asyncio")]

    async def example() -> bytes:
        finite = data.replace(b"/events", b"/")  # that one has no end
        back = await exchange(status.url, finite, end=True)
        await gone(status)
        return back

    for log in loggers:
        log.addHandler(handler)
    try:
        back = loop.run_until_complete(example())
    finally:
        for log in loggers:
            log.removeHandler(handler)
    assert failed == []
    assert back == b"" or re.match(rb"HTTP/1\.1 [2-5]\d\d [A-Z][A-Za-z ]+\r\n", back)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nA: " + b"a" * HEAD_MOST, 431),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999999\r\n\r\n" + BIG, 413),
    ],
    ids=["a head", "a body"],
)
async def test_what_is_too_large_is_refused_and_not_taken(data: bytes, status: int) -> None:
    async with served() as server:
        assert Answer(await exchange(server.url, data)).status == status


async def test_who_says_nothing_more_is_told_so_and_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    async with served() as status:
        assert Answer(await exchange(status.url, b"GET / HT")).status == 408
        assert Answer(await exchange(status.url, b"")).status == 408


async def test_who_does_not_hang_up_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAVING", 0.05)
    async with served() as status:
        _, writer = await visits.dial(status.url)
        writer.write(request(status.url, "/"))
        await come(status)
        await gone(status)
        writer.close()


async def test_there_are_so_many_connections_and_no_more() -> None:
    async with served() as status:
        idle = [await visits.dial(status.url) for _ in range(module._CONNECTIONS)]
        await come(status, module._CONNECTIONS)
        assert Answer(await exchange(status.url, b"")).status == 503
        for _, writer in idle:
            writer.close()
        await gone(status)
        assert (await visit(status.url, "/")).status == 200


# --- events -----------------------------------------------------------------------------


async def test_events_come_one_after_the_other() -> None:
    async with served(events := Events()) as status:
        viewer = await Viewer.come(status.url)
        assert b"Content-Type: text/event-stream" in await viewer.head()
        assert [await viewer.event() for _ in range(3)] == [1, 1, 1]
        viewer.go()
        await gone(status)
    assert events.given >= 3


async def test_there_are_so_many_viewers_and_no_more() -> None:
    async with served(every=3600.0) as status:
        viewers = [await Viewer.come(status.url) for _ in range(module._VIEWERS)]
        for viewer in viewers:
            await viewer.head()
        late = await visit(status.url, "/events")
        assert (late.status, "status.json" in late.text) == (503, True)
        assert (await visit(status.url, "/")).status == 200
        for viewer in viewers:
            viewer.go()


async def test_a_viewer_that_takes_nothing_is_sent_nothing_more_and_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_TAKING", 0.2)
    async with served(events := Events(BIG * 16)) as status:
        viewer = await Viewer.come(status.url)
        await come(status)
        await gone(status)
        assert events.given == 1  # though they would come without a pause
        assert len(await viewer.rest()) < len(BIG) * 16
        viewer.go()
    assert complaints(caplog) == []


async def test_a_viewer_that_goes_is_nothing_to_complain_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(Events(BIG)) as status:
        viewer = await Viewer.come(status.url)
        await viewer.head()
        viewer.go()
        await gone(status)
    assert complaints(caplog) == []


# --- where it is ------------------------------------------------------------------------


async def test_closing_hangs_up_on_everybody() -> None:
    async with served(every=3600.0) as status:
        viewer = await Viewer.come(status.url)
        await viewer.head()
        _, idle = await visits.dial(status.url)
        url = status.url
        await status.close()
        await viewer.rest()
        assert status.url is None
        with pytest.raises(ConnectionError):
            await visits.dial(url)
        viewer.go()
        idle.close()


@pytest.mark.parametrize("turns", range(6))
async def test_who_comes_while_it_closes_is_hung_up_on(turns: int) -> None:
    """And leaves nothing behind, neither a task nor a socket."""
    async with served() as status:
        assert status.url is not None
        where = urlsplit(status.url)
        with socket.create_connection((where.hostname, where.port), timeout=10.0) as late:
            for _ in range(turns):
                await asyncio.sleep(0)
            await status.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            with contextlib.suppress(ConnectionResetError):
                assert late.recv(1) == b""


async def test_an_address_in_use_is_named() -> None:
    async with served() as status:
        assert status.url is not None
        place = status.url[7:-1]
        other = StatusServer(place, answer, Events())
        with pytest.raises(ConfigError, match=rf"Settings\.status: .*{place}.*another port"):
            await other.start()
        await other.close()


@pytest.mark.parametrize(
    ("status", "place"),
    [
        ("127.0.0.1:8787", ("127.0.0.1", 8787)),
        ("localhost:0", ("127.0.0.1", 0)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_addresses_on_loopback_are_taken(status: str, place: tuple[str, int]) -> None:
    assert address_of(status) == place


@pytest.mark.parametrize(
    "status", ["", "8787", ":8787", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:8787", "a:b"]
)
def test_what_is_no_address_is_a_config_error(status: str) -> None:
    with pytest.raises(ConfigError, match=r"Settings\.status must be host:port"):
        address_of(status)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "[::]", "example.org", "127.0.0.1x"])
def test_an_address_that_others_reach_is_refused_with_what_to_do(host: str) -> None:
    with pytest.raises(ConfigError, match=r"not on loopback.*ssh -L 8787.*reverse proxy"):
        address_of(f"{host}:8787")
