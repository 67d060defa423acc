"""``xyfast bench``: what the codec and the store do on this machine."""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from xyfast import codec
from xyfast._core import b64encode, build_profile, decode, decrypt, packb, pick, unpackb
from xyfast.commands.shared import (
    Commands,
    Progress,
    Table,
    a_number,
    add_command,
    add_config,
    add_json,
    complain,
    config_of,
    print_json,
)
from xyfast.errors import ConfigError
from xyfast.store import Row, SqliteStore

__all__ = ["add_parser"]

_SAMPLE = 0.005  # seconds of one sample, of which the median counts
_GROUPS = (1, 32, 256)  # messages in one commit
_ACCOUNT = "9000000000001"

# As large and as deep as a chat message of the platform.
_TREE: dict[Any, Any] = {
    "1": {
        "1": f"{_ACCOUNT}@goofish",
        "2": "70000000011@goofish",
        "3": "5000000000001.PNM",
        "5": 1_767_225_600_000,
        "6": {
            "3": {"1": 101, "4": 1, "5": '{"contentType":1,"text":{"text":"在吗，还能便宜点吗"}}'}
        },
        "7": 2,
        "10": {
            "bizTag": '{"sourceId":"S:1","messageId":"00000000000000000000000000000001"}',
            "reminderContent": "在吗，还能便宜点吗",
            "reminderTitle": "买家",
            "reminderUrl": "fleamarket://message_chat?itemId=800000000031&peerUserId=9000000000077",
            "senderUserId": "9000000000077",
        },
    },
    "3": {"needPush": "true"},
}


class _Measured(NamedTuple):
    name: str
    seconds: float
    """For one call, or one message."""


def add_parser(commands: Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = add_command(
        commands,
        "bench",
        _run,
        help="how fast codec and store are on this machine",
        description="Measure the codec on a payload like that of a chat message, and the store "
        "on the disk of the configured one, in a file that is removed afterwards: messages a "
        "second in commits of so many, each of which survives a crash of the machine. Exit code "
        "0: measured, 2: wrong use, or there is no such folder.",
    )
    seconds = a_number(float, lambda seconds: 0 < seconds <= 3600, "above 0, and 3600 at most")
    parser.add_argument(
        "--seconds", type=seconds, default=0.5, help="for each line; default: %(default)s"
    )
    add_config(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    folder = config_of(options).store.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"the folder of the store, {folder}, is not there, or may not be written to"
        )
    if build_profile == "debug":
        complain(options, "this is a debug build, whose times mean nothing")
    table, progress = Table(name=30, time=-12, rate=-14), Progress()
    cases = [_codec(options.seconds, progress), _store(folder, options.seconds, progress)]
    for each in (each for case in cases for each in case):
        progress.clear()
        if options.json:
            print_json({"name": each.name, "seconds": each.seconds})
        else:
            rate = 1 / each.seconds
            table.row(each.name, f"{each.seconds * 1e6:.2f} us", f"{rate:,.0f}/s")
    return 0


def _codec(seconds: float, progress: Progress) -> Iterator[_Measured]:
    data = packb(_TREE)
    payload = b64encode(data)
    picker = codec.Picker("1.3", "1.10.senderUserId")
    works: dict[str, Callable[[], object]] = {
        "decode": lambda: decode(payload),
        "decrypt": lambda: decrypt(payload),
        "pick of two fields": lambda: pick(payload, ["1.3", "1.10.senderUserId"]),
        "Picker of two fields": lambda: picker(payload),
        "unpackb": lambda: unpackb(data),
        "packb": lambda: packb(_TREE),
    }
    for name, work in works.items():
        progress.show(f"codec: {name}")
        yield _Measured(name, _median(work, seconds))


def _median(work: Callable[[], object], seconds: float) -> float:
    """The time of one call: the median of samples, each long enough for the clock."""
    calls, end = 1, time.perf_counter() + seconds
    samples: list[float] = []
    while True:
        began = time.perf_counter()
        for _ in range(calls):
            work()
        now = time.perf_counter()
        if now - began < _SAMPLE and now < end:
            calls *= 2
            continue
        samples.append((now - began) / calls)
        if now >= end:
            return statistics.median(samples)


def _store(folder: Path, seconds: float, progress: Progress) -> Iterator[_Measured]:
    payload = b64encode(packb(_TREE))
    for size in _GROUPS:
        name = f"store, commits of {size}"
        progress.show(name)
        with tempfile.TemporaryDirectory(prefix="xyfast-bench-", dir=folder) as place:
            path = Path(place) / "bench.db"
            yield _Measured(name, asyncio.run(_commits(path, payload, size, seconds)))


async def _commits(path: Path, payload: str, size: int, seconds: float) -> float:
    store = SqliteStore(path)
    await store.open()
    try:
        began = now = time.perf_counter()
        count = 0
        while now < began + seconds:
            keys = range(count, count + size)
            rows = [Row(account_id=_ACCOUNT, key=f"{key}.PNM", payload=payload) for key in keys]
            await store.commit(rows)
            count += size
            now = time.perf_counter()
        return (now - began) / count
    finally:
        await store.close()
