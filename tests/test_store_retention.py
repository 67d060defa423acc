"""What every store forgets, and when: time, bounds, and dead letters that fill it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stores import DAY, ME, Maker, died, handled, keys, letter, row, waiting
from xyfast.errors import StoreFull
from xyfast.store import DeadLetter, Kept, Retention, Store


async def test_a_sweep_forgets_what_ended_long_enough_ago(make: Maker) -> None:
    store = make()
    await store.open()
    await store.commit([row("a"), row("b"), row("c"), row("d", taken=True)], handled("a"))
    make.clock.now += DAY
    await store.commit(outcomes=[*handled("b"), *died("c")])
    make.clock.now += 6 * DAY
    assert await store.sweep() == 1
    assert set(await store.known(ME, "abcd")) == set("bcd")
    make.clock.now += DAY
    assert await store.sweep() == 1
    make.clock.now += 23 * DAY - 1
    assert await store.sweep() == 0
    make.clock.now += 1
    assert await store.sweep() == 1
    assert set(await store.known(ME, "abcd")) == {"d"}
    await store.close()


async def test_a_clock_that_jumps_ahead_is_believed_when_it_stays_there(make: Maker) -> None:
    store = make()
    await store.open()
    await store.commit([row("a"), row("b"), row("c")], [*handled("a"), *died("b")])
    await store.post(letter("sent", state="queued"))
    await store.mark(ME, "sent", "sent")
    for hours in (0.5, 3.0):
        make.clock.now += hours * 3600
        make.clock.jump(40 * DAY)
        assert await store.sweep() == 0
        make.clock.now += 60
        assert await store.sweep() == 0
        make.clock.jump(-40 * DAY)
        assert await store.sweep() == 0
    make.clock.jump(40 * DAY)
    for _ in range(59):
        make.clock.now += 60
        assert await store.sweep() == 0
    swept = 0
    for _ in range(62):
        make.clock.now += 60
        swept += await store.sweep()
    assert swept == 3
    assert set(await store.known(ME, "abc")) == {"c"}
    await store.close()


async def test_a_clock_that_is_set_back_forgets_nothing_early(make: Maker) -> None:
    store = make()
    await store.open()
    make.clock.jump(-DAY)
    await store.commit([row("a")], handled("a"))
    make.clock.now += 7 * DAY - 1
    assert await store.sweep() == 0
    make.clock.now += 1
    assert await store.sweep() == 1
    await store.close()


async def test_past_a_bound_handled_messages_go_first(make: Maker) -> None:
    store = make(Retention(max_rows=3))
    await store.open()
    await store.commit([row("a"), row("b"), row("c")], handled("a", "b"))
    await store.commit([row("d")])
    assert set(await store.known(ME, "abcd")) == set("bcd")
    await store.commit([row("e")], handled("c"))
    await store.commit(outcomes=handled("d", "e"))
    for one, two, three, new in ("cdef", "defg", "efgh", "fghi"):
        assert await store.commit([row(new)], handled(new))
        assert set(await store.known(ME, [one, two, three, new])) == {two, three, new}
    await store.close()


async def test_what_a_sweep_forgot_counts_for_no_bound(make: Maker) -> None:
    store = make(Retention(max_rows=3))
    await store.open()
    await store.commit([row(key) for key in "abc"], handled(*"abc"))
    make.clock.now += 7 * DAY
    assert await store.sweep() == 3
    await store.commit([row(key) for key in "def"], handled(*"def"))
    assert set(await store.known(ME, "abcdef")) == set("def")
    await store.close()


async def test_past_a_bound_nothing_unhandled_is_added_or_lost(make: Maker) -> None:
    store = make(Retention(max_rows=3))
    await store.open()
    await store.commit([row("a"), row("b", taken=True), row("c")], died("c"))
    for _ in range(2):
        with pytest.raises(StoreFull, match=r"unhandled .* max_rows of 3 messages"):
            await store.commit([row("d")], handled("c"), received={ME: 1})
    assert await store.load(ME) == Kept(None, None, None)
    assert not await store.commit([row("a")], handled("b"))
    assert await store.commit([row("d")])
    assert set(await store.known(ME, "abcd")) == set("acd")
    await store.close()


async def letters(store: Store) -> list[str]:
    return keys([each for _, each in await store.dead_letters(limit=1000)])


def lost(caplog: pytest.LogCaptureFixture) -> list[int]:
    """How many letters each line told of."""
    found = [each for each in caplog.records if "dead letters" in each.getMessage()]
    assert {each.levelname for each in found} <= {"ERROR"}
    return [each.letters for each in found]  # type: ignore[attr-defined]


async def test_dead_letters_that_fill_the_store_go_and_are_told(
    make: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    store = make(Retention(max_rows=4))
    await store.open()
    await store.commit([row("w"), row("a"), row("b"), row("c")], died("c", "b"))
    await store.commit(outcomes=died("a"))
    assert await store.commit([row("d", dead=DeadLetter(reason="utf8")), row("e")])
    assert (await letters(store), lost(caplog)) == (["c", "d"], [2])
    # They are not more than the others any more.
    with pytest.raises(StoreFull):
        await store.commit([row("f")])
    assert await letters(store) == ["c", "d"]
    await store.commit(outcomes=[*handled("e"), *died("w")])
    await store.commit([row("f")])  # the handled one goes first
    assert (await letters(store), lost(caplog)) == (["w", "c", "d"], [2])
    await store.commit([row("g", dead=DeadLetter(reason="utf8"))])
    assert (await letters(store), lost(caplog)) == (["c", "d", "g"], [2, 1])
    assert "(letters=1, total=3)" in caplog.text
    assert await waiting(store) == ["f"]
    await store.close()


async def test_a_commit_that_is_refused_forgets_no_dead_letter(
    make: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    store = make(Retention(max_rows=4))
    await store.open()
    await store.commit([row("a"), row("b"), row("c")], died("a", "b", "c"))
    with pytest.raises(StoreFull, match="drop dead letters"):
        await store.commit([row(str(n)) for n in range(5)])
    assert (await letters(store), lost(caplog)) == (["a", "b", "c"], [])
    await store.close()


async def test_a_broken_handler_does_not_end_the_intake(
    make: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    store = make(Retention(max_bytes=400_000))
    await store.open()
    for n in range(30):
        await store.commit([replace(row(str(n)), payload="x" * 30_000)])
        await store.commit(outcomes=died(str(n)))
    left = await letters(store)
    assert left == [str(n) for n in range(30 - len(left), 30)]
    assert 6 <= len(left) < 15
    assert sum(lost(caplog)) == 30 - len(left)
    await store.close()


async def test_many_dead_letters_go_at_a_time(
    make: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    store = make(Retention(max_rows=640))
    await store.open()
    names = [str(n) for n in range(640)]
    await store.commit([row(name) for name in names], died(*names))
    for n in range(640, 660):
        await store.commit([row(str(n))])
        await store.commit(outcomes=died(str(n)))
    assert lost(caplog) == [11, 11]
    assert await letters(store) == [str(n) for n in range(22, 660)]
    await store.close()


async def test_bytes_are_bounded_too(make: Maker) -> None:
    store = make(Retention(max_bytes=400_000))
    await store.open()
    big = [replace(row(str(n)), payload="x" * 30_000) for n in range(30)]
    for each in big[:15]:
        await store.commit([each], handled(each.key))
    names = [each.key for each in big]
    known = set(await store.known(ME, names))
    assert 8 <= len(known) < 15
    assert "14" in known
    assert "0" not in known
    with pytest.raises(StoreFull, match="max_bytes of 400000 bytes"):
        await store.commit(big[15:])
    assert set(await store.known(ME, names)) == known
    await store.commit(big[15:23])
    assert len(await waiting(store)) == 8
    await store.close()


async def test_past_a_bound_of_bytes_settled_letters_go_like_handled_messages(
    make: Maker,
) -> None:
    store = make(Retention(max_bytes=600_000))
    await store.open()
    content = "x" * 30_000
    await store.commit([replace(row("first"), payload=content)], handled("first"))
    for n in range(30):
        make.clock.now += 1200
        await store.post(letter(str(n), content=content))
        await store.mark(ME, str(n), "sent")
    await store.post(letter("waits", content=content))
    assert await store.commit([row("a")], handled("a"))
    left = [each.name for each in await store.settled(ME, 100)]
    assert left == [str(n) for n in range(30 - len(left), 30)]
    assert 8 <= len(left) < 21
    assert set(await store.known(ME, ["first", "a"])) == {"a"}
    make.clock.now += 1200
    await store.post(letter("new", content=content))
    await store.mark(ME, "new", "sent")
    big = [replace(row(str(n)), payload=content) for n in range(15)]
    assert len(await store.commit(big)) == 15
    settled = [each.name for each in await store.settled(ME, 100)]
    assert settled == [*left, "new"][len(left) + 1 - len(settled) :]
    assert [each.name for each in await store.unsent(ME)] == ["waits"]
    await store.close()


async def test_a_letter_that_was_settled_just_now_goes_with_what_is_near(make: Maker) -> None:
    store = make(Retention(max_bytes=600_000))
    await store.open()
    content, here = "x" * 30_000, 1_767_225_600_000_000
    await store.commit([replace(row("far"), payload=content)], handled("far"))
    near = replace(row("near"), payload=content, position=here)
    await store.commit([near], handled("near"), received={ME: here})
    make.clock.now += 1
    await store.post(letter("a", content=content))
    await store.mark(ME, "a", "sent")
    names = iter(range(100))
    gone: list[str] = []
    while len(gone) < 3:
        await store.commit([replace(row(str(next(names))), payload=content)])
        left = {*await store.known(ME, ["far", "near"])}
        left |= {each.name for each in await store.settled(ME, 9)}
        gone += sorted({"far", "near", "a"} - left - set(gone))
    assert gone == ["far", "near", "a"]
    await store.close()
