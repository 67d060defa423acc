"""How far an account has got."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from xyfast.ledger import Ledger


def test_the_cursor_stands_before_the_lowest_message_that_is_not_handled() -> None:
    ledger = Ledger(5)
    ledger.taken(10)
    ledger.taken(20)
    ledger.stored(20)
    ledger.handled(20)
    assert (ledger.cursor, ledger.received) == (9, 20)
    ledger.handled(10)
    assert ledger.cursor == 20


def test_messages_at_one_position_are_all_waited_for() -> None:
    ledger = Ledger(5)
    ledger.taken(10)
    ledger.taken(10)
    ledger.stored(10)
    ledger.handled(10)
    assert ledger.cursor == 9
    ledger.handled(10)
    assert ledger.cursor == 10


def test_what_waits_on_disk_holds_the_cursor_like_what_is_taken() -> None:
    ledger = Ledger(5)
    ledger.waits(12)
    ledger.waits(15)
    ledger.stored(30)
    assert ledger.cursor == 11
    ledger.taken(12)
    ledger.paged(15)
    ledger.handled(12)
    assert ledger.cursor == 14
    ledger.paged(None)
    assert ledger.cursor == 30


def test_after_a_restart_nothing_moves_before_the_store_has_said_what_waits() -> None:
    ledger = Ledger(None, 30)
    ledger.waits(0)
    ledger.stored(40)
    assert (ledger.cursor, ledger.received) == (None, 40)
    ledger.paged(35)
    assert ledger.cursor == 34


def test_a_cursor_without_a_position_received_is_one() -> None:
    assert Ledger(7).received == 7
    assert (Ledger().cursor, Ledger().received) == (None, None)


def test_what_lies_beyond_the_position_received_does_not_count_as_handled() -> None:
    ledger = Ledger(5)
    ledger.taken(100)  # came before the server knew our position
    ledger.stored(None)
    ledger.stored(50)
    assert ledger.cursor == 50
    ledger.handled(100)
    assert ledger.cursor == 50


def test_the_servers_position_is_taken_over_and_never_moves_anything_back() -> None:
    ledger = Ledger()
    ledger.begin(200)
    ledger.begin(100)
    assert (ledger.cursor, ledger.received) == (200, 200)


def test_the_servers_position_does_not_pass_a_message_that_is_not_handled() -> None:
    ledger = Ledger(5)
    ledger.taken(10)
    ledger.begin(200)
    assert (ledger.cursor, ledger.received) == (9, 200)
    ledger.handled(10)
    assert ledger.cursor == 200


POSITIONS = st.integers(1, 60)
STEPS = st.one_of(
    st.tuples(st.just("taken"), POSITIONS),
    st.tuples(st.just("stored"), POSITIONS),
    st.tuples(st.just("handled"), st.integers(0, 100)),
    st.tuples(st.just("waits"), POSITIONS),
    st.tuples(st.just("paged"), st.integers(0, 3)),
)


@given(start=st.none() | POSITIONS, steps=st.lists(STEPS, max_size=200))
def test_the_ledger_is_what_its_words_say(start: int | None, steps: list[tuple[str, int]]) -> None:
    ledger = Ledger(start)
    cursor = received = start
    taken: Counter[int] = Counter()
    disk: list[int] = []
    for what, number in steps:
        if what == "taken":
            ledger.taken(number)
            taken[number] += 1
        elif what == "stored":
            ledger.stored(number)
            received = max(received or 0, number)
        elif what == "handled" and taken:
            position = sorted(taken)[number % len(taken)]
            ledger.handled(position)
            taken -= Counter([position])
        elif what == "waits":
            ledger.waits(number)
            disk.append(number)
        elif what == "paged":
            disk.sort()
            for position in disk[:number]:
                ledger.taken(position)
                taken[position] += 1
            del disk[:number]
            ledger.paged(min(disk, default=None))
        lowest = min([*taken, *disk], default=61)
        if received is not None and min(received, lowest - 1) > (cursor or 0):
            cursor = min(received, lowest - 1)
        assert (ledger.cursor, ledger.received) == (cursor, received)
    for position in disk:
        ledger.taken(position)
        taken[position] += 1
    ledger.paged(None)
    for position in list(taken.elements()):
        ledger.handled(position)
    ledger.stored(61)
    assert ledger.cursor == 61


def test_a_stuck_message_does_not_make_the_ledger_grow() -> None:
    ledger = Ledger()
    ledger.taken(1)
    for position in range(2, 20_000):
        ledger.taken(position)
        ledger.stored(position)
        ledger.handled(position)
    assert ledger.cursor is None
    assert len(ledger._heap) < 200
    ledger.handled(1)
    assert ledger.cursor == 19_999
