"""The compiled rivals, each with its best settings. Needs the dependency group `bench`."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cachebox
import cachetools
import lru
import msgspec
import orjson
import ormsgpack
import pybase64

from interleave import Call

write_json = partial(orjson.dumps, option=orjson.OPT_NON_STR_KEYS)
with_msgspec = msgspec.msgpack.Decoder().decode
with_ormsgpack = partial(ormsgpack.unpackb, option=ormsgpack.OPT_NON_STR_KEYS)


def unpackers(*, int_keys: bool) -> dict[str, Call]:
    return {
        "ormsgpack": with_ormsgpack if int_keys else ormsgpack.unpackb,
        "msgspec": with_msgspec,
    }


def packers(*, int_keys: bool) -> dict[str, Call]:
    option = ormsgpack.OPT_NON_STR_KEYS
    return {
        "ormsgpack": partial(ormsgpack.packb, option=option) if int_keys else ormsgpack.packb,
        "msgspec": msgspec.msgpack.Encoder().encode,
    }


def base64_decoders() -> dict[str, Call]:
    return {
        "pybase64": pybase64.b64decode,
        "pybase64, validate": partial(pybase64.b64decode, validate=True),
    }


def base64_encoders() -> dict[str, Call]:
    return {"pybase64": pybase64.b64encode_as_string}


def quickest_b64decode(length: int) -> Call:
    """Return the quicker mode of pybase64 for texts of this length."""
    return partial(pybase64.b64decode, validate=True) if length > 1000 else pybase64.b64decode


def to_text(length: int) -> dict[str, Call]:
    b64decode, own_json = quickest_b64decode(length), msgspec.json.Encoder().encode
    return {
        "pybase64+ormsgpack+orjson": lambda p: write_json(with_ormsgpack(b64decode(p))).decode(),
        "pybase64+msgspec+its JSON": lambda p: own_json(with_msgspec(b64decode(p))).decode(),
        "pybase64+msgspec+orjson": lambda p: write_json(with_msgspec(b64decode(p))).decode(),
    }


def respell(value: Any) -> Any:
    """Spell map keys as str, as quickly as Python code can."""
    if type(value) is dict:
        return {
            key if type(key) is str else str(key): (
                respell(inner) if type(inner) is dict or type(inner) is list else inner
            )
            for key, inner in value.items()
        }
    return [respell(inner) for inner in value]


def to_tree(length: int) -> dict[str, Call]:
    b64decode, loads = quickest_b64decode(length), orjson.loads
    return {
        "pybase64+ormsgpack+orjson": lambda p: loads(write_json(with_ormsgpack(b64decode(p)))),
        "pybase64+msgspec+orjson": lambda p: loads(write_json(with_msgspec(b64decode(p)))),
        "pybase64+msgspec+respell": lambda p: respell(with_msgspec(b64decode(p))),
    }


class Notification(msgspec.Struct):
    """The two notification fields that routing needs."""

    reminderContent: str
    senderUserId: str


def routers(length: int) -> dict[str, Call]:
    b64decode = quickest_b64decode(length)
    raw_map = msgspec.msgpack.Decoder(dict[int, msgspec.Raw]).decode
    notification = msgspec.msgpack.Decoder(Notification).decode
    text, number = msgspec.msgpack.Decoder(str).decode, msgspec.msgpack.Decoder(int).decode

    def with_raw(payload: str) -> tuple[Any, ...]:
        chat = raw_map(raw_map(b64decode(payload))[1])
        fields = notification(chat[10])
        return (
            text(chat[2]),
            text(chat[3]),
            number(chat[5]),
            fields.senderUserId,
            fields.reminderContent,
        )

    def whole(payload: str) -> tuple[Any, ...]:
        chat = with_msgspec(b64decode(payload))[1]
        fields = chat[10]
        return chat[2], chat[3], chat[5], fields["senderUserId"], fields["reminderContent"]

    return {"msgspec, Raw": with_raw, "msgspec, whole": whole}


def frame_readers(length: int) -> dict[str, Call]:
    def reader(to_tree: Call) -> Call:
        def read(text: str) -> list[Any]:
            entries = orjson.loads(text)["body"]["syncPushPackage"]["data"]
            return [to_tree(entry["data"]) for entry in entries]

        return read

    return {f"orjson+{name}": reader(to_tree) for name, to_tree in to_tree(length).items()}


def caches(maxsize: int, ttl: float) -> dict[str, Callable[[], Call]]:
    def with_cachebox() -> Call:
        known: Any = cachebox.TTLCache(maxsize, ttl, capacity=maxsize)
        insert = known.insert

        def seen(key: str) -> bool:
            if key in known:
                return True
            insert(key, None)
            return False

        return seen

    def with_cachetools() -> Call:
        known: cachetools.TTLCache[str, None] = cachetools.TTLCache(maxsize, ttl)

        def seen(key: str) -> bool:
            if key in known:
                return True
            known[key] = None
            return False

        return seen

    def with_lru() -> Call:
        known: Any = lru.LRU(maxsize)
        get, now = known.get, time.monotonic

        def seen(key: str) -> bool:
            moment = now()
            first = get(key)
            if first is not None and moment - first < ttl:
                return True
            known[key] = moment
            return False

        return seen

    return {"cachebox": with_cachebox, "cachetools": with_cachetools, "lru-dict": with_lru}
