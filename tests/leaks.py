"""Call every function of the codec many times, well and badly, and print what stays behind.

A program of its own: what else runs in a process would be counted too.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import mmap
import sys
import threading
from collections.abc import Callable
from typing import Any

from xyfast import errors
from xyfast._core import a2b_base64, b2a_base64, mentions, parse_frame, read_payload
from xyfast.codec import (
    ExtType,
    Packer,
    Picker,
    Timestamp,
    Unpacker,
    b64decode,
    b64encode,
    decode,
    decode_frame,
    decode_many,
    decrypt,
    decrypt_many,
    packb,
    pick,
    unpackb,
)

#: Calls of each case in a round.
CALLS = 2000
THREADS = 700
#: An object that every call leaves behind would be counted as often as there are calls,
#: one of a single kind of wrong input still every fifteenth time.
MOST = CALLS // 20

TREE = {
    "text": ["a", "闲鱼", "😀", b"\0", 1.5, -1, 2**63, None, True],
    "key": ExtType(5, b"x"),
    "at": Timestamp(1, 2),
}
DATA = packb(TREE)
MAP = b64encode(packb({"1": {"10": "在吗", "a": [1, 2.5, None]}, "2": "x" * 300}))
PAYLOADS = ["gQE=", "gQGh/w==", "A", "AQ==", "ggECAQM=", "wQ==", "gQHHAAU=", "é", "kYGQAQ=="]
FRAME = '{"lwp":"/s/x","headers":{"mid":"1 0"},"body":{"syncPushPackage":{"data":[{"data":"?"}]}}}'
FRAMES = [FRAME.replace("?", payload) for payload in (MAP, *PAYLOADS)]
FRAMES += ["", "{", "[]", '{"headers":{"mid":"\\ud800"}}', "[" * 600]
WRONG = [
    b"",
    b"\x92\x01",
    b"\xa1\xff",
    b"\xc1",
    b"\x01\x02",
    b"\x81\x01\x02",
    b"\x81\x90\x01",
    b"\x91" * 2000,
    b"\xdd\xff\xff\xff\xff",
    b"\x92\xa3abc\xd4\xf0\x01",
    b"\x81\xa3abc\xc1",
    b"\x93\xcb",
]
UNPACKABLE = [object(), 2**80, "\ud800", {1: object()}, [[[{"k": [2**64]}]]], ExtType]


class HookError(Exception):
    pass


def hook(value: Any, *_: Any) -> Any:
    return value


def wrong(*_: Any) -> Any:
    raise HookError


EXPECTED = (ValueError, TypeError, OverflowError, HookError, errors.UnpackException)


def quietly(call: Callable[..., Any], *args: Any, **options: Any) -> None:
    with contextlib.suppress(*EXPECTED):
        call(*args, **options)


def stream(data: bytes, **options: Any) -> None:
    unpacker = Unpacker(**options)
    for start in range(0, len(data), 7):
        unpacker.feed(data[start : start + 7])
        for _ in unpacker:
            pass
    unpacker.unpack()


HOOKS = {
    "object_hook": hook,
    "list_hook": hook,
    "ext_hook": ExtType,
    "strict_map_key": False,
}
pick_two = Picker("1.10", "2")
packer = Packer(default=hook)

#: What is called with the number of the call.
CASES: dict[str, Callable[[int], None]] = {
    "unpackb": lambda i: quietly(unpackb, DATA),
    "unpackb wrong": lambda i: quietly(unpackb, WRONG[i % len(WRONG)]),
    "unpackb any key": lambda i: quietly(unpackb, WRONG[i % len(WRONG)], strict_map_key=False),
    "unpackb wrong argument": lambda i: quietly(unpackb, i),
    "unpackb options": lambda i: quietly(unpackb, DATA, use_list=False, timestamp=i % 4),
    "unpackb wrong option": lambda i: quietly(unpackb, DATA, max_str_len=i % 5, x=i),
    "unpackb hooks": lambda i: quietly(unpackb, DATA, **HOOKS),
    "unpackb hooks wrong": lambda i: quietly(unpackb, WRONG[i % len(WRONG)], **HOOKS),
    "unpackb pairs": lambda i: quietly(unpackb, DATA, object_pairs_hook=hook),
    "unpackb hook raises": lambda i: quietly(unpackb, DATA, list_hook=wrong),
    "unpackb raw": lambda i: quietly(unpackb, DATA, raw=True, strict_map_key=bool(i % 2)),
    "unpackb new keys": lambda i: quietly(unpackb, b"\x81\xa8%08d\x01" % i),
    "unpackb new shapes": lambda i: quietly(unpackb, SHAPES[i // 3 % len(SHAPES)]),
    "unpackb left shapes": lambda i: quietly(unpackb, ALIKE[i % len(ALIKE)]),
    "Unpacker": lambda i: quietly(stream, DATA * 3),
    "Unpacker hooks": lambda i: quietly(stream, DATA * 3, **HOOKS),
    "Unpacker wrong": lambda i: quietly(stream, DATA + WRONG[i % len(WRONG)]),
    "Unpacker file": lambda i: quietly(lambda: list(Unpacker(io.BytesIO(DATA), read_size=9))),
    "Unpacker full": lambda i: quietly(stream, DATA, max_buffer_size=8),
    "packb": lambda i: quietly(packb, TREE),
    "packb wrong": lambda i: quietly(packb, UNPACKABLE[i % len(UNPACKABLE)]),
    "packb default raises": lambda i: quietly(packb, [object()], default=wrong),
    "Packer": lambda i: quietly(packer.pack, TREE),
    "Packer wrong": lambda i: quietly(packer.pack, [1, 2**80]),
    "decrypt": lambda i: quietly(decrypt, MAP),
    "decrypt wrong": lambda i: quietly(decrypt, PAYLOADS[i % len(PAYLOADS)]),
    "decode": lambda i: quietly(decode, MAP),
    "decode wrong": lambda i: quietly(decode, [*PAYLOADS, 7][i % (len(PAYLOADS) + 1)]),
    "decode depth": lambda i: quietly(decode, MAP, max_depth=1 + i % 3),
    "decode_frame": lambda i: quietly(decode_frame, FRAMES[i % len(FRAMES)]),
    "parse_frame": lambda i: quietly(lambda: list(parse_frame(FRAMES[i % len(FRAMES)]).payloads)),
    "mentions": lambda i: mentions(TREE, "word"),
    "read_payload": lambda i: quietly(read_payload, PAYLOADS[i % len(PAYLOADS)]),
    "pick": lambda i: quietly(pick, MAP, ["1.10", "1", "2.3"]),
    "Picker": lambda i: quietly(pick_two, MAP),
    "Picker wrong": lambda i: quietly(pick_two, PAYLOADS[i % len(PAYLOADS)]),
    "Picker wrong call": lambda i: quietly(pick_two, *[MAP] * (i % 3), *[7] * (i % 2)),
    "decrypt_many": lambda i: quietly(decrypt_many, [MAP, *PAYLOADS], return_exceptions=i % 2 == 0),
    "decode_many": lambda i: quietly(decode_many, [MAP, *PAYLOADS], return_exceptions=i % 2 == 0),
    "b64encode": lambda i: quietly(b64encode, [DATA, "x"][i % 2]),
    "b64decode": lambda i: quietly(b64decode, [MAP, *PAYLOADS][i % 10]),
    "a2b_base64": lambda i: quietly(a2b_base64, [MAP, *PAYLOADS][i % 10]),
    "b2a_base64": lambda i: quietly(b2a_base64, DATA),
}

#: Maps of different keys, and maps that begin alike and go on differently.
SHAPES = [packb({f"{n}-{k}": None for k in range(8)}) for n in range(100)]
ALIKE = [packb({f"k{k if k < 7 else n}": None for k in range(8)}) for n in range(50, 150)]

#: What calls share: it must be referred to as often afterwards as before.
SHARED = {
    "hook": hook,
    "ExtType": ExtType,
    "Timestamp": Timestamp,
    "DecodeError": errors.DecodeError,
    "DecryptError": errors.DecryptError,
    "EncodeError": errors.EncodeError,
    "StackError": errors.StackError,
    "TextError": errors.TextError,
    "MAP": MAP,
    "DATA": DATA,
    "None": None,
    "True": True,
    "7": 7,
}


def in_a_thread(number: int) -> None:
    thread = threading.Thread(target=unpackb, args=(SHAPES[number % len(SHAPES)],))
    thread.start()
    thread.join()


def count() -> dict[str, int]:
    references = {name: sys.getrefcount(value) for name, value in SHARED.items()}
    return {"blocks": sys.getallocatedblocks(), **references}


def resident() -> int:
    """Return the bytes of the process in memory, or 0 where nobody says."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0


def grown(case: Callable[[int], None], numbers: range) -> dict[str, int]:
    """Return what more there is after these calls than before."""
    before, taken = count(), resident()
    for number in numbers:
        case(number)
    taken = resident() - taken
    return {what: now - before[what] for what, now in count().items()} | {"resident": taken}


def measure(case: Callable[[int], None], calls: int) -> dict[str, int]:
    """Return what stays behind after so many calls, once caches are filled.

    Of two rounds the better one counts: now and then a cache of Python's grows.
    """
    grown(case, range(calls))
    found = grown(case, range(calls, 2 * calls))
    if any(more > MOST for what, more in found.items() if what != "resident"):
        again = grown(case, range(2 * calls, 3 * calls))
        found = {what: min(more, again[what]) for what, more in found.items()}
    return found


if __name__ == "__main__":
    gc.disable()
    left = {name: measure(case, CALLS) for name, case in CASES.items()}
    left["threads"] = measure(in_a_thread, THREADS)
    print(json.dumps(left))
