"""What links make of a server's half of the handshake, and of what stands behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from raw import PING, PONG, Peer, close, envelope, frame, served, switching, text
from rawcases import End
from scripted import REGISTER, User
from xyfast._core import Closed, Frame

Answer = Callable[[bytes], bytes]
"""Makes an answer from what accepts the link's key."""

HELLO, WORLD = envelope("hello"), envelope("world")
HUNG_UP = End("network", "the server hung up during the handshake")


def of(*lines: bytes) -> Answer:
    """Answer with these lines; ``%A`` stands for what accepts the key."""
    return lambda accept: b"\r\n".join([*lines, b"", b""]).replace(b"%A", accept)


FIRST = b"HTTP/1.1 101 Switching Protocols"
UPGRADE, CONNECTION, ACCEPT = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Accept: %A",
)

GOOD: dict[str, Answer] = {
    "as the RFC shows it": switching,
    "names in lower case": of(
        FIRST, b"upgrade: websocket", b"connection: upgrade", b"sec-websocket-accept: %A"
    ),
    "names in upper case": of(
        FIRST, b"UPGRADE: WEBSOCKET", b"CONNECTION: UPGRADE", b"SEC-WEBSOCKET-ACCEPT: %A"
    ),
    "another order": of(FIRST, ACCEPT, CONNECTION, b"Server: x", UPGRADE),
    "no spaces": of(FIRST, b"Upgrade:websocket", b"Connection:Upgrade", b"Sec-WebSocket-Accept:%A"),
    "many spaces": of(
        FIRST, b"Upgrade: \t websocket ", b"Connection:  Upgrade\t", b"Sec-WebSocket-Accept:  %A  "
    ),
    "another phrase": of(
        b"HTTP/1.1 101 Web Socket Protocol Handshake", UPGRADE, CONNECTION, ACCEPT
    ),
    "no phrase": of(b"HTTP/1.1 101", UPGRADE, CONNECTION, ACCEPT),
    "a list of connection tokens": of(FIRST, UPGRADE, b"Connection: keep-alive, Upgrade", ACCEPT),
    "two connection headers": of(FIRST, UPGRADE, b"Connection: keep-alive", CONNECTION, ACCEPT),
    "other headers": of(FIRST, UPGRADE, CONNECTION, ACCEPT, b"Set-Cookie: a=1", b"Empty:"),
    "a hundred headers": of(FIRST, UPGRADE, *[b"X: y"] * 100, CONNECTION, ACCEPT),
    "60 KiB of headers": of(FIRST, UPGRADE, *[b"X: " + b"y" * 1000] * 60, CONNECTION, ACCEPT),
    "a header that is no ASCII": of(FIRST, UPGRADE, CONNECTION, ACCEPT, b"X: \xff\xe9"),
    "bare line feeds": lambda accept: switching(accept).replace(b"\r\n", b"\n"),
}


def broken(reason: str) -> End:
    return End("protocol", f"handshake: {reason}")


def refused(status: str) -> End:
    return End("refused", f"the handshake was answered with {status}", int(status[:3]))


NO_UPGRADE = broken('the answer has no "Upgrade: websocket"')
NO_CONNECTION = broken('the answer has no "Connection: Upgrade"')
NO_ACCEPT = broken("Sec-WebSocket-Accept is missing or wrong")
NO_HTTP = broken("the answer is no HTTP: ")
ENDLESS = broken("the answer is too long")
EXTENSION = broken("the answer has an extension, and none was offered")
SUBPROTOCOL = broken("the answer has a subprotocol, and none was offered")

