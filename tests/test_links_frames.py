"""What links make of messages: lengths, fragments, UTF-8, limits, reserved bits, cuts."""

from __future__ import annotations

import random

import pytest

from raw import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    close,
    envelope,
    fragments,
    frame,
    long,
    sized,
    text,
)
from rawcases import HUNG_UP, Bad, Case, End, breaks, happens, lives
from scripted import User

HELLO, EURO = envelope("hello"), envelope("日本 € 𝄞")
RAW = EURO.encode()
SMALL = {"max_message": 1000, "max_frame": 500}
NOT_UTF8 = "a text is not UTF-8"
RESERVED = "Reserved bits are non-zero"

BAD_UTF8 = {
    "a byte that never is": b"\xff",
    "a continuation byte alone": b"\x80",
    "an overlong slash": b"\xc0\xaf",
    "an overlong null": b"\xe0\x80\x80",
    "a surrogate": b"\xed\xa0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "a character cut short": b"\xe2\x82",
    "a character cut by another": b"\xe2\x82x",
}


def length(size: int) -> Case:
    return lives(f"{size} bytes", text(sized(size)), sized(size))


LENGTHS = [
    lives("0 bytes", text(""), Bad("json", 0)),
    lives("1 byte", text("x"), Bad("json", 1)),
    *map(length, [22, 124, 125, 126, 127, 128, 255, 256, 4095, 4096, 4097]),
    *map(length, [16383, 65534, 65535, 65536, 65537, 1 << 20]),
    # Not the shortest length that does: RFC 6455 forbids it to the sender, and nothing is
    # ambiguous to a receiver.
    lives("22 bytes, length in two", text(envelope(), head=b"\x7e\0\x16"), envelope()),
    lives("22 bytes, length in eight", text(envelope(), head=long(22)), envelope()),
    lives("300 bytes, length in eight", text(sized(300), head=long(300)), sized(300)),
    breaks(
        "a length with its highest bit",
        [text(HELLO), text("x", head=long((1 << 63) + 1))],
        1009,
        f"Message too long: {(1 << 63) + 1} > 1048576",
        HELLO,
    ),
    breaks("2**63 - 1", text("", head=long((1 << 63) - 1)), 1009,
           f"Message too long: {(1 << 63) - 1} > 1048576"),
    breaks("2**32", text("", head=long(1 << 32)), 1009,
           f"Message too long: {1 << 32} > 1048576"),
]  # fmt: skip

LIMITS = [
    lives("a frame of max_frame", text(sized(500)), sized(500), **SMALL),
    breaks("a frame over max_frame", text("", head=b"\x7e\x01\xf5"), 1009,
           "Message too long: 501 > 500", **SMALL),
    lives("fragments of max_message together",
          fragments(TEXT, *[sized(1000).encode()[i : i + 250] for i in range(0, 1000, 250)]),
          sized(1000), **SMALL),
    breaks("fragments over max_message together",
           [text(HELLO), *fragments(TEXT, b"x" * 400, b"x" * 400, b"x" * 201)], 1009,
           "Message too long: 1001 > 1000", HELLO, **SMALL),
    breaks("binary fragments over max_message together",
           fragments(BINARY, b"x" * 500, b"x" * 500, b"x"), 1009,
           "Message too long: 1001 > 1000", **SMALL),
    breaks("a continuation over max_frame",
           [frame(TEXT, b"x", fin=False), frame(CONTINUATION, b"", head=b"\x7e\x01\xf5")], 1009,
           "Message too long: 501 > 500", **SMALL),
    breaks("a message over max_message", text("", head=b"\x7e\x03\xe8") + b"x" * 1000, 1009,
           "Message too long: 1000 > 999", max_message=999),
    breaks("a ping over max_frame", frame(PING, b"", head=b"\x7e\x01\xf5"), 1009,
           "Message too long: 501 > 500", **SMALL),
    lives("many messages, together over max_message", [text(sized(400))] * 50,
          *[sized(400)] * 50, **SMALL),
    lives("a mailbox of one frame", [text(sized(400))] * 20, *[sized(400)] * 20, max_pushes=1),
    lives("a mailbox of one byte", [text(sized(400))] * 20, *[sized(400)] * 20, max_bytes=1),
]  # fmt: skip

