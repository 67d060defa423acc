"""What every store promises; the SQLite one keeps it across a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from stores import DAY, ME, OTHER, Maker, died, handled, keys, letter, row, waiting
from xyfast.errors import StoreError, StoreFull
from xyfast.store import DeadLetter, Kept, MemoryStore, Outcome, Retention, Store


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Maker:
    return Maker(request.param, tmp_path / "x.db")


@pytest.fixture
async def store(make: Maker) -> AsyncIterator[Store]:
    store = make()
    await store.open()
    yield store
    await store.close()


async def test_each_is_a_store(store: Store) -> None:
    assert isinstance(store, Store)


# --- commit ---------------------------------------------------------------------------


async def test_commit_names_the_new_rows_once(store: Store) -> None:
    assert set(await store.commit([row("a"), row("b"), row("a")])) == {(ME, "a"), (ME, "b")}
    assert set(await store.commit([row("b"), row("c")])) == {(ME, "c")}
    assert not await store.commit()


async def test_the_same_key_of_two_accounts_is_two_messages(store: Store) -> None:
    assert len(set(await store.commit([row("a"), row("a", OTHER)]))) == 2
    assert await waiting(store) == ["a"]
    assert await waiting(store, OTHER) == ["a"]


async def test_a_row_comes_back_whole(store: Store) -> None:
    whole = row("a", conversation_id="70000000011", arrived=1767225601000, position=5)
    await store.commit([whole])
    assert list((await store.take(ME, 1)).rows) == [replace(whole, taken=True)]


async def test_a_taken_row_never_waits(store: Store) -> None:
    await store.commit([row("a", taken=True), row("b")])
    assert await waiting(store) == ["b"]


@pytest.mark.parametrize("end", [handled("a"), died("a")])
@pytest.mark.parametrize("taken", [True, False])
async def test_a_message_that_ended_stays_known(
    store: Store, end: list[Outcome], taken: bool
) -> None:
    await store.commit([row("a", taken=taken)])
    await store.commit(outcomes=end)
    assert not await store.commit([row("a")])
    assert not await waiting(store)


async def test_a_row_and_its_outcome_may_come_together(store: Store) -> None:
    assert set(await store.commit([row("a"), row("b")], handled("a"))) == {(ME, "a"), (ME, "b")}
    assert await waiting(store) == ["b"]


async def test_an_outcome_does_not_change_another(store: Store) -> None:
    await store.commit([row("a"), row("b")], [*handled("a"), *died("b", reason="first")])
    await store.commit(outcomes=[*died("a"), *handled("b"), *died("unheard of")])
    dead = [each for _, each in await store.dead_letters()]
    assert [(each.key, each.dead) for each in dead] == [("b", DeadLetter(reason="first"))]


async def test_a_row_that_cannot_be_decoded_never_waits(store: Store) -> None:
    dead = row("a", dead=DeadLetter(reason="msgpack: input ends inside a value", offset=7))
    assert set(await store.commit([dead])) == {(ME, "a")}
    assert not await waiting(store)
    assert not await store.commit([row("a")])
    assert [each for _, each in await store.dead_letters()] == [dead]


async def test_positions_are_kept_by_account_and_never_go_back(store: Store) -> None:
    assert await store.load(ME) == Kept(None, None, None)
    await store.commit(received={ME: 10, OTHER: 7}, cursors={ME: 5})
    await store.commit(received={ME: 9}, cursors={ME: 6, OTHER: 0})
    assert await store.load(ME) == Kept(6, 10, None)
    assert await store.load(OTHER) == Kept(0, 7, None)


async def test_session_material_is_kept_by_account(store: Store) -> None:
    await store.save_session(ME, "one")
    await store.save_session(ME, "two")
    await store.commit(cursors={ME: 5})
    assert await store.load(ME) == Kept(5, None, "two")
    assert await store.load(OTHER) == Kept(None, None, None)


async def test_known_are_those_with_a_row_in_whatever_state(store: Store) -> None:
    await store.commit([row("a"), row("b"), row("c"), row("d", taken=True)])
    await store.commit(outcomes=[*handled("a"), *died("b")])
    assert set(await store.known(ME, ["a", "b", "c", "d", "e"])) == {"a", "b", "c", "d"}
    assert not await store.known(OTHER, ["a"])


# --- the line -------------------------------------------------------------------------


async def test_rows_stand_in_line_by_position_then_by_coming(store: Store) -> None:
    await store.commit([row("late", position=9), row("b", position=5), row("a", position=5)])
    await store.commit([row("early", position=1)])
    page = await store.take(ME, 2)
    assert (keys(page.rows), page.waiting) == (["early", "b"], 5)
    page = await store.take(ME, 2)
    assert (keys(page.rows), page.waiting) == (["a", "late"], None)
    assert await store.take(ME, 2) == ([], None)


async def test_a_page_ends_with_the_row_that_makes_it_large_enough(store: Store) -> None:
    await store.commit([row(name, position=at) for at, name in enumerate("abcde")])
    length = len(row("a").payload)
    page = await store.take(ME, 9, size=1)
    assert (keys(page.rows), page.waiting) == (["a"], 1)
    page = await store.take(ME, 9, size=2 * length)
    assert (keys(page.rows), page.waiting) == (["b", "c"], 3)
    page = await store.take(ME, 9, size=3 * length)
    assert (keys(page.rows), page.waiting) == (["d", "e"], None)


async def test_a_known_row_moves_behind_what_is_new_before_it_in_its_package(store: Store) -> None:
    await store.commit([row("c", position=5), row("d", position=5), row("e", position=7)])
    package = [row("a", position=5), row("b", position=5), row("c", position=5)]
    await store.commit([package[0], *(replace(each, follows=True) for each in package[1:])])
    assert await waiting(store) == ["d", "a", "b", "c", "e"]


async def test_a_known_row_keeps_its_place_otherwise(
    store: Store,
) -> None:
    await store.commit([row("a", position=5), row("b", position=5), row("c", position=5)])
    again = [row("a", position=5), row("b", position=5, follows=True)]
    early = [row("early", position=1), row("a", position=5, follows=True)]
    await store.commit([*again, row("new", position=5), *again, *early])
    assert await waiting(store) == ["early", "a", "b", "c", "new"]


async def test_a_taken_row_that_comes_again_keeps_its_position(store: Store) -> None:
    await store.commit([row("a", position=5, taken=True)])
    await store.commit([row("new", position=3), row("a", position=3, follows=True)])
    assert await waiting(store) == ["new"]


async def test_skipped_conversations_stay_in_line(store: Store) -> None:
    await store.commit(
        [
            row("a", position=1, conversation_id="x"),
            row("b", position=2),
            row("c", position=3, conversation_id="y"),
            row("d", position=4, conversation_id="y"),
        ]
    )
    page = await store.take(ME, 1, skip={"x", None})
    assert (keys(page.rows), page.waiting) == (["c"], 1)
    page = await store.take(ME, 9, skip=["y"])
    assert (keys(page.rows), page.waiting) == (["a", "b"], 4)
    page = await store.take(ME, 9)
    assert (keys(page.rows), page.waiting) == (["d"], None)


async def test_what_stands_beyond_a_position_stays_in_line(store: Store) -> None:
    await store.commit([row("c", position=9), row("a", position=5), row("b", position=5)])
    page = await store.take(ME, 9, until=4)
    assert (keys(page.rows), page.waiting) == ([], 5)
    page = await store.take(ME, 9, until=5)
    assert (keys(page.rows), page.waiting) == (["a", "b"], 9)
    page = await store.take(ME, 9, until=2**70)
    assert (keys(page.rows), page.waiting) == (["c"], None)


class Looked(set[str | None]):
    """A set that counts how often it is asked."""

    times = 0

    def __contains__(self, name: object) -> bool:
        self.times += 1
        return super().__contains__(name)


async def test_the_rows_of_a_skipped_conversation_cost_a_page_nothing() -> None:
    store = MemoryStore()
    await store.open()
    await store.commit([row(str(n), position=n, conversation_id="x") for n in range(5000)])
    await store.commit([row(f"y{n}", position=9999, conversation_id="y") for n in range(4)])
    skip = Looked({"x"})
    for names in (["y0", "y1"], ["y2", "y3"]):
        page = await store.take(ME, 2, skip=skip)
        assert (keys(page.rows), page.waiting) == (names, 0)
    assert skip.times < 20
    await store.close()


async def test_what_was_taken_waits_again_after_a_restart(make: Maker) -> None:
    store = make()
    await store.open()
    await store.commit([row("a", position=1, taken=True), row("b", position=2), row("c")])
    await store.commit([], handled("c"), received={ME: 10})
    await store.save_session(ME, "blob")
    for restarts in (1, 2):
        await store.close()
        await store.open()
        page = await store.take(ME, 1)
        assert list(page.rows) == [row("a", position=1, taken=True, redelivered=restarts)]
        assert page.waiting == 2
    assert list((await store.take(ME, 1)).rows) == [row("b", position=2, taken=True)]
    assert await store.load(ME) == Kept(None, 10, "blob")
    assert not await store.commit([row("c")])
    await store.close()


async def test_a_closed_store_refuses(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreError):
        await store.commit([row("a")])
    with pytest.raises(StoreError):
        await store.sweep()


# --- dead letters ---------------------------------------------------------------------


async def test_dead_letters_are_numbered_and_come_in_pages(store: Store) -> None:
    await store.commit([row("a"), row("b"), row("x", OTHER), row("c")], died("c", "a", "b"))
    await store.commit(outcomes=[Outcome(OTHER, "x", DeadLetter(reason="r"))])
    first = await store.dead_letters(ME, limit=2)
    assert keys([each for _, each in first]) == ["a", "b"]
    last = await store.dead_letters(ME, after=first[-1][0], limit=2)
    assert keys([each for _, each in last]) == ["c"]
    assert keys([each for _, each in await store.dead_letters()]) == ["a", "b", "x", "c"]
    assert last[0][1].dead == DeadLetter(reason="a handler raised ValueError")


async def test_letters_keep_their_order_whenever_they_died(store: Store) -> None:
    names = [f"{n:02}" for n in range(40)]
    await store.commit([row(name) for name in names])
    for n in range(40):
        await store.commit(outcomes=died(names[n * 7 % 40]))
    await store.revive(ME, names[::3])
    await store.commit(outcomes=died(*names[::6]))
    expected = [name for n, name in enumerate(names) if n % 3 or n % 6 == 0]
    found = []
    after = 0
    while page := await store.dead_letters(ME, after=after, limit=7):
        found += keys([each for _, each in page])
        after = page[-1][0]
    assert found == expected
    assert not await store.dead_letters(OTHER)


async def test_revived_messages_wait_again_and_are_marked(store: Store) -> None:
    await store.commit([row("a", position=1), row("b", position=2), row("c", position=3)])
    await store.commit(outcomes=[*handled("a"), *died("b")])
    assert await store.revive(ME, ["b", "a", "c", "unheard of", "a"]) == 2
    assert list((await store.take(ME, 9)).rows) == [
        row("a", position=1, taken=True, redelivered=1),
        row("b", position=2, taken=True, redelivered=1),
        row("c", position=3, taken=True),
    ]
    assert not await store.dead_letters()
    assert not await store.revived()


# --- retention ------------------------------------------------------------------------


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
            await store.commit([row("d")], handled("c"), cursors={ME: 1})
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


# --- the outbox -----------------------------------------------------------------------


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


# --- secrets --------------------------------------------------------------------------


def test_no_repr_shows_a_text() -> None:
    assert "payload of" not in repr(row("a"))
    assert "contentType" not in repr(letter("a"))
    assert "blob" not in repr(Kept(1, 2, "blob"))
