"""Who takes part in which contest: xyfast, the standard library, and the peers that are there."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack

import naive
from interleave import Call
from xyfast import DedupCache, codec

try:
    import peers
except ImportError:  # the test suite does without
    peers = None  # type: ignore[assignment]

PATHS = ["1.2", "1.3", "1.5", "1.10.senderUserId", "1.10.reminderContent"]
"""What a bot routes by: conversation, message, time, sender, text."""
WITHOUT_SPACES = {
    "pybase64+ormsgpack+orjson",
    "pybase64+msgspec+its JSON",
    "pybase64+msgspec+orjson",
}
"""Whose JSON text has no space after a comma or colon, so that it is not what `decrypt` returns."""


def unpackers(*, int_keys: bool) -> dict[str, Call]:
    """Return what reads MessagePack."""
    found: dict[str, Any] = {"xyfast": codec.unpackb, "msgpack": msgpack.unpackb}
    if int_keys:
        found = {name: partial(call, strict_map_key=False) for name, call in found.items()}
    found |= peers.unpackers(int_keys=int_keys) if peers else {}
    return {**found, "naive": naive.unpackb}


def packers(*, int_keys: bool) -> dict[str, Call]:
    """Return what writes MessagePack; an object that can be kept is kept."""
    found: dict[str, Call] = {"xyfast": codec.packb, "msgpack": msgpack.Packer().pack}
    return found | (peers.packers(int_keys=int_keys) if peers else {})


def base64_decoders() -> dict[str, Call]:
    """Return what reads base64 text."""
    found: dict[str, Call] = {"xyfast": codec.b64decode}
    found |= peers.base64_decoders() if peers else {}
    return {**found, "base64": base64.b64decode, "binascii": binascii.a2b_base64}


def base64_encoders() -> dict[str, Call]:
    """Return what writes base64 text."""
    found: dict[str, Call] = {"xyfast": codec.b64encode}
    found |= peers.base64_encoders() if peers else {}
    return {**found, "base64": lambda data: base64.b64encode(data).decode("ascii")}


def with_msgpack(payload: str) -> str:
    tree = msgpack.unpackb(base64.b64decode(payload), strict_map_key=False)
    return json.dumps(tree, ensure_ascii=False)


def to_text(length: int = 0) -> dict[str, Call]:
    """Return what makes JSON text of payloads of about this length."""
    found: dict[str, Call] = {"xyfast": codec.decrypt}
    found |= peers.to_text(length) if peers else {}
    return {**found, "base64+msgpack+json": with_msgpack, "naive": naive.decrypt}


def to_tree(length: int = 0) -> dict[str, Call]:
    """Return what makes a dict with str keys of payloads of about this length."""
    found: dict[str, Call] = {"xyfast": codec.decode}
    found |= peers.to_tree(length) if peers else {}
    return {
        **found,
        "base64+msgpack+json": lambda payload: json.loads(with_msgpack(payload)),
        "naive": lambda payload: json.loads(naive.decrypt(payload)),
    }


def routers(length: int = 0) -> dict[str, Call]:
    """Return what finds the values at `PATHS`."""

    def with_naive(payload: str) -> tuple[Any, ...]:
        chat = json.loads(naive.decrypt(payload))["1"]
        fields = chat["10"]
        return chat["2"], chat["3"], chat["5"], fields["senderUserId"], fields["reminderContent"]

    found: dict[str, Call] = {"xyfast": codec.Picker(*PATHS)}
    found |= peers.routers(length) if peers else {}
    return {**found, "naive": with_naive}


def frame_readers(length: int = 0) -> dict[str, Call]:
    """Return what makes dicts of a push frame's text."""

    def with_naive(text: str) -> list[Any]:
        entries = json.loads(text)["body"]["syncPushPackage"]["data"]
        return [json.loads(naive.decrypt(entry["data"])) for entry in entries]

    found: dict[str, Call] = {"xyfast": codec.decode_frame}
    found |= peers.frame_readers(length) if peers else {}
    return {**found, "json+naive": with_naive}


def caches(maxsize: int, ttl: float = 3600.0) -> dict[str, Callable[[], Call]]:
    """Return what makes a `seen(id)` that remembers so many ids for so many seconds."""

    def with_ordered_dict() -> Call:
        known: OrderedDict[str, float] = OrderedDict()
        now = time.monotonic

        def seen(key: str) -> bool:
            moment = now()
            while known and moment - known[next(iter(known))] >= ttl:
                known.popitem(last=False)
            if key in known:
                return True
            if len(known) >= maxsize:
                known.popitem(last=False)
            known[key] = moment
            return False

        return seen

    def with_purged_dict() -> Call:
        """Purge the dict when it is full, as bots do: the old ids, else the older half."""
        known: dict[str, float] = {}
        now = time.monotonic

        def seen(key: str) -> bool:
            nonlocal known
            moment = now()
            first = known.get(key)
            if first is not None and moment - first < ttl:
                return True
            if len(known) >= maxsize:
                known = {key: first for key, first in known.items() if moment - first < ttl}
                if len(known) >= maxsize:
                    by_age = sorted(known.items(), key=lambda item: item[1])
                    known = dict(by_age[maxsize // 2 :])
            known[key] = moment
            return False

        return seen

    found: dict[str, Callable[[], Call]] = {"xyfast": lambda: DedupCache(maxsize, ttl).seen}
    found |= peers.caches(maxsize, ttl) if peers else {}
    return {**found, "OrderedDict": with_ordered_dict, "dict, purged": with_purged_dict}
