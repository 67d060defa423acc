from __future__ import annotations

from xyfast.holdback import Holdback


def test_what_is_not_held_passes() -> None:
    assert Holdback[str](10).put(5, "a") == ["a"]


def test_what_is_held_comes_out_by_position_and_then_by_arrival() -> None:
    held = Holdback[str](10)
    held.hold()
    arrivals = [(20, "live"), (5, "again"), (7, "one"), (7, "two")]
    assert [item for pts, name in arrivals for item in held.put(pts, name)] == []
    assert held.release() == ["again", "one", "two", "live"]
    assert held.put(30, "next") == ["next"]
    assert held.release() == []


def test_without_room_all_is_let_go() -> None:
    held = Holdback[int](3)
    held.hold()
    assert held.put(3, 3) == held.put(2, 2) == []
    assert held.put(1, 1) == [1, 2, 3]
    assert held.put(9, 9) == [9]
