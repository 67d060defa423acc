from __future__ import annotations

from xyfast.holdback import Holdback


def holding(most: int = 10) -> Holdback[str]:
    held = Holdback[str](most)
    held.hold()
    return held


def test_what_is_not_held_passes() -> None:
    assert Holdback[str](10).put("a", 5, "a") == ["a"]


def test_what_is_held_comes_out_by_position_and_then_by_arrival() -> None:
    held = holding()
    arrivals = [(20, "live"), (5, "again"), (7, "one"), (7, "two")]
    assert [item for pts, name in arrivals for item in held.put(name, pts, name)] == []
    assert held.release() == ["again", "one", "two", "live"]
    assert held.put("next", 30, "next") == ["next"]
    assert held.release() == []


def test_a_package_that_brings_a_held_item_again_tells_its_place() -> None:
    held = holding()
    held.put("live", 20, "live")
    held.put("missed", 20, "missed")  # in one package with "live", before it
    held.again("live", 20)
    held.again("never seen", 20)
    assert held.release() == ["missed", "live"]


def test_without_room_all_is_let_go() -> None:
    held = holding(3)
    assert held.put("3", 3, "3") == held.put("2", 2, "2") == []
    assert held.put("1", 1, "1") == ["1", "2", "3"]
    assert held.put("9", 9, "9") == ["9"]
