"""What every store keeps of the messages that are to go out."""

from __future__ import annotations

from pathlib import Path

import pytest

from stores import DAY, ME, OTHER, Maker, letter, row
from xyfast.errors import StoreFull
from xyfast.store import Retention, Store


async def test_what_is_posted_twice_is_kept_once(store: Store) -> None:
    assert await store.post(letter("a")) == letter("a")
    assert await store.post(letter("a", uuid="-other", content="{}")) == letter("a")
    assert await store.post(letter("a", account_id=OTHER)) == letter("a", account_id=OTHER)
    assert list(await store.unsent(ME)) == [letter("a")]


async def test_unsent_letters_keep_their_order_and_sent_ones_leave(store: Store) -> None:
    for name in ("c", "a", "b", "d"):
        await store.post(letter(name))
    await store.mark(ME, "c", "out")
    await store.mark(ME, "a", "sent", message_id="m1", time=1767225601000)
    await store.mark(ME, "d", "refused")
    await store.mark(ME, "unheard of", "sent")
    assert list(await store.unsent(ME)) == [letter("c", state="out"), letter("b")]
    sent = letter("a", state="sent", message_id="m1", time=1767225601000)
    assert await store.post(letter("a")) == sent
    await store.mark(ME, "a", "sent")
    assert await store.post(letter("a")) == sent
    await store.mark(ME, "c", "queued")
    assert [each.state for each in await store.unsent(ME)] == ["queued", "queued"]


async def test_settled_letters_are_told_the_last_ones_in_their_order(store: Store) -> None:
    for name in ("c", "a", "b", "d"):
        await store.post(letter(name))
    await store.post(letter("a", account_id=OTHER))
    await store.mark(ME, "c", "out", time=1)
    assert list(await store.unsent(ME))[:1] == [letter("c", state="out", time=1)]
    assert list(await store.settled(ME, 3)) == []
    for name in ("d", "a", "c"):
        await store.mark(ME, name, "sent", message_id=name, time=2)
    told = [letter(name, state="sent", message_id=name, time=2) for name in ("c", "a", "d")]
    assert list(await store.settled(ME, 3)) == told
    assert list(await store.settled(ME, 2)) == told[1:]
    assert list(await store.settled(OTHER, 2)) == []


async def test_what_waits_to_go_out_is_bounded(make: Maker) -> None:
    store = make(Retention(max_outbox=2, max_rows=3))
    await store.open()
    for name in ("a", "b"):
        await store.post(letter(name))
    with pytest.raises(StoreFull, match="max_outbox of 2"):
        await store.post(letter("c", account_id=OTHER))
    assert await store.post(letter("a")) == letter("a")
    await store.mark(ME, "a", "out")
    with pytest.raises(StoreFull):
        await store.post(letter("c"))
    assert len(await store.commit([row("a"), row("b"), row("c")])) == 3
    await store.mark(ME, "a", "sent")
    await store.mark(ME, "a", "sent")
    await store.post(letter("c"))
    with pytest.raises(StoreFull):
        await store.post(letter("d"))
    await store.mark(ME, "unheard of", "sent")
    assert [each.name for each in await store.unsent(ME)] == ["b", "c"]
    await store.close()


async def test_the_characters_of_what_waits_to_go_out_are_bounded(make: Maker) -> None:
    store = make(Retention(max_outbox_bytes=30))
    await store.open()
    await store.post(letter("a", content="\udc80" * 20))
    await store.post(letter("b", content="x" * 10))
    with pytest.raises(StoreFull, match="max_outbox_bytes of 30"):
        await store.post(letter("c", content="x"))
    await store.mark(ME, "a", "refused")
    await store.post(letter("c", content="x" * 20))
    await store.close()


async def test_what_waits_to_go_out_is_counted_by_a_new_run(tmp_path: Path) -> None:
    make = Maker("sqlite", tmp_path / "x.db")
    store = make()
    await store.open()
    for name in "abc":
        await store.post(letter(name))
    await store.mark(ME, "a", "sent")
    await store.close()
    again = make(Retention(max_outbox=2))
    await again.open()
    with pytest.raises(StoreFull):
        await again.post(letter("d"))
    await again.mark(ME, "b", "sent")
    await again.post(letter("d"))
    await again.close()


async def test_a_sweep_forgets_letters_that_are_settled(make: Maker) -> None:
    store = make()
    await store.open()
    for name in ("a", "b", "c"):
        await store.post(letter(name))
    await store.mark(ME, "a", "sent", message_id="m1", time=1)
    await store.mark(ME, "b", "unknown")
    make.clock.now += 7 * DAY - 1
    assert await store.sweep() == 0
    make.clock.now += 1
    assert await store.sweep() == 2
    assert list(await store.unsent(ME)) == [letter("c")]
    assert await store.post(letter("a")) == letter("a")
    await store.close()
