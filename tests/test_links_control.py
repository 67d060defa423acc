"""What links make of pings, pongs and close frames, and how their own frames look."""

from __future__ import annotations

import itertools

import pytest

from raw import CLOSE, CONTINUATION, PING, PONG, TEXT, Peer, close, envelope, frame, served, text
from rawcases import Case, End, breaks, code, happens, lives
from scripted import REGISTER, User
from xyfast._core import Closed, Frame

HELLO, WORLD = envelope("hello"), envelope("world")
TOO_BIG = "Control frame too big (payload must be 125 bytes or less)"
FRAGMENTED = "Fragmented control frame"
NOT_UTF8 = "a text is not UTF-8"


def ends(name: str, sent: bytes | list[bytes], answer: bytes, number: int | None) -> Case:
    """Expect that a link takes it for the server's goodbye."""
    sent = [sent] if isinstance(sent, bytes) else sent
    return Case(name, sent, (), (), answer, End("link", "the server closed the link", number))


PINGS = [
    *[
        lives(f"{size} bytes", frame(PING, bytes(range(size))), pongs=(bytes(range(size)),))
        for size in (0, 1, 2, 124, 125)
    ],
    lives("length in two bytes", frame(PING, b"p", head=b"\x7e\0\1"), pongs=(b"p",)),
    lives("ten in a row", [frame(PING, b"%d" % i) for i in range(10)],
          pongs=tuple(b"%d" % i for i in range(10))),
    lives("between messages", [frame(PING, b"1"), text(HELLO), frame(PING, b"2"), text(WORLD)],
          HELLO, WORLD, pongs=(b"1", b"2")),
    lives("bytes that are no UTF-8", frame(PING, b"\xff\0"), pongs=(b"\xff\0",)),
    *[
        breaks(f"{size} bytes", [text(HELLO), frame(PING, b"p" * size)], 1002, TOO_BIG, HELLO)
        for size in (126, 127, 65536)
    ],
    breaks("a fragment", frame(PING, b"p", fin=False), 1002, FRAGMENTED),
    breaks("a fragment and its continuation",
           [frame(PING, b"p", fin=False), frame(CONTINUATION, b"q")], 1002, FRAGMENTED),
    breaks("one that is answered before one that is too big",
           [frame(PING, b"p"), frame(PING, b"p" * 126)], 1002, TOO_BIG, pongs=(b"p",)),
]  # fmt: skip

PONGS = [
    *[lives(f"{size} bytes", frame(PONG, b"p" * size)) for size in (0, 1, 125)],
    lives("a thousand", [frame(PONG, b"p") * 1000, text(HELLO)], HELLO),
    lives("beside a ping", [frame(PONG, b"1"), frame(PING, b"2"), frame(PONG, b"3")],
          pongs=(b"2",)),
    lives("inside fragments", [frame(TEXT, HELLO[:5].encode(), fin=False), frame(PONG, b"p"),
                               frame(CONTINUATION, HELLO[5:].encode())], HELLO),
    breaks("126 bytes", frame(PONG, b"p" * 126), 1002, TOO_BIG),
    breaks("a fragment", frame(PONG, b"p", fin=False), 1002, FRAGMENTED),
]  # fmt: skip

# 1014 came after RFC 6455 and is answered as one of these.
NOT_SENT = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
SENT = [*range(1000, 1004), *range(1007, 1014), 3000, 3999, 4000, 4999]

GOODBYES = [
    ends("no body", frame(CLOSE), b"", None),
    *[ends(f"{number}", close(number), code(number), number) for number in SENT],
    *[ends(f"{number}", close(number), code(1002), 1002) for number in NOT_SENT],
    ends("a reason", close(1000, "synthetic"), code(1000), 1000),
    ends("the longest reason", close(1000, "€" * 41), code(1000), 1000),
    ends("length in eight bytes", frame(CLOSE, code(1000), head=b"\x7f" + bytes(7) + b"\2"),
         code(1000), 1000),
    ends("a message behind it", [close(1000), text(HELLO)], code(1000), 1000),
    ends("a ping behind it", [close(1000), frame(PING, b"p")], code(1000), 1000),
    ends("another behind it", [close(1000), close(1001)], code(1000), 1000),
    ends("garbage behind it", [close(1000), b"\xff" * 1000], code(1000), 1000),
    ends("half a message behind it", [close(1000), frame(TEXT, HELLO.encode(), fin=False)],
         code(1000), 1000),
    lives("a message before it", text(HELLO), HELLO),
    breaks("one byte", frame(CLOSE, b"\x03"), 1002, "Invalid close sequence"),
    breaks("a reason too long", close(1000, "x" * 124), 1002, TOO_BIG),
    breaks("a fragment", frame(CLOSE, code(1000), fin=False), 1002, FRAGMENTED),
    breaks("a reason that is no UTF-8", close(1000, b"\xff"), 1007, NOT_UTF8),
    breaks("a reason cut in a character", close(1000, b"x\xe2\x82"), 1007, NOT_UTF8),
]  # fmt: skip

