"""Handlers that fail are tried again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from handlers import ME, Desk, chat
from simulation.loop import simulate
from xyfast.dispatch import Delivery
from xyfast.instrumentation import Retried
from xyfast.messages import ChatMessage, Expired, Gap


def test_a_handler_that_fails_is_tried_again_after_a_wait_that_doubles() -> None:
    async def main() -> None:
        desk, seen = Desk(retries=2), []
        loop = asyncio.get_running_loop()

        @desk.router.on(ChatMessage)
        async def handle(message: ChatMessage) -> None:
            seen.append((loop.time(), message.key, message.redelivered))
            if message.key == "bad":
                raise LookupError

        desk.give(chat("bad", redelivered=3), chat("next"))
        await desk.until(2)
        # The wait is half of its bound by the dice of the test: 0.5 s, then 1 s.
        assert seen == [(0.0, "bad", 3), (0.5, "bad", 4), (1.5, "bad", 5), (1.5, "next", 0)]
        [(bad, letter), (good, nothing)] = desk.finished
        assert (bad, good, nothing) == ("bad", "next", None)
        assert letter is not None
        assert letter.reason.endswith("handle raised LookupError")
        assert [(f.key, f.tries, f.wait) for f in desk.facts if isinstance(f, Retried)] == [
            ("bad", 1, 0.5),
            ("bad", 2, 1.0),
        ]

    simulate(main())


def test_the_log_tells_each_try_and_the_dead_letter_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        desk = Desk(retries=2)

        @desk.router.on(ChatMessage)
        @desk.router.on(Gap)
        async def handle(message: ChatMessage | Gap) -> None:
            raise LookupError

        desk.give(chat("bad"))
        desk.dispatcher.put(Delivery(Gap(account_id=ME, start=1, end=2, reason="r")))
        desk.dispatcher.start()
        await desk.until(2)

    simulate(main())
    lines = [record.getMessage().partition("\n")[0] for record in caplog.records]
    tries = [line for line in lines if line.startswith("handler raised") and "key=bad" in line]
    assert [line.rpartition("try=")[2] for line in tries] == ["1 of 3)", "2 of 3)", "3 of 3)"]
    [end] = [line for line in lines if line.startswith("dead letter")]  # a gap is none
    assert end.startswith(f"dead letter, see `xyfast dead` (account={ME}, key=bad, reason=")
    assert end.endswith("handle raised LookupError)")


class Hasty(asyncio.SelectorEventLoop):
    """Runs a timer of less than half a millisecond in the next round, as some loops do."""

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        if delay < 0.0005:
            return self.call_soon(callback, *args, context=context)
        return super().call_later(delay, callback, *args, context=context)


def test_a_new_try_without_a_wait_is_made_on_every_loop() -> None:
    async def main() -> None:
        desk, ran = Desk(retries=2, dice=0.0), []

        @desk.router.on(ChatMessage)
        async def handle(message: ChatMessage) -> None:
            ran.append(message.key)
            if ran.count("bad") < 3:
                raise LookupError

        desk.give(chat("bad"), chat("next"))
        await desk.until(2)
        assert ran == ["bad", "bad", "bad", "next"]

    with contextlib.closing(Hasty()) as loop:
        loop.run_until_complete(main())


def test_handlers_that_have_succeeded_are_not_run_again() -> None:
    async def main() -> None:
        desk, ran = Desk(retries=2), []

        @desk.router.on(ChatMessage)
        async def good(message: ChatMessage) -> None:
            ran.append("good")

        @desk.router.on(ChatMessage)
        async def flaky(message: ChatMessage) -> None:
            ran.append("flaky")
            if ran.count("flaky") < 3:
                raise OSError

        desk.give(chat("a"))
        await desk.until(1)
        assert ran == ["good", "flaky", "flaky", "flaky"]
        assert desk.finished == [("a", None)]

    simulate(main())


def test_a_message_that_waits_for_its_next_try_takes_no_place_from_others() -> None:
    async def main() -> None:
        desk, ran = Desk(limit=1, retries=1), []

        @desk.router.on(ChatMessage)
        async def handle(message: ChatMessage) -> None:
            ran.append(message.key)
            if ran == ["a1"]:
                raise OSError

        desk.give(chat("a1", "1"), chat("a2", "1"))
        await asyncio.sleep(0.1)
        desk.give(chat("b1", "2"), chat("b2", "2"))
        await desk.until(4)
        assert ran == ["a1", "b1", "b2", "a1", "a2"]

    simulate(main())


def test_a_handler_that_hangs_is_tried_again_too() -> None:
    async def main() -> None:
        desk, tries = Desk(timeout=5.0, retries=1), 0

        @desk.router.on(ChatMessage)
        async def handle(message: ChatMessage) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                await asyncio.Event().wait()

        desk.give(chat("a"))
        await desk.until(1)
        assert (desk.finished, tries) == ([("a", None)], 2)
        assert asyncio.get_running_loop().time() == 5.5

    simulate(main())


def test_expired_messages_and_gaps_are_tried_again_like_the_rest() -> None:
    async def main() -> None:
        desk, seen = Desk(retries=1), []

        @desk.router.on(Expired)
        async def late(expired: Expired) -> None:
            seen.append(expired.message.redelivered)
            raise OSError

        @desk.router.on(Gap)
        async def gap(gap: Gap) -> None:
            seen.append(gap.start)
            raise OSError

        desk.dispatcher.put(Delivery(Expired(chat("a")), "a"))
        desk.dispatcher.put(Delivery(Gap(account_id=ME, start=7, end=8, reason="r")))
        desk.dispatcher.start()
        await desk.until(2)
        assert sorted(seen) == [0, 1, 7, 7]
        assert sorted(key or "gap" for key, _ in desk.finished) == ["a", "gap"]

    simulate(main())


def test_stopping_leaves_what_waits_for_its_next_try_pending() -> None:
    async def main() -> None:
        desk, ran = Desk(retries=2), []

        @desk.router.on(ChatMessage)
        async def handle(message: ChatMessage) -> None:
            ran.append(message.key)
            await asyncio.sleep(1.0)
            raise OSError

        desk.give(chat("rests", "1"))
        await asyncio.sleep(1.2)
        desk.give(chat("fails", "2"))
        await asyncio.sleep(0.1)
        assert await desk.dispatcher.stop(10.0) == 0
        await asyncio.sleep(100.0)
        assert ran == ["rests", "fails"]
        assert desk.finished == []

    simulate(main())
