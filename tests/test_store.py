"""What every store promises; the SQLite one keeps it across a restart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stores import ME, OTHER, Maker, died, handled, keys, letter, row, waiting
from xyfast.errors import StoreError
from xyfast.store import DeadLetter, Kept, MemoryStore, Outcome, Store


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


async def test_depth_counts_what_waits_is_taken_and_is_dead_by_account(store: Store) -> None:
    assert dict(await store.depth()) == {}
    await store.commit([row(key, taken=key == "a") for key in "abcde"], [*handled("b"), *died("c")])
    await store.commit([row("a", OTHER), row("b", OTHER)])
    assert dict(await store.depth()) == {ME: (3, 1), OTHER: (2, 0)}
    await store.take(ME, 10)
    await store.commit(outcomes=[*handled("a", "d"), *died("e")])
    await store.commit(outcomes=handled("a", "b", account=OTHER))
    assert dict(await store.depth()) == {ME: (0, 2)}


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
    await store.commit(received={ME: 10, OTHER: 0})
    await store.commit(received={ME: 9})
    assert await store.load(ME) == Kept(10, 10, None)
    assert await store.load(OTHER) == Kept(0, 0, None)


async def test_the_cursor_stands_before_the_first_message_that_is_not_handled(store: Store) -> None:
    rows = [row("a", position=3), row("b", position=5, taken=True), row("c", position=9)]
    await store.commit([*rows, row("x", OTHER, position=1)])
    assert (await store.load(ME)).handled is None  # as long as there is no position
    await store.commit(received={ME: 7})
    assert await cursor(store) == 2
    assert keys((await store.take(ME, 1)).rows) == ["a"]
    assert await cursor(store) == 2  # what is taken is not handled
    await store.commit(outcomes=handled("a"))
    assert await cursor(store) == 4
    await store.untake([(ME, "b")])
    assert await cursor(store) == 4
    await store.commit(outcomes=died("b"))
    assert await cursor(store) == 7  # what is stored beyond the position is not counted
    await store.revive(ME, ["a"])
    assert await cursor(store) == 2
    await store.commit([row("late", position=1)], handled("a", "c"), received={ME: 20})
    assert await cursor(store) == 0
    await store.commit(outcomes=handled("late"))
    assert await cursor(store) == 20
    assert (await store.load(OTHER)).handled is None


async def cursor(store: Store) -> int | None:
    kept = await store.load(ME)
    assert kept.received is not None
    return kept.handled


async def test_session_material_is_kept_by_account(store: Store) -> None:
    await store.save_session(ME, "one")
    await store.save_session(ME, "two")
    await store.commit(received={ME: 5})
    assert await store.load(ME) == Kept(5, 5, "two")
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
    assert await waiting(store) == ["a", "b", "c", "d", "e"]


async def test_what_is_new_in_a_package_parts_nothing_that_waits(store: Store) -> None:
    """A replay tells the order in several packages, and only one of them has something new."""
    await store.commit([row(name, position=5) for name in "bcde"])
    await store.commit([row("f", position=5), row("g", position=6)])
    first = [row("b", position=5), row("new", position=5, follows=True)]
    second = [row("c", position=5, follows=True), row("d", position=5)]
    await store.commit([*first, *second, row("e", position=5, follows=True)])
    assert await waiting(store) == ["b", "new", "c", "d", "e", "f", "g"]


async def test_what_waits_keeps_its_order_whatever_packages_leave_out(store: Store) -> None:
    await store.commit([row(name, position=5) for name in "abcd"])
    package = [row(name, position=5, follows=name != "new") for name in ("new", "b", "d", "last")]
    await store.commit(package)
    assert await waiting(store) == ["a", "new", "b", "c", "d", "last"]


async def test_what_has_no_id_of_its_own_tells_no_order_when_it_comes_again(store: Store) -> None:
    await store.commit([row(name, position=5) for name in ("digest:a", "b", "d")])
    package = [row(name, position=5) for name in ("c", "digest:a", "digest:e", "d")]
    await store.commit([package[0], *(replace(each, follows=True) for each in package[1:])])
    assert await waiting(store) == ["digest:a", "b", "c", "digest:e", "d"]


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
    assert await store.load(ME) == Kept(10, 0, "blob")
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


# --- secrets --------------------------------------------------------------------------


def test_no_repr_shows_a_text() -> None:
    assert "payload of" not in repr(row("a"))
    assert "contentType" not in repr(letter("a"))
    assert "blob" not in repr(Kept(1, 1, "blob"))


async def test_a_look_at_an_account_does_not_go_through_the_rows_of_others() -> None:
    class Counted(str):
        __slots__ = ()
        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return str.__eq__(self, other)

    store = MemoryStore()
    await store.open()
    other = Counted(OTHER)
    await store.commit([row(f"{n}", other, position=n) for n in range(1000)], received={ME: 9})
    await store.commit([row("a", position=5), row("b", position=7)], handled("a"))
    Counted.compared = 0
    assert await store.load(ME) == Kept(9, 6, None)
    assert dict(await store.depth()) == {ME: (1, 0), OTHER: (1000, 0)}
    assert Counted.compared < 10
