"""What it costs that a row is put before another one of its position, in steps."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from types import FrameType
from typing import Any

import pytest

from stores import ME, OTHER, row
from xyfast.store import SqliteStore, Store


async def counted(store: Store, account: str, key: str) -> int:
    """Commit a package that has something new before a row; returns the steps that took."""
    new = row("new", account, position=5)
    package = [new, row(key, account, position=5, follows=True)]
    steps = 0

    def step(*_: object) -> int:
        nonlocal steps
        steps += 1
        return 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        frame.f_trace_opcodes = True
        if event == "opcode":
            step()
        return trace

    if isinstance(store, SqliteStore):
        await store._use(lambda file: file.db.set_progress_handler(step, 1))
        await store.commit(package)
        await store._use(lambda file: file.db.set_progress_handler(None, 1))
    else:
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            await store.commit(package)
        finally:
            sys.settrace(before)
    return steps


async def filled(store: Store, few: int, many: int) -> AsyncIterator[tuple[str, int]]:
    """Two accounts with so many rows of one position, one after the other."""
    for account, number in ((ME, few), (OTHER, many)):
        rows = [row(str(each), account, position=5) for each in range(number)]
        await store.commit(rows)
        yield account, number


async def waiting(store: Store, account: str) -> list[str]:
    return [each.key for each in (await store.take(account, 100_000)).rows]


@pytest.mark.parametrize("behind", [0, 20])
async def test_what_stands_before_is_not_looked_at(store: Store, behind: int) -> None:
    steps = []
    async for account, number in filled(store, 100, 5000):
        last = number - behind - 1
        steps.append(await counted(store, account, str(last)))
        assert (await waiting(store, account))[last : last + 2] == ["new", str(last)]
    assert 100 < steps[1] < 1.5 * steps[0]


async def test_where_very_many_stand_behind_all_keep_their_places(store: Store) -> None:
    steps = []
    async for account, number in filled(store, 1001, 5000):
        steps.append(await counted(store, account, "0"))
        assert await waiting(store, account) == [*map(str, range(number)), "new"]
    assert 100 < steps[1] < 1.5 * steps[0]
