"""Pushes of several payloads, over a store that fails at random: what may be acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.loop import simulate
from wire import BASE, ME, Ward, push, reopened, sample, working
from xyfast._core import Frame
from xyfast.errors import StoreError, StoreFull
from xyfast.store import Outcome, Row
from xyfast.testing import samples

BAD = samples.bad_msgpack()
ERRORS: list[type[Exception]] = [StoreError, StoreFull, RuntimeError]

PUSHES = st.lists(st.lists(st.integers(0, 15), min_size=1, max_size=5), min_size=1, max_size=10)
"""The messages of each push; some come again in it, or in another one, and 0 cannot be read."""
WAITS = st.lists(st.sampled_from([0.0, 0.001, 0.01, 1.5]), min_size=10, max_size=10)
FAILS = st.lists(st.none() | st.none() | st.sampled_from(ERRORS), max_size=30)
"""What calls of the store raise, one after the other; the others work."""


class Moody(Ward):
    """A store whose calls take a moment and fail as planned, and which looks at itself.

    What is ``wrong`` is written down, since the intake survives whatever a store raises.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fails: Iterator[type[Exception] | None] = iter(())
        self.given: list[Frame] = []
        self.payloads: set[str] = set()
        self.wrong: list[str] = []

    async def commit(
        self, rows: Sequence[Row] = (), outcomes: Sequence[Outcome] = (), **positions: Any
    ) -> Collection[tuple[str, str]]:
        await asyncio.sleep(0.003)
        error = next(self.fails, None)
        if error is not None and (rows or error is not StoreFull):
            raise error("no")
        new = await super().commit(rows, outcomes, **positions)
        self.payloads |= {row.payload for row in rows}
        await self.look()
        await asyncio.sleep(0.002)
        return new

    def holds(self, frame: Frame) -> bool:
        return all(payload.text in self.payloads for payload in frame.payloads)

    async def look(self) -> None:
        """The position covers whole pushes only, the cursor what is handled."""
        kept = await self.load(ME)
        assert kept.received is not None
        assert kept.handled is not None
        covered = [frame for frame in self.given if (frame.max_pts or 0) <= kept.received]
        if not all(map(self.holds, covered)):
            self.wrong.append("the position covers a push that is not stored")
        if kept.handled > kept.received:
            self.wrong.append("the cursor is beyond the position")
        if any(kept.handled >= slot.row.position for slot in self._open.values()):
            self.wrong.append("the cursor passes a message that is not handled")

    def acknowledged(self, frames: Sequence[Frame]) -> None:
        if not all(map(self.holds, frames)):
            self.wrong.append("a push is acknowledged that is not stored")


@given(PUSHES, WAITS, FAILS, st.sampled_from([1, 3, 64]), st.sampled_from([1, 10_000]))
@settings(max_examples=200)
def test_a_push_is_acknowledged_when_all_that_it_carries_is_stored(
    pushes: list[list[int]],
    waits: list[float],
    fails: list[type[Exception] | None],
    batch: int,
    known: int,
) -> None:
    async def main() -> None:
        store = Moody()
        async with working(store, commit_batch=batch, dedup_size=known) as desk:
            await store.commit(received={ME: BASE * 1000})
            await desk.connect()
            store.fails = iter(fails)
            acknowledge = desk.wire.ack

            def ack(frames: Sequence[Frame]) -> int:
                store.acknowledged(frames)
                return acknowledge(frames)

            desk.wire.ack = ack  # type: ignore[method-assign]
            for number, (messages, wait) in enumerate(zip(pushes, waits, strict=False), 1):
                entries = [sample(each) if each else BAD for each in messages]
                store.given.append(push(number, *entries))
                desk.give(store.given[-1])
                await asyncio.sleep(wait)
            told = {each for messages in pushes for each in messages if each}
            await desk.until(
                lambda: (
                    store.wrong
                    or (len(desk.wire.acked) == len(pushes) and len(desk.handled) == len(told))
                )
            )
            assert store.wrong == []
        assert desk.wire.acked == [frame.mid for frame in store.given]
        assert sorted(desk.numbers) == sorted(told)
        kept = await reopened(store)
        assert kept.handled == kept.received == (BASE + len(pushes)) * 1000

    simulate(main())
