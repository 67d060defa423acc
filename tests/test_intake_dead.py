"""Payloads that cannot be read: dead letters, which keep nothing else back."""

from __future__ import annotations

from typing import Any

import pytest

from simulation.loop import simulate
from wire import ME, OTHER, Ward, push, sample, working
from xyfast import envelope
from xyfast.instrumentation import Finished
from xyfast.messages import Undecodable
from xyfast.store import DeadLetter
from xyfast.testing import samples


def test_a_payload_that_cannot_be_read_is_a_dead_letter_and_told_once() -> None:
    async def main() -> None:
        seen: list[Undecodable] = []
        store = Ward()
        async with working(store) as desk:

            @desk.client.on(Undecodable)
            async def note(message: Undecodable) -> None:
                seen.append(message)

            await desk.connect()
            desk.give(push(1, sample(1), samples.bad_msgpack(), sample(2)))
            await desk.until(lambda: len(desk.handled) == 2 and seen)
            [(_, row)] = await store.dead_letters(ME)
            assert isinstance(row.dead, DeadLetter)
            assert row.dead.reason.startswith("msgpack: ")
            await desk.until(lambda: not store._open)

    simulate(main())


@pytest.mark.parametrize("reader", ["read", "to_message"])
@pytest.mark.parametrize("backlog", [1000, 2])
def test_what_raises_on_reading_is_a_dead_letter_and_keeps_nothing_else_back(
    reader: str, backlog: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = getattr(envelope, reader)

    def read(what: Any, *args: Any, **options: Any) -> Any:
        words = getattr(what, "text", str(what))
        if words is not None and "synthetic secret" in words:
            raise LookupError(words)
        return real(what, *args, **options)

    async def main() -> None:
        store, seen = Ward(), []
        async with working(store, backlog=backlog) as desk:

            @desk.client.on(Undecodable)
            async def note(message: Undecodable) -> None:
                seen.append((message.stage, message.reason))
                raise ValueError

            await desk.connect(ME, OTHER)
            monkeypatch.setattr(envelope, reader, read)
            bad = sample(2, words="synthetic secret")
            desk.give(push(3, sample(1), bad, sample(3)))
            desk.give(push(4, sample(4)), account=OTHER)
            await desk.until(lambda: len(desk.handled) == 3 and len(desk.wire.acked) == 2 and seen)
            await desk.until(lambda: not store._open)
            assert desk.in_order()
            assert set(seen) == {("read", "LookupError")}
        await store.open()
        assert [row.dead.reason for _, row in await store.dead_letters() if row.dead] == [
            "read: LookupError"
        ]
        assert not (await store.take(ME, 10)).rows

    simulate(main())
    assert "synthetic secret" not in caplog.text
    assert "payload not read" in caplog.text


@pytest.mark.parametrize("handler", ["none", "fails", "takes it"])
def test_a_dead_letter_that_still_cannot_be_read_stays_one_unless_a_handler_takes_it(
    handler: str,
) -> None:
    async def main() -> None:
        store = Ward()
        async with working(store, handler_retries=0) as desk:
            await desk.connect()
            desk.give(push(1, samples.bad_msgpack()))
            await desk.until(lambda: desk.wire.acked)
            [(_, before)] = await store.dead_letters(ME)
            if handler != "none":

                @desk.client.on(Undecodable)
                async def look(message: Undecodable) -> None:
                    if handler == "fails":
                        raise ValueError

            await store.revive(ME, [before.key])
            store.by_other = [ME]
            await desk.until(lambda: any(isinstance(fact, Finished) for fact in desk.facts))
            after = [row.dead for _, row in await store.dead_letters(ME)]
            assert after == ([] if handler == "takes it" else [before.dead])

    simulate(main())
