"""Messages as the inbox keeps them, and commands that look into it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stores import ME
from xyfast.__main__ import main
from xyfast._core import read_payload
from xyfast.entries import Entry
from xyfast.store import Row, SqliteStore
from xyfast.store.schema import WAITING
from xyfast.testing import samples

NOW = 1_767_225_600_000
FAILED = "answer raised ValueError"


def came(payload: str, account: str = ME, **changes: Any) -> Row:
    """A row, as a push of this payload makes it."""
    row = Entry.pushed(account, read_payload(payload), NOW * 1000, NOW).row()
    return replace(row, **changes)


def chat(number: int, text: str = "在吗", time: int = NOW) -> str:
    return samples.chat(
        samples.Message(
            id=f"{number}.PNM",
            conversation="70000000011",
            sender="9000000000077",
            peer="9000000000077",
            time=time,
            content=samples.text_content(text),
        )
    ).payload


BAD = samples.bad_msgpack().payload


def with_store(path: Path, work: Callable[[SqliteStore], Awaitable[Any]]) -> Any:
    """What ``work`` returns, given the store as its owner has it."""

    async def run() -> Any:
        store = SqliteStore(path, synchronous="normal")
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def replayed(path: Path) -> list[tuple[str, str]]:
    """Account and key of what waits once more, in order."""
    db = sqlite3.connect(path)
    found = db.execute(
        "SELECT account.account, key FROM inbox JOIN account ON account.id = inbox.account"
        f" WHERE state = {WAITING} AND redelivered = 1 ORDER BY account.account, key"
    ).fetchall()
    db.close()
    return found


def strict(text: str) -> Any:
    """What JSON says, as readers have it that take no NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


class Shown:
    """A command that has run in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
        self.code = main([str(argument) for argument in arguments])
        self.out, self.err = capsys.readouterr()

    @property
    def objects(self) -> list[Any]:
        return [strict(line) for line in self.out.splitlines()]


Run = Callable[..., Shown]

# PR_CAPBSET_DROP of CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root may write and look
# anywhere; others may not anyway.
_LIKE_OTHERS = """
import ctypes, os, sys
if sys.platform == "linux":
    for power in (1, 2):
        ctypes.CDLL(None).prctl(24, power, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "xyfast", *sys.argv[1:]])
"""


def like_others(*arguments: str) -> tuple[int, list[Any], str]:
    """Exit code of a command, its JSON and its errors, where modes of files bind root as well."""
    command = [sys.executable, "-c", _LIKE_OTHERS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, [strict(line) for line in done.stdout.splitlines()], done.stderr


@contextmanager
def shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is eight hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CST-8")
        time.tzset()
        yield
    time.tzset()