BAD: dict[str, tuple[Answer, End]] = {
    **{
        status: (of(b"HTTP/1.1 " + status.encode(), b"Content-Length: 0"), refused(status))
        for status in [
            "200 OK",
            "301 Moved Permanently",
            "302 Found",
            "400 Bad Request",
            "401 Unauthorized",
            "403 Forbidden",
            "404 Not Found",
            "407 Proxy Authentication Required",
            "426 Upgrade Required",
            "429 Too Many Requests",
            "500 Internal Server Error",
            "502 Bad Gateway",
            "503 Service Unavailable",
        ]
    },
    "a status without a name": (of(b"HTTP/1.1 799 X"), refused("799 <unknown status code>")),
    "a status with a body": (
        of(b"HTTP/1.1 403 No", b"Content-Length: 9", b"", b"synthetic"),
        refused("403 Forbidden"),
    ),
    "a redirection to a secret": (
        of(b"HTTP/1.1 302 Found", b"Location: /?token=synthetic"),
        refused("302 Found"),
    ),
    "a status beside all the rest": (
        of(b"HTTP/1.1 200 OK", UPGRADE, CONNECTION, ACCEPT),
        refused("200 OK"),
    ),
    "HTTP/1.0 and a status": (of(b"HTTP/1.0 403 Forbidden"), refused("403 Forbidden")),
    "HTTP/1.0": (
        of(b"HTTP/1.0 101 X", UPGRADE, CONNECTION, ACCEPT),
        broken("the answer is not HTTP/1.1"),
    ),
    "no upgrade": (of(FIRST, CONNECTION, ACCEPT), NO_UPGRADE),
    "another upgrade": (of(FIRST, b"Upgrade: h2c", CONNECTION, ACCEPT), NO_UPGRADE),
    "an upgrade with a tail": (of(FIRST, b"Upgrade: websockets", CONNECTION, ACCEPT), NO_UPGRADE),
    "no connection": (of(FIRST, UPGRADE, ACCEPT), NO_CONNECTION),
    "another connection": (of(FIRST, UPGRADE, b"Connection: close", ACCEPT), NO_CONNECTION),
    "no accept": (of(FIRST, UPGRADE, CONNECTION), NO_ACCEPT),
    "an empty accept": (of(FIRST, UPGRADE, CONNECTION, b"Sec-WebSocket-Accept:"), NO_ACCEPT),
    "another accept": (
        of(FIRST, UPGRADE, CONNECTION, b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        NO_ACCEPT,
    ),
    "accept in another case": (
        lambda accept: of(FIRST, UPGRADE, CONNECTION, ACCEPT)(accept.swapcase()),
        NO_ACCEPT,
    ),
    "two accepts": (of(FIRST, UPGRADE, CONNECTION, ACCEPT, ACCEPT), NO_ACCEPT),
    "nothing but a status": (of(FIRST), NO_UPGRADE),
    "an extension": (
        of(FIRST, UPGRADE, CONNECTION, ACCEPT, b"Sec-WebSocket-Extensions: permessage-deflate"),
        EXTENSION,
    ),
    "a subprotocol": (
        of(FIRST, UPGRADE, CONNECTION, ACCEPT, b"Sec-WebSocket-Protocol: chat"),
        SUBPROTOCOL,
    ),
    "garbage": (lambda accept: b"\x16\x03\x01synthetic", NO_HTTP),
    "another protocol": (lambda accept: b"SSH-2.0-x\r\n", NO_HTTP),
    "HTTP/2": (of(b"HTTP/2 101 X", UPGRADE, CONNECTION, ACCEPT), NO_HTTP),
    "a frame": (lambda accept: text(HELLO), NO_HTTP),
    "a name that cannot be": (
        of(FIRST, b"Synthetic name: x", UPGRADE),
        NO_HTTP,
    ),
    "a null in a value": (of(FIRST, b"X: a\0b"), NO_HTTP),
    "too many headers": (of(FIRST, *[b"X: y"] * 200), ENDLESS),
    "a header without end": (lambda accept: FIRST + b"\r\nX: " + b"y" * 70_000, ENDLESS),
    "a first line without end": (
        lambda accept: b"HTTP/1.1 101 " + b"y" * 70_000,
        ENDLESS,
    ),
    "nothing": (lambda accept: b"", HUNG_UP),
    "half of it": (lambda accept: switching(accept)[:60], HUNG_UP),
    "all but the last byte": (lambda accept: switching(accept)[:-1], HUNG_UP),
}


async def closing(user: User, script: Callable[[Peer], Any], **options: Any) -> Closed:
    """Dial a server that the link cannot open."""
    async with served(script) as url:
        user.links.dial(1, url, headers=[("Cookie", "k=synthetic")], register=REGISTER, **options)
        event = await user.next()
    assert isinstance(event, Closed), event
    assert "synthetic" not in event.reason
    assert user.events.empty(), "nothing follows the end"
    return event


async def lives(peer: Peer) -> None:
    """Do what comes behind a good handshake."""
    await peer.register()
    await peer.write(text(HELLO) + close(1000))
    await peer.rest()


async def tells(user: User, script: Callable[[Peer], Any], *texts: str) -> None:
    """Dial a server whose link opens, tells these texts and is closed with code 1000."""
    async with served(script) as url:
        await user.opened(url)
        for expected in texts:
            event = await user.next()
            assert isinstance(event, Frame), event
            assert event.text == expected
        event = await user.next()
    assert isinstance(event, Closed), event
    assert (event.trouble, event.code) == ("link", 1000)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("manner", ["whole", "byte by byte"])
async def test_an_answer_that_opens_the_link(user: User, name: str, manner: str) -> None:
    async def script(peer: Peer) -> None:
        answer = GOOD[name](await peer.request())
        await (peer.write if manner == "whole" or len(answer) > 2000 else peer.trickle)(answer)
        await lives(peer)

    await tells(user, script, HELLO)


@pytest.mark.parametrize("name", BAD)
async def test_an_answer_that_does_not(user: User, name: str) -> None:
    answer, end = BAD[name]

    async def script(peer: Peer) -> None:
        await peer.write(answer(await peer.request()))
        peer.hang_up()
        assert await peer.rest() == [], "no frame before the handshake is over"

    closed = await closing(user, script)
    assert (closed.trouble, closed.code) == (end.trouble, end.code), closed.reason
    if end is NO_HTTP:  # what follows is the parser's
        assert closed.reason.startswith(end.reason)
    else:
        assert closed.reason == end.reason


async def test_an_answer_that_never_ends_is_not_waited_for(user: User) -> None:
    written = 0

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.request()
        await peer.write(FIRST + b"\r\n")
        # More than all buffers on the way hold; whoever reads on would come to its end.
        for _ in range(64):
            if not await peer.write(b"X: " + b"y" * (1 << 20)):
                return
            written += 1

    closed = await closing(user, script)
    assert End(closed.trouble, closed.reason) == ENDLESS
    assert written < 64


@pytest.mark.parametrize("answer", [b"", FIRST, FIRST + b"\r\n" + UPGRADE + b"\r\n"])
async def test_an_answer_that_does_not_come_is_waited_for_until_the_timeout(
    user: User, answer: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(answer)
        assert await peer.rest() == []

    closed = await closing(user, script, open_timeout=0.2)
    assert closed.trouble == "network"
    assert closed.reason == "the server did not answer the handshake in time"


async def test_a_reset_during_the_handshake_is_network_trouble(user: User) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(FIRST)
        peer.reset()

    closed = await closing(user, script)
    assert (closed.trouble, closed.reason) == ("network", "handshake: connection reset")


@pytest.mark.parametrize("manner", ["whole", "byte by byte"])
async def test_frames_in_the_segment_of_the_answer_are_told(user: User, manner: str) -> None:
    pongs: list[bytes] = []

    async def script(peer: Peer) -> None:
        data = switching(await peer.request()) + text(HELLO) + frame(PING, b"p") + text(WORLD)
        await (peer.write(data) if manner == "whole" else peer.trickle(data))
        await peer.register()
        await peer.write(close(1000))
        pongs.extend(read.payload for read in await peer.rest() if read.opcode == PONG)

    await tells(user, script, HELLO, WORLD)
    assert pongs == [b"p"]


async def test_a_fault_in_the_segment_of_the_answer_ends_the_link(user: User) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept(text(HELLO) + text(WORLD, rsv=4))
        await peer.rest()

    async with served(script) as url:
        user.links.dial(1, url, headers=[], register=REGISTER)
        first, last = await user.next(), await user.next()
    assert isinstance(first, Frame)
    assert first.text == HELLO
    assert isinstance(last, Closed)
    assert (last.trouble, last.reason) == ("protocol", "Reserved bits are non-zero")


async def test_links_offer_no_key_twice(user: User) -> None:
    keys: set[bytes] = set()

    async def script(peer: Peer) -> None:
        keys.add(await peer.request())

    for _ in range(5):
        await closing(user, script)
    assert len(keys) == 5