FRAGMENTS = [
    lives("two fragments", fragments(TEXT, RAW[:20], RAW[20:]), EURO),
    lives("a fragment for each byte", fragments(TEXT, *[RAW[i : i + 1] for i in range(len(RAW))]),
          EURO),
    lives("an empty fragment first", fragments(TEXT, b"", RAW), EURO),
    lives("an empty fragment in the middle", fragments(TEXT, RAW[:9], b"", RAW[9:]), EURO),
    lives("an empty fragment last", fragments(TEXT, RAW, b""), EURO),
    lives("nothing but empty fragments", fragments(TEXT, b"", b"", b""), Bad("json", 0)),
    lives("thousands of empty fragments", [b"".join(fragments(TEXT, *[b""] * 9999, RAW))], EURO),
    lives("thousands of fragments",
          [b"".join(fragments(TEXT, *[bytes([b]) for b in sized(5000).encode()]))], sized(5000)),
    lives("two messages in fragments",
          [*fragments(TEXT, RAW[:9], RAW[9:]), *fragments(TEXT, b"", HELLO.encode())], EURO, HELLO),
    lives("a ping between fragments",
          [frame(TEXT, RAW[:9], fin=False), frame(PING, b"p"), frame(CONTINUATION, RAW[9:])],
          EURO, pongs=(b"p",)),
    lives("a ping between any two of many fragments",
          [data for part in fragments(TEXT, *[RAW[i : i + 1] for i in range(len(RAW))])
           for data in (frame(PING, b"p"), part)],
          EURO, pongs=(b"p",) * len(RAW)),
    breaks("a continuation of nothing", frame(CONTINUATION, RAW), 1002,
           "Continue frame but nothing to continue"),
    breaks("the start of a continuation of nothing", frame(CONTINUATION, RAW, fin=False), 1002,
           "Continue frame but nothing to continue"),
    breaks("a continuation after a whole message", [text(HELLO), frame(CONTINUATION, RAW)], 1002,
           "Continue frame but nothing to continue", HELLO),
    breaks("a continuation after fragments were over",
           [*fragments(TEXT, RAW[:9], RAW[9:]), frame(CONTINUATION, b"")], 1002,
           "Continue frame but nothing to continue", EURO),
    breaks("a text inside fragments", [frame(TEXT, RAW, fin=False), text(HELLO)], 1002,
           "While waiting for more fragments received: TEXT"),
    breaks("a binary inside fragments", [frame(TEXT, RAW, fin=False), frame(BINARY, b"x")], 1002,
           "While waiting for more fragments received: BINARY"),
    breaks("another start inside fragments", [frame(TEXT, RAW, fin=False)] * 2, 1002,
           "While waiting for more fragments received: TEXT"),
    Case("a close frame inside fragments", [frame(TEXT, RAW, fin=False), close(1001)], (), (),
         b"\x03\xe9", End("link", "the server closed the link", 1001)),
]  # fmt: skip

BINARIES = [
    # Binary is taken for text, which is all that the platform's protocol speaks.
    lives("a binary frame", frame(BINARY, RAW), EURO),
    lives("binary fragments", fragments(BINARY, RAW[:9], b"", RAW[9:]), EURO),
    lives("an empty binary frame", frame(BINARY), Bad("json", 0)),
    lives("a binary frame that is no UTF-8", frame(BINARY, b"\xff\xfe"), Bad("utf8", 2)),
    lives("a binary frame that is no envelope", frame(BINARY, b"{}"), Bad("envelope", 2)),
]

UTF8 = [
    lives("characters of one to four bytes", text(EURO), EURO),
    lives("the last character", text(envelope("\U0010ffff")), envelope("\U0010ffff")),
    lives("a noncharacter", text(envelope("\ufffe")), envelope("\ufffe")),
    lives("a byte order mark", text("\ufeff"), Bad("json", 3)),
    *[
        lives(f"cut after byte {cut}", fragments(TEXT, RAW[:cut], RAW[cut:]), EURO)
        for cut in range(len(envelope()) - 3, len(RAW) - 3)
    ],
    *[
        breaks(f"{name}, whole", [text(HELLO), text(b'"' + bad)], 1007, NOT_UTF8, HELLO)
        for name, bad in BAD_UTF8.items()
    ],
    *[
        breaks(
            f"{name}, a fragment for each byte",
            fragments(TEXT, *[bytes([byte]) for byte in bad]),
            1007,
            NOT_UTF8,
        )
        for name, bad in BAD_UTF8.items()
    ],
    breaks(
        "bad at once, though the message goes on",
        frame(TEXT, b"\xc0\xaf", fin=False),
        1007,
        NOT_UTF8,
    ),
]

