from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xyfast.errors import StateError
from xyfast.lanes import Lanes


def test_one_item_of_a_lane_runs_at_a_time_in_order() -> None:
    lanes: Lanes[int] = Lanes(10)
    for item in (1, 2, 3):
        lanes.put("a", item)
    assert lanes.take() == [("a", 1)]
    assert lanes.take() == []
    lanes.done("a")
    assert lanes.take() == [("a", 2)]


def test_lanes_run_beside_each_other_up_to_the_limit() -> None:
    lanes: Lanes[int] = Lanes(2)
    for lane in "abc":
        lanes.put(lane, 1)
    assert lanes.take() == [("a", 1), ("b", 1)]
    lanes.done("b")
    assert lanes.take() == [("c", 1)]
    assert (lanes.running, len(lanes)) == (2, 0)


def test_a_busy_lane_waits_behind_the_others() -> None:
    lanes: Lanes[str] = Lanes(1)
    for item in ("a1", "a2", "a3"):
        lanes.put("a", item)
    lanes.put("b", "b1")
    taken = []
    while batch := lanes.take():
        [(lane, item)] = batch
        taken.append(item)
        lanes.done(lane)
    assert taken == ["a1", "b1", "a2", "a3"]


def test_done_without_a_running_item_is_refused() -> None:
    with pytest.raises(StateError):
        Lanes[int](1).done("a")


def test_clear_forgets_what_waits_and_keeps_what_runs() -> None:
    lanes: Lanes[int] = Lanes(1)
    lanes.put("a", 1)
    lanes.put("a", 2)
    lanes.take()
    assert lanes.clear() == 1
    lanes.done("a")
    assert lanes.take() == []
    assert (lanes.running, len(lanes)) == (0, 0)


@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=200),
)
def test_any_history_keeps_order_and_bound_and_loses_nothing(
    limit: int, steps: list[tuple[bool, int]]
) -> None:
    lanes: Lanes[int] = Lanes(limit)
    put: dict[int, list[int]] = {lane: [] for lane in range(5)}
    taken: dict[int, list[int]] = {lane: [] for lane in range(5)}
    running: list[int] = []

    def take() -> None:
        for lane, item in lanes.take():
            assert isinstance(lane, int)
            assert lane not in running
            running.append(lane)
            taken[lane].append(item)
        assert len(running) <= limit

    for number, (is_put, which) in enumerate(steps):
        if is_put:
            lanes.put(which, number)
            put[which].append(number)
        elif running:
            lanes.done(running.pop(which % len(running)))
        take()
    while running:
        lanes.done(running.pop(0))
        take()
    assert taken == put
    assert len(lanes) == 0
