"""What is next to an account's position is forgotten last: it will be seen in the lists again."""

from __future__ import annotations

from pathlib import Path

import pytest

from stores import DAY, ME, OTHER, Maker, handled, row
from xyfast.store import Retention, Store
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