CASES = [
    pytest.param(case, id=f"{group}: {case.name}")
    for group, cases in {"pings": PINGS, "pongs": PONGS, "goodbyes": GOODBYES}.items()
    for case in cases
]


@pytest.mark.parametrize("case", CASES)
async def test_control_frames(user: User, case: Case) -> None:
    await happens(user, case)


SHORT = [case for case in PINGS + PONGS + GOODBYES if sum(map(len, case.sent)) < 400]


@pytest.mark.parametrize("manner", ["one", "bytes"])
@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
async def test_control_frames_cut_otherwise(user: User, case: Case, manner: str) -> None:
    await happens(user, case, manner=manner)


async def test_a_flood_of_pings_is_answered_up_to_the_last(user: User) -> None:
    heard: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.register()
        await peer.write(b"".join(frame(PING, b"%d" % number) for number in range(2000)))
        await peer.write(close(1000))
        heard.extend(read.payload for read in await peer.rest() if read.opcode == PONG)

    async with served(script) as url:
        await user.opened(url)
        assert isinstance(await user.next(), Closed)
    # RFC 6455, section 5.5.3: only the newest of several has to be answered.
    numbers = [int(data) for data in heard]
    assert numbers[-1] == 1999
    assert all(a < b for a, b in itertools.pairwise(numbers))


@pytest.mark.parametrize(
    ("answer", "told", "number"),
    [
        ([close(3001)], [], 3001),
        ([close(1000, "synthetic")], [], 1000),
        ([frame(CLOSE)], [], None),
        ([text(HELLO), frame(PING, b"p"), close(3001)], [HELLO], 3001),
        ([frame(CLOSE, b"\x03")], [], None),
        ([text(HELLO), text(HELLO, rsv=1)], [HELLO], None),
        ([text(b"\xff")], [], None),
        ([text(HELLO)], [HELLO], None),
        ([], [], None),
        ([text(HELLO)[:5]], [], None),
    ],
)
async def test_a_link_that_is_closed_ends_however_it_is_answered(
    user: User, answer: list[bytes], told: list[str], number: int | None
) -> None:
    closes: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.register()
        while (read := await peer.read()) is not None and read.opcode != CLOSE:
            pass
        assert read is not None
        closes.append(read.payload)
        for data in answer:
            await peer.write(data)
        peer.hang_up()
        assert await peer.rest() == [], "nothing follows a close frame"

    async with served(script) as url:
        await user.opened(url)
        user.links.close(1, code=3001)
        found: list[str] = []
        while not isinstance(event := await user.next(), Closed):
            assert isinstance(event, Frame)
            found.append(event.text)
    assert (event.trouble, event.reason, event.code) == ("closed", "closed", number)
    assert found == told
    assert closes == [code(3001)]


async def test_texts_go_out_in_masked_frames_of_the_shortest_form(user: User) -> None:
    texts = ["", "x", "€" * 41, "x" * 125, "x" * 126, "x" * 65535, "x" * 65536, "x" * (1 << 20)]
    masks: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.register()
        found: list[str] = []
        while len(found) < len(texts):
            read = await peer.read()
            assert read is not None
            masks.append(read.mask)
            if b'"/!"' not in read.payload:
                found.append(read.payload.decode())
        assert found == texts
        await peer.write(close(1000))
        await peer.rest()

    async with served(script) as url:
        await user.opened(url)
        for data in texts:
            assert user.links.send(1, data)
        assert isinstance(await user.next(), Closed)
    assert len(set(masks)) == len(masks), "no mask serves twice"


async def test_the_handshake_is_what_rfc_6455_asks_for(user: User) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        heads.append(peer.head)

    async with served(script) as url:
        user.links.dial(1, url + "p?q=1", headers=[("Cookie", "a=1")], register=REGISTER)
        assert isinstance(await user.next(), Closed)
    first, *lines = heads[0].decode().split("\r\n")
    assert first == "GET /p?q=1 HTTP/1.1"
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert len(fields) == len(lines), "no header twice"
    del fields["sec-websocket-key"]
    assert fields == {
        "host": url.removeprefix("ws://").removesuffix("/"),
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "cookie": "a=1",
    }
