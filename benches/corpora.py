"""What is decoded and packed: one tree and its MessagePack for every name.

The same trees in every run: what is random is seeded.
"""

from __future__ import annotations

import functools
import json
import lzma
import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from messages import card_message, chat_message, han, respell, short_message, wire

FOLDER = Path(__file__).parent / "corpora"
PAYLOADS = {"gf300": short_message, "gf1k5": chat_message, "gf8k": card_message}
CLASSIC = ["twitter", "github", "citm_catalog", "canada"]


@dataclass(frozen=True)
class Corpus:
    """A tree, its MessagePack, and whether some of its map keys are integers."""

    tree: Any
    packed: bytes
    int_keys: bool = False


def classic(name: str) -> Any:
    return json.loads(lzma.decompress((FOLDER / f"{name}.json.xz").read_bytes()))


def ascii_words(length: int) -> list[str]:
    dice = random.Random(length)
    return ["".join(dice.choices(string.ascii_letters, k=length)) for _ in range(1000)]


def han_words(length: int) -> list[str]:
    dice = random.Random(length)
    return [han(dice, length) for _ in range(1000)]


def numbers(low: int, high: int) -> list[int]:
    dice = random.Random(low)
    return [dice.randint(low, high) for _ in range(1000)]


def records() -> list[dict[str, Any]]:
    dice = random.Random(200)
    return [
        {
            "id": dice.getrandbits(31),
            "name": "".join(dice.choices(string.ascii_lowercase, k=10)),
            "price": dice.random() * 1000,
            "count": dice.randint(0, 127),
            "sold": dice.random() < 0.5,
            "seller": f"user{dice.getrandbits(20)}",
            "note": None,
        }
        for _ in range(200)
    ]


def numbered_maps(key: Callable[[int], Any]) -> list[dict[Any, Any]]:
    dice = random.Random(100)
    return [{key(i): dice.randint(0, 1000) for i in range(1, 13)} for _ in range(100)]


def nested(depth: int) -> Any:
    tree: Any = 1
    for _ in range(depth):
        tree = [tree]
    return tree


def floats() -> list[float]:
    dice = random.Random(64)
    return [dice.uniform(-1e6, 1e6) for _ in range(1000)]


def chunks() -> list[bytes]:
    dice = random.Random(16)
    return [dice.randbytes(16) for _ in range(1000)]


PLAIN: dict[str, Callable[[], Any]] = {
    **{name: functools.partial(classic, name) for name in CLASSIC},
    "1000 small ints": lambda: numbers(0, 127),
    "1000 times": lambda: numbers(1_700_000_000_000, 1_800_000_000_000),
    "1000 u32": lambda: numbers(1 << 16, (1 << 32) - 1),
    "1000 floats": floats,
    "1000 ASCII str of 8": lambda: ascii_words(8),
    "1000 ASCII str of 64": lambda: ascii_words(64),
    "1000 Han str of 8": lambda: han_words(8),
    "1000 Han str of 64": lambda: han_words(64),
    "1000 bytes of 16": chunks,
    "bin of 64 KiB": lambda: random.Random(64).randbytes(1 << 16),
    "200 maps of the same keys": records,
    "map of 1000 unique keys": lambda: dict.fromkeys(ascii_words(12), 1),
    "100 maps of digit-string keys": lambda: numbered_maps(str),
    "100 maps of int keys": lambda: numbered_maps(int),
    "nested 300 deep": lambda: nested(300),
    "one key": lambda: {"a": 1},
    "scalar": lambda: 42,
    "chat with emoji": lambda: respell(chat_message(emoji=True)),
}
NAMES = [f"{name}, {keys} keys" for name in PAYLOADS for keys in ("int", "str")] + list(PLAIN)


@functools.cache
def corpus(name: str) -> Corpus:
    """Return the corpus of a name in `NAMES`."""
    if name in PLAIN:
        tree = PLAIN[name]()
        return Corpus(tree, msgpack.packb(tree), int_keys=name == "100 maps of int keys")
    payload, keys = name.split(", ")
    tree = PAYLOADS[payload]()
    int_keys = keys == "int keys"
    tree = tree if int_keys else respell(tree)
    return Corpus(tree, wire(tree), int_keys=int_keys)
