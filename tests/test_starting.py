"""A client whose parts cannot be opened: what was opened is closed, and the next try counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from simulation.loop import simulate
from wire import ME, OTHER, Desk, Wire
from xyfast import StoreError
from xyfast.secret import Secret
from xyfast.store import MemoryStore
from xyfast.transport import LinkEvent


class Part:
    """What is opened and closed; the first ``failures`` openings fail."""

    def __init__(self, error: Exception, failures: int) -> None:
        self.error, self.failures = error, failures
        self.asked = 0
        self.opened = 0
        """How often it is open now."""

    def open(self) -> None:
        self.asked += 1
        if self.asked <= self.failures:
            raise self.error
        self.opened += 1
        assert self.opened == 1


class PartStore(MemoryStore):
    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part

    async def open(self) -> None:
        await asyncio.sleep(1.0)
        self.part.open()

    async def close(self) -> None:
        self.part.opened -= 1


class PartSecrets:
    def __init__(self, part: Part) -> None:
        self.part = part

    async def open(self) -> None:
        self.part.open()

    async def load(self, account_id: str) -> Secret | None:
        return None

    async def save(self, account_id: str, material: Secret) -> None:
        pass

    async def close(self) -> None:
        self.part.opened -= 1


class PartWire(Wire):
    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part

    def start(self, sink: Callable[[Sequence[LinkEvent]], None]) -> None:
        self.part.open()
        super().start(sink)


@pytest.mark.parametrize("error", [StoreError("words"), OSError("words")], ids=["ours", "other"])
@pytest.mark.parametrize("failing", ["store", "secrets", "wire"])
def test_a_start_that_failed_closes_what_it_opened_and_is_tried_again(
    failing: str, error: Exception
) -> None:
    async def main() -> None:
        names = ("store", "secrets", "wire")
        parts = {name: Part(error, int(name == failing)) for name in names}
        desk = Desk(
            PartStore(parts["store"]),
            secrets=PartSecrets(parts["secrets"]),
            transport=PartWire(parts["wire"]),
        )
        with pytest.raises(type(error), match="words"):
            await desk.add(ME)
        assert [part.opened for part in parts.values()] == [0, 0, 0]
        await desk.add(ME)
        assert [part.opened for part in parts.values()] == [1, 1, 1]
        await desk.client.close()
        assert [part.opened for part in parts.values()] == [0, 0, 1]

    simulate(main())


def test_those_who_waited_for_a_start_that_failed_wait_for_one_other() -> None:
    async def main() -> None:
        part = Part(StoreError("words"), 1)
        desk = Desk(PartStore(part))
        failed = []

        async def add(account: str) -> None:
            try:
                await desk.add(account)
            except StoreError:
                failed.append(account)
                await desk.add(account)

        await asyncio.gather(add(ME), add(OTHER))
        assert failed == [ME, OTHER]
        assert part.asked == 2
        await desk.client.close()
        assert part.opened == 0

    simulate(main())


def test_a_start_that_failed_while_nobody_waited_is_tried_again() -> None:
    async def main() -> None:
        part = Part(StoreError("words"), 1)
        desk = Desk(PartStore(part))
        adding = asyncio.ensure_future(desk.add(ME))
        await asyncio.sleep(0.5)
        adding.cancel()
        await asyncio.sleep(1.0)
        await desk.add(ME)
        await desk.client.close()
        assert part.opened == 0

    simulate(main())


def test_a_run_that_is_closed_while_it_opens_ends_as_it_was_asked_to() -> None:
    async def main() -> None:
        part = Part(OSError("never"), 0)
        desk = Desk(PartStore(part))
        running = asyncio.ensure_future(desk.client.run())
        await asyncio.sleep(0.5)
        await desk.client.close()
        await running
        assert part.opened == 0

    simulate(main())
