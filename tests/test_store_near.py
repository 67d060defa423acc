"""What is next to an account's position is forgotten last: it will be seen in the lists again."""

from __future__ import annotations

from pathlib import Path

import pytest

from stores import DAY, ME, OTHER, Maker, died, handled, row
from xyfast.store import MemoryStore, Retention, Store
from xyfast.store.retention import NEAR

HERE = 1_767_225_600_000_000


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Maker:
    return Maker(request.param, tmp_path / "x.db")


async def known(store: Store, keys: str = "abcdef", account: str = ME) -> str:
    return "".join(sorted(await store.known(account, list(keys))))


async def test_time_does_not_make_forget_what_is_near_the_position(make: Maker) -> None:
    store = make()
    await store.open()
    rows = [row("a", position=HERE - NEAR - 1), row("b", position=HERE - NEAR)]
    rows += [row("c", position=HERE), row("d", position=HERE + 1), row("e", OTHER, position=HERE)]
    await store.commit(rows, handled("a", "b", "c", "d"), received={ME: HERE})
    await store.commit(outcomes=handled("e", account=OTHER))
    make.clock.now += 8 * DAY
    assert await store.sweep() == 2
    assert await known(store) == "bcd"
    assert not await store.known(OTHER, ["e"])  # that account has no position
    await store.commit(received={ME: HERE + NEAR + 1})
    assert await store.sweep() == 2
    assert await known(store) == "d"
    await store.close()


async def test_what_is_near_is_kept_for_thirty_days_more(make: Maker) -> None:
    store = make(Retention(keep=DAY, keep_dead=2 * DAY))
    await store.open()
    rows = [row("a", position=HERE), row("b", position=HERE), row("c", position=HERE)]
    await store.commit(rows, [*handled("a"), *died("b")], received={ME: HERE})
    make.clock.now += 31 * DAY - 1
    assert await store.sweep() == 0
    make.clock.now += 1
    assert await store.sweep() == 1
    assert await known(store) == "bc"
    make.clock.now += DAY
    assert await store.sweep() == 1
    assert await known(store) == "c"
    await store.close()


async def test_a_row_that_is_handled_again_goes_when_it_was_last_handled(make: Maker) -> None:
    store = make(Retention(max_rows=3))
    await store.open()
    for key in "abc":
        await store.commit([row(key, position=1)], handled(key), received={ME: HERE})
        make.clock.now += 1
    await store.revive(ME, ["a"])
    await store.commit(outcomes=handled("a"))
    for new, left in (("d", "acd"), ("e", "ade")):
        await store.commit([row(new, position=HERE)])
        assert await known(store) == left
    await store.close()


async def test_what_is_near_is_not_looked_at_for_each_that_goes() -> None:
    looks = 0

    class Position(int):
        def __ge__(self, other: int) -> bool:
            nonlocal looks
            looks += 1
            return int(self) >= other

        def __lt__(self, other: int) -> bool:
            nonlocal looks
            looks += 1
            return int(self) < other

    store = MemoryStore(Retention(max_rows=600))
    await store.open()
    near = [row(str(n), position=Position(HERE + n)) for n in range(500)]
    await store.commit(near, handled(*(each.key for each in near)), received={ME: HERE})
    looks = 0
    for n in range(300):
        far = row(str(n), OTHER, position=n)
        await store.commit([far], handled(far.key, account=OTHER), received={OTHER: HERE})
    assert len(await store.known(ME, [each.key for each in near])) == 500
    assert looks < 1000
    await store.close()


async def test_past_a_bound_what_is_near_the_position_goes_last(make: Maker) -> None:
    store = make(Retention(max_rows=3))
    await store.open()
    for key, position in (("a", HERE), ("b", 1), ("c", 2)):
        await store.commit([row(key, position=position)], received={ME: HERE})
        make.clock.now += 1
        await store.commit(outcomes=handled(key))
    await store.commit([row("d", position=HERE)])
    assert await known(store) == "acd"
    await store.commit([row("e", position=HERE)])
    assert await known(store) == "ade"
    await store.commit([row("f", position=HERE)])
    assert await known(store) == "def"
    await store.close()
