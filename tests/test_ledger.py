from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xyfast.ledger import Ledger


def test_the_cursor_is_the_contiguous_prefix() -> None:
    ledger = Ledger()
    assert not ledger.stored(10, ["a"])
    assert not ledger.stored(20, ["b"])
    assert not ledger.handled("b")
    assert ledger.cursor is None
    assert ledger.handled("a")
    assert ledger.cursor == 20


def test_a_push_with_several_messages_waits_for_all_of_them() -> None:
    ledger = Ledger(5)
    ledger.stored(10, ["a", "b"])
    ledger.handled("a")
    assert ledger.cursor == 5
    ledger.handled("b")
    assert ledger.cursor == 10


def test_a_known_message_holds_the_cursor_only_while_it_is_open() -> None:
    ledger = Ledger(5)
    ledger.recovered(["old"])
    ledger.stored(10, [], ["old", "long handled"])
    assert ledger.cursor == 5
    ledger.handled("old")
    assert ledger.cursor == 10


def test_recovered_messages_hold_back_a_cursor_that_was_never_set() -> None:
    ledger = Ledger()
    ledger.recovered(["old"])
    ledger.stored(10, ["new"])
    ledger.handled("new")
    assert ledger.cursor is None
    ledger.handled("old")
    assert ledger.cursor == 10


def test_a_push_without_position_or_out_of_order_never_moves_the_cursor_back() -> None:
    ledger = Ledger(50)
    assert not ledger.stored(10, [])
    assert not ledger.stored(None, [])
    assert ledger.cursor == 50


def test_the_servers_position_is_taken_over_and_never_moves_the_cursor_back() -> None:
    ledger = Ledger()
    ledger.begin(200)
    ledger.begin(100)
    assert ledger.cursor == 200


def test_a_push_whose_position_does_not_count_still_holds_the_cursor_back() -> None:
    ledger = Ledger(5)
    ledger.stored(None, ["ahead"])
    ledger.stored(10, [])
    assert ledger.cursor == 5
    ledger.handled("ahead")
    assert ledger.cursor == 10


def test_what_is_stored_is_received_whether_or_not_it_is_handled() -> None:
    ledger = Ledger(5)
    assert ledger.received == 5
    ledger.stored(10, ["slow"])
    ledger.stored(None, ["ahead"])
    ledger.stored(20, ["fast"])
    ledger.handled("fast")
    assert (ledger.cursor, ledger.received) == (5, 20)
    assert Ledger().received is None


@given(
    pushes=st.lists(st.lists(st.integers(0, 30), max_size=4), max_size=20),
    order=st.randoms(use_true_random=False),
)
def test_the_cursor_never_passes_an_open_message_and_ends_at_the_last_push(
    pushes: list[list[int]], order: object
) -> None:
    ledger, first_push, opened = Ledger(), {}, set()
    for index, numbers in enumerate(pushes):
        keys = {str(number) for number in numbers}
        new = keys - opened
        for key in new:
            first_push[key] = index
        opened |= new
        ledger.stored(index + 1, sorted(new), sorted(keys - new))
    left = sorted(opened)
    order.shuffle(left)  # type: ignore[attr-defined]
    while left:
        key = left.pop()
        ledger.handled(key)
        lowest = min((first_push[key] for key in left), default=len(pushes))
        assert (ledger.cursor or 0) <= lowest
        assert ledger.open == len(left)
    assert (ledger.cursor or 0) == len(pushes)
