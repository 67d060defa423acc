from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xyfast.errors import StateError
from xyfast.lanes import Lane, Lanes

ME, OTHER = "9000000000001", "9000000000002"
A, B, C = (ME, "a"), (ME, "b"), (ME, "c")


def in_turn(lanes: Lanes[str]) -> list[str]:
    """Everything that waits, one after the other."""
    items = []
    while batch := lanes.take():
        for lane, item in batch:
            items.append(item)
            lanes.done(lane)
    return items


def test_one_item_of_a_lane_runs_at_a_time_in_order() -> None:
    lanes: Lanes[int] = Lanes(10)
    for item in (1, 2, 3):
        lanes.put(A, item)
    assert lanes.take() == [(A, 1)]
    assert lanes.take() == []
    lanes.done(A)
    assert lanes.take() == [(A, 2)]


def test_lanes_run_beside_each_other_up_to_the_limit() -> None:
    lanes: Lanes[int] = Lanes(2)
    for lane in (A, B, C):
        lanes.put(lane, 1)
    assert lanes.take() == [(A, 1), (B, 1)]
    lanes.done(B)
    assert lanes.take() == [(C, 1)]
    assert (lanes.running, len(lanes)) == (2, 0)


def test_a_busy_lane_waits_behind_the_others() -> None:
    lanes: Lanes[str] = Lanes(1)
    for item in ("a1", "a2", "a3"):
        lanes.put(A, item)
    lanes.put(B, "b1")
    assert in_turn(lanes) == ["a1", "b1", "a2", "a3"]


def test_done_without_a_running_item_is_refused() -> None:
    with pytest.raises(StateError):
        Lanes[int](1).done(A)


def test_clear_forgets_what_waits_and_keeps_what_runs() -> None:
    lanes: Lanes[int] = Lanes(1)
    lanes.put(A, 1)
    lanes.put(A, 2)
    lanes.put(B, 3)
    lanes.take()
    assert lanes.clear() == [2, 3]
    lanes.done(A)
    assert lanes.take() == []
    assert (lanes.running, len(lanes)) == (0, 0)


def test_an_account_with_many_lanes_takes_turns_with_the_others() -> None:
    lanes: Lanes[str] = Lanes(1)
    for number in range(4):
        lanes.put((ME, str(number)), f"mine {number}")
    lanes.put((OTHER, "x"), "other 0")
    lanes.put((OTHER, "x"), "other 1")
    assert in_turn(lanes) == ["mine 0", "other 0", "mine 1", "other 1", "mine 2", "mine 3"]


def test_a_resting_lane_frees_its_place_and_lets_nothing_pass() -> None:
    lanes: Lanes[str] = Lanes(1)
    lanes.put(A, "a1")
    lanes.put(A, "a2")
    lanes.put(B, "b1")
    assert lanes.take() == [(A, "a1")]
    lanes.rest(A)
    lanes.put(A, "a3")
    assert lanes.take() == [(B, "b1")]
    lanes.done(B)
    assert lanes.take() == []
    lanes.wake(A, "a1 again")
    assert len(lanes) == 3
    assert in_turn(lanes) == ["a1 again", "a2", "a3"]


def test_what_does_not_run_cannot_rest_and_what_does_not_rest_cannot_wake() -> None:
    lanes: Lanes[int] = Lanes(1)
    with pytest.raises(StateError):
        lanes.rest(A)
    lanes.put(A, 1)
    lanes.take()
    with pytest.raises(StateError):
        lanes.wake(A, 1)
    lanes.rest(A)
    with pytest.raises(StateError):
        lanes.done(A)


def test_clear_forgets_resting_lanes_too() -> None:
    lanes: Lanes[int] = Lanes(1)
    lanes.put(A, 1)
    lanes.take()
    lanes.rest(A)
    assert lanes.clear() == []
    with pytest.raises(StateError):
        lanes.wake(A, 1)


LANES: list[Lane] = [(account, name) for account in (ME, OTHER, "3") for name in ("a", "b", None)]


@given(
    limit=st.integers(1, 5),
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "done", "rest", "wake"]), st.integers(0, 8)),
        max_size=200,
    ),
)
def test_any_history_keeps_order_and_bound_and_loses_nothing(
    limit: int, steps: list[tuple[str, int]]
) -> None:
    lanes: Lanes[int] = Lanes(limit)
    put: dict[Lane, list[int]] = {lane: [] for lane in LANES}
    ended: dict[Lane, list[int]] = {lane: [] for lane in LANES}
    running: dict[Lane, int] = {}
    resting: dict[Lane, int] = {}

    def take() -> None:
        for lane, item in lanes.take():
            assert lane not in running
            assert lane not in resting
            running[lane] = item
        assert len(running) <= limit
        closed = running.keys() | resting.keys()
        if len(running) < limit:  # no place stays empty
            assert all(len(put[lane]) == len(ended[lane]) for lane in put if lane not in closed)

    for number, (what, which) in enumerate(steps):
        if what == "put":
            lanes.put(LANES[which], number)
            put[LANES[which]].append(number)
        elif what == "wake" and resting:
            lane = list(resting)[which % len(resting)]
            lanes.wake(lane, resting.pop(lane))
        elif what != "wake" and running:
            lane = list(running)[which % len(running)]
            item = running.pop(lane)
            if what == "rest":
                lanes.rest(lane)
                resting[lane] = item
            else:
                lanes.done(lane)
                ended[lane].append(item)
        take()
    while running or resting:
        for lane in list(resting):
            lanes.wake(lane, resting.pop(lane))
        for lane in list(running):
            lanes.done(lane)
            ended[lane].append(running.pop(lane))
        take()
    assert ended == put
    assert len(lanes) == 0


@given(lanes_of=st.lists(st.integers(1, 6), min_size=2, max_size=5), turns=st.integers(1, 80))
def test_of_accounts_and_lanes_that_always_have_work_none_gets_more_than_a_turn_ahead(
    lanes_of: list[int], turns: int
) -> None:
    lanes: Lanes[int] = Lanes(1)
    ran = {(str(a), str(n)): 0 for a, count in enumerate(lanes_of) for n in range(count)}
    for lane in ran:
        lanes.put(lane, 0)
    for _ in range(turns):
        [(lane, _item)] = lanes.take()
        ran[lane] += 1
        lanes.put(lane, 0)
        lanes.done(lane)
    by_account = [[ran[str(a), str(n)] for n in range(count)] for a, count in enumerate(lanes_of)]
    assert all(max(own) - min(own) <= 1 for own in by_account)
    totals = [sum(own) for own in by_account]
    assert max(totals) - min(totals) <= 1


def test_an_account_that_is_dropped_leaves_the_others_and_what_runs() -> None:
    lanes: Lanes[int] = Lanes(2)
    for number, lane in enumerate([("a", "1"), ("b", "1"), ("a", "1"), ("a", "2"), ("b", "2")]):
        lanes.put(lane, number)
    assert lanes.take() == [(("a", "1"), 0), (("b", "1"), 1)]
    lanes.rest(("a", "1"))
    assert sorted(lanes.drop("a")) == [2, 3]
    assert len(lanes) == 1
    assert lanes.take() == [(("b", "2"), 4)]
    lanes.put(("a", "1"), 5)  # it does not rest any more
    lanes.done(("b", "1"))
    assert lanes.take() == [(("a", "1"), 5)]