RESERVED_BITS = [
    *[
        breaks(f"reserved bits {rsv} on {name}", [text(HELLO), data], 1002, RESERVED, HELLO)
        for rsv in (1, 2, 3, 4, 7)
        for name, data in {
            "text": text(EURO, rsv=rsv),
            "binary": frame(BINARY, RAW, rsv=rsv),
            "ping": frame(PING, rsv=rsv),
            "close": frame(8, rsv=rsv),
        }.items()
    ],
    breaks("reserved bits on a continuation",
           [frame(TEXT, RAW, fin=False), frame(CONTINUATION, rsv=4)], 1002, RESERVED),
    *[
        breaks(f"opcode {opcode}", [text(HELLO), frame(opcode, b"x")], 1002,
               f"Encountered invalid opcode: {opcode}", HELLO)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ],
    breaks("opcode 3 inside fragments", [frame(TEXT, RAW, fin=False), frame(3, b"x")], 1002,
           "Encountered invalid opcode: 3"),
    *[
        breaks(f"a masked frame, opcode {opcode}", [text(HELLO), frame(opcode, RAW, mask=b"mask")],
               1002, "Received a masked frame from server", HELLO)
        for opcode in (TEXT, BINARY, 8, PING, 10)
    ],
    breaks("a mask of zeros", text(EURO, mask=b"\0\0\0\0"), 1002,
           "Received a masked frame from server"),
]  # fmt: skip

CUTS = [
    *[
        Case(f"hangs up after {cut} bytes of a frame", [text(HELLO), text(sized(300))[:cut]],
             (HELLO,), (), None, End("link", HUNG_UP), "hang up")
        for cut in (0, 1, 2, 3, 4, 100, 303)
    ],
    Case("hangs up inside fragments", [frame(TEXT, RAW, fin=False)], (), (), None,
         End("link", HUNG_UP), "hang up"),
    *[
        Case(f"resets after {cut} bytes of a frame", [text(sized(300))[:cut]], (), (), None,
             End("link", "connection reset"), "reset")
        for cut in (0, 1, 3, 100)
    ],
    *[
        Case(f"falls silent after {cut} bytes of a frame", [text(sized(300))[:cut]],
             (), (), None, End("link", "no heartbeat was answered for 0.05 s"),
             options={"heartbeat": 10.0, "timeout": 0.05})
        for cut in (1, 3, 100)
    ],
]  # fmt: skip

CASES = [
    pytest.param(case, id=f"{group}: {case.name}")
    for group, cases in {
        "lengths": LENGTHS,
        "limits": LIMITS,
        "fragments": FRAGMENTS,
        "binary": BINARIES,
        "utf8": UTF8,
        "reserved": RESERVED_BITS,
        "cuts": CUTS,
    }.items()
    for case in cases
]


@pytest.mark.parametrize("case", CASES)
async def test_frames(user: User, case: Case) -> None:
    await happens(user, case)


SHORT = [case for case in FRAGMENTS + UTF8 + RESERVED_BITS if sum(map(len, case.sent)) < 400]


@pytest.mark.parametrize("manner", ["one", "bytes"])
@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
async def test_frames_cut_otherwise(user: User, case: Case, manner: str) -> None:
    await happens(user, case, manner=manner)


@pytest.mark.parametrize("seed", range(5))
async def test_many_messages_in_segments_of_any_size(user: User, seed: int) -> None:
    dice = random.Random(seed)
    texts = [sized(dice.choice([22, 125, 126, 300, 5000, 70000])) for _ in range(60)]
    whole = b"".join(
        b"".join(fragments(TEXT, raw[:cut], raw[cut:])) if dice.random() < 0.5 else text(raw)
        for raw in map(str.encode, texts)
        for cut in [dice.randrange(len(raw))]
    )
    sent = []
    while whole:
        cut = dice.choice([1, 7, 1000, 4096, 100_000])
        sent.append(whole[:cut])
        whole = whole[cut:]
    await happens(user, lives("any", sent, *texts))
