"""What another process may see and do in the file of a running bot."""

# ruff: noqa: ASYNC240 - files are looked at between calls of the store

from __future__ import annotations

from pathlib import Path

import pytest

from stores import ME, OTHER, Clock, died, handled, keys, letter, opened, plan, row, waiting
from xyfast.errors import StoreError
from xyfast.store import DeadLetter, Outcome
from xyfast.store.sqlite import _Open


async def test_a_guest_looks_at_dead_letters_and_revives_them(path: Path) -> None:
    store = await opened(path)
    await store.commit([row("a"), row("b"), row("x", OTHER), row("t", taken=True)])
    await store.commit([], [*died("a"), Outcome(OTHER, "x", DeadLetter(reason="r"))])
    await store.revived()
    assert not await store.revived()
    guest = await opened(path, shared=True)
    assert keys([each for _, each in await guest.dead_letters()]) == ["a", "x"]
    assert not await store.revived()
    assert await guest.revive(ME, ["a"]) == 1
    assert await guest.revive(ME, ["a"]) == 0
    assert list(await store.revived()) == [ME]
    assert not await store.revived()
    page = await store.take(ME, 9)
    assert [(each.key, each.redelivered) for each in page.rows] == [("a", 1), ("b", 0)]
    assert await guest.revive(OTHER, ["x"]) == 1
    assert list(await store.revived()) == [OTHER]
    await guest.close()
    await store.commit([row("c")])
    await store.close()


async def test_handled_messages_are_listed_by_the_time_of_their_handling(path: Path) -> None:
    clock = Clock()
    store = await opened(path, clock=clock)
    await store.commit([row(key) for key in "abcde"] + [row("x", OTHER)])
    start = int(clock.now * 1000)
    await store.commit([], handled("d", "b", "c"))
    clock.now += 1
    await store.commit([], [*handled("a"), *handled("x", account=OTHER), *died("e")])
    guest = await opened(path, shared=True)
    ever = 2**62
    found = await guest.handled(ME, after=(0, 0), until=ever)
    assert [(time, each.key) for (time, _), each in found] == [
        (start, "b"),
        (start, "c"),
        (start, "d"),
        (start + 1000, "a"),
    ]
    first = await guest.handled(ME, after=(0, 0), until=ever, limit=2)
    assert first == found[:2]
    assert await guest.handled(ME, after=first[-1][0], until=ever) == found[2:]
    assert await guest.handled(ME, after=(start, 0), until=start + 1000) == found[:3]
    assert await guest.handled(ME, after=(start + 1, 0), until=ever) == found[3:]
    assert await guest.handled("123", after=(0, 0), until=ever) == []
    assert await guest.revive(ME, ["b", "a"]) == 2
    assert await guest.handled(ME, after=(0, 0), until=ever) == found[1:3]
    await guest.close()
    await store.close()


async def test_a_guest_changes_nothing_else(path: Path) -> None:
    with pytest.raises(StoreError, match=r"(?i)no such file"):
        await opened(path, shared=True)
    assert not path.exists()
    store = await opened(path)
    await store.commit([row("a", taken=True)])
    guest = await opened(path, shared=True)
    for call in (
        guest.commit([row("b")]),
        guest.take(ME, 1),
        guest.sweep(),
        guest.save_session(ME, "s"),
        guest.load(ME),
        guest.post(letter("a")),
        guest.revived(),
    ):
        with pytest.raises(StoreError, match="not for guests"):
            await call
    await guest.close()
    assert await waiting(store) == []
    assert set(await store.known(ME, ["a", "b"])) == {"a"}
    await store.close()


async def test_a_page_of_dead_letters_is_read_from_an_index_in_order(path: Path) -> None:
    store = await opened(path)

    await store.commit([row("a")], died("a"))
    for whose in (ME, None):

        def look(file: _Open, whose: str | None = whose) -> object:
            return file.inbox.dead_letters(whose, 0, 10)

        steps = await plan(store, look, "JOIN")
        assert any("COVERING INDEX inbox_dead (place>?" in step for step in steps), steps
        assert not any("SCAN" in step for step in steps if "inbox" in step), steps
    await store.close()
