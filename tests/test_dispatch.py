"""Handlers: in which order they run, how many at once, and what a failing one costs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re

import pytest

from handlers import ME, Desk, chat
from simulation.loop import simulate
from xyfast import Secret
from xyfast.dispatch import Delivery
from xyfast.logs import told, words_shown
from xyfast.messages import ChatMessage, Expired, Typing


async def test_an_object_with_an_async_call_is_a_handler() -> None:
    class Counter:
        count = 0

        async def __call__(self, message: ChatMessage) -> None:
            self.count += 1

    desk, counter = Desk(), Counter()
    desk.router.on(ChatMessage)(counter)
    desk.give(chat("a"))
    await desk.until(1)
    assert counter.count == 1


async def test_one_conversation_is_handled_in_order_others_beside_it() -> None:
    desk, gate, log = Desk(), asyncio.Event(), []

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        log.append(message.key)
        if message.key == "a1":
            await gate.wait()

    desk.give(chat("a1", "1"), chat("a2", "1"), chat("b1", "2"))
    await desk.until(1)
    assert log == ["a1", "b1"]
    gate.set()
    await desk.until(3)
    assert log == ["a1", "b1", "a2"]
    assert [key for key, _ in desk.finished] == ["b1", "a1", "a2"]


async def test_no_more_than_the_limit_run_at_once() -> None:
    desk, running, most = Desk(limit=3), 0, 0

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    desk.give(*(chat(str(n), str(n)) for n in range(20)))
    await desk.until(20)
    assert most == 3


async def test_a_handler_that_raises_is_logged_and_costs_only_its_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        if message.key == "bad":
            raise LookupError(f"no such item: {message.text}")

    with caplog.at_level(logging.ERROR, "xyfast"):
        desk.give(chat("bad"), chat("good"))
        await desk.until(2)
    [(bad, letter), (good, nothing)] = desk.finished
    assert (bad, good, nothing) == ("bad", "good", None)
    assert letter is not None
    assert letter.reason.endswith("handle raised LookupError")
    [record] = caplog.records
    assert record.getMessage().startswith("handler raised (account=9000000000001, key=bad, ")
    assert record.key == "bad"  # type: ignore[attr-defined]
    # The lines it came through are shown, its words are not: they may quote the message.
    assert "in handle" in record.getMessage()
    assert "no such item: bad" not in logging.Formatter().format(record)


async def test_the_words_of_what_a_handler_raises_are_shown_to_who_wants_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk, secret = Desk(), Secret("synthetic-canary")

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        raise LookupError(f"no item {message.key}\n{secret.reveal()}")

    class WordlessError(Exception):
        def __str__(self) -> str:
            raise ValueError

    with words_shown():
        assert told(WordlessError()) == "WordlessError"
    with caplog.at_level(logging.ERROR, "xyfast"), words_shown(), words_shown():
        desk.give(chat("a"))
        await desk.until(1)
    desk.give(chat("b"))
    await desk.until(2)
    [(_, shown), (_, hidden)] = desk.finished
    assert shown is not None
    assert hidden is not None
    assert shown.reason.endswith("handle raised LookupError: no item a\\n<secret>")
    assert hidden.reason.endswith("handle raised LookupError")
    first, second, _ = [record.getMessage() for record in caplog.records]
    assert first.endswith("\nLookupError: no item a\\n<secret>")
    assert second.endswith("\nLookupError")


async def test_who_debugs_is_told_of_each_message_and_not_what_it_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        assert message.text

    with caplog.at_level(logging.DEBUG, "xyfast"):
        desk.give(chat("a"))
        await desk.until(1)
    received, handled = caplog.records
    assert received.getMessage() == (
        "message received (account=9000000000001, key=a, kind=ChatMessage, handlers=1)"
    )
    assert re.fullmatch(
        r"message handled \(account=9000000000001, key=a, handler=\S+\.handle, took=\S+ s, "
        r"try=1 of \d\)",
        handled.getMessage(),
    )


async def test_a_timeout_error_of_the_handler_itself_is_its_own_failure() -> None:
    desk = Desk()

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        raise TimeoutError

    desk.give(chat("a"))
    await desk.until(1)
    [(_, letter)] = desk.finished
    assert letter is not None
    assert letter.reason.endswith("raised TimeoutError")


async def test_a_handler_that_hangs_is_cancelled_and_the_next_message_comes() -> None:
    desk, cancelled = Desk(timeout=0.01), []

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        if message.key == "hangs":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(message.key)
                raise

    desk.give(chat("hangs"), chat("next"))
    await desk.until(2)
    [(_, letter), (_, nothing)] = desk.finished
    assert letter is not None
    assert letter.reason.endswith("took longer than 0.01 s")
    assert nothing is None
    assert cancelled == ["hangs"]


async def test_a_handler_that_is_cancelled_by_its_own_doing_is_a_dead_letter() -> None:
    desk = Desk()

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        helper = asyncio.ensure_future(asyncio.Event().wait())
        helper.cancel()
        await helper

    desk.give(chat("a"), chat("b"))
    await desk.until(2)
    assert [letter and letter.reason.endswith("was cancelled") for _, letter in desk.finished] == [
        True,
        True,
    ]


async def test_a_handler_that_refuses_to_end_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("xyfast.dispatch._LAST_WORD", 0.01)
    desk, started, gate = Desk(), asyncio.Event(), asyncio.Event()

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        started.set()
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    desk.give(chat("a"))
    await started.wait()
    assert await asyncio.wait_for(desk.dispatcher.stop(0.0), 5.0) == 1
    gate.set()
    await desk.until(1)


async def test_every_handler_of_a_message_runs_also_after_a_failure() -> None:
    desk, ran = Desk(), []

    @desk.router.on(ChatMessage)
    async def first(message: ChatMessage) -> None:
        raise ValueError

    @desk.router.on(ChatMessage)
    async def second(message: ChatMessage) -> None:
        ran.append("second")

    desk.give(chat("a"))
    await desk.until(1)
    assert ran == ["second"]
    assert desk.finished[0][1] is not None


async def test_a_message_that_nobody_takes_is_done_in_its_turn() -> None:
    desk = Desk()
    desk.give(Typing(account_id=ME, key="t", conversation_id="1"))
    assert desk.finished == [("t", None)]


async def test_stopping_lets_running_handlers_finish_and_starts_no_more() -> None:
    desk, gate, started = Desk(), asyncio.Event(), asyncio.Event()

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        started.set()
        await gate.wait()

    desk.give(chat("running"), chat("waiting"))
    await started.wait()
    stopping = asyncio.ensure_future(desk.dispatcher.stop(10.0))
    await asyncio.sleep(0)
    gate.set()
    assert await stopping == 0
    assert desk.finished == [("running", None)]


async def test_a_handler_that_outlives_the_grace_time_is_cut_off_and_not_reported() -> None:
    desk, started = Desk(), asyncio.Event()

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        started.set()
        await asyncio.Event().wait()

    desk.give(chat("a"))
    await started.wait()
    assert await desk.dispatcher.stop(0.0) == 1
    assert desk.finished == []
    assert desk.dispatcher.running == 0


class Odd(BaseException):
    pass


@pytest.mark.parametrize("answer", [ConnectionError, Odd])
async def test_a_handler_that_answers_being_cut_off_with_an_error_is_not_reported(
    answer: type[BaseException],
) -> None:
    desk, started, seen = Desk(), asyncio.Event(), []

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise answer from None

    @desk.router.on(ChatMessage)
    async def other(message: ChatMessage) -> None:
        seen.append(message)

    desk.give(chat("a"))
    await started.wait()
    assert await desk.dispatcher.stop(0.0) == 1
    assert (desk.finished, seen) == ([], [])


def test_a_handler_that_goes_on_when_it_is_cancelled_is_cancelled_again() -> None:
    async def main() -> None:
        desk, cancelled = Desk(timeout=2.0), 0

        @desk.router.on(ChatMessage)
        async def handle(message: ChatMessage) -> None:
            nonlocal cancelled
            while message.key == "a":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    cancelled += 1
                    if cancelled == 3:
                        raise

        desk.give(chat("a"), chat("next"))
        await desk.until(2)
        assert (cancelled, asyncio.get_running_loop().time()) == (3, 6.0)
        [(key, letter), nothing] = desk.finished
        assert (key, nothing) == ("a", ("next", None))
        assert letter is not None
        assert "took longer than 2 s" in letter.reason

    simulate(main())


def test_a_handler_may_wait_with_a_bound_after_another_was_cancelled() -> None:
    async def main() -> None:
        desk, bound = Desk(timeout=2.0), []

        @desk.router.on(ChatMessage)
        async def swallows(message: ChatMessage) -> None:
            for _ in range(2):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()

        @desk.router.on(ChatMessage)
        async def waits(message: ChatMessage) -> None:
            task = asyncio.current_task()
            bound.append(getattr(task, "cancelling", int)())

        desk.give(chat("a"))
        await desk.until(1)
        assert bound == [0]

    simulate(main())


async def test_a_handler_that_raises_what_is_no_exception_costs_only_its_message() -> None:
    desk = Desk(limit=1)

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        if message.key == "bad":
            raise Odd

    desk.give(chat("bad"), chat("next"))
    await desk.until(2)
    [(key, letter), nothing] = desk.finished
    assert (key, nothing) == ("bad", ("next", None))
    assert letter is not None
    assert "Odd" in letter.reason
    await asyncio.sleep(0)  # the end of a task is told by the event loop
    assert desk.dispatcher.running == 0


async def test_what_no_handler_takes_does_not_wait_for_its_lane() -> None:
    desk, gate = Desk(limit=1), asyncio.Event()

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        await gate.wait()

    desk.give(chat("slow", "1"), Typing(account_id=ME, key="t", conversation_id="1"))
    assert desk.finished == [("t", None)]
    gate.set()
    await desk.until(2)


def test_expired_messages_without_a_handler_are_counted_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        desk = Desk()

        def expire(count: int) -> None:
            for _ in range(count):
                desk.dispatcher.put(Delivery(Expired(chat("old")), "old"))

        expire(3)
        desk.dispatcher.put(Delivery(chat("young"), "young"))  # no handler either, and no news
        await asyncio.sleep(2.0)
        expire(2)
        await asyncio.sleep(50.0)
        expire(2)
        assert counts() == [3]
        await asyncio.sleep(10.0)
        assert counts() == [3, 4]
        await asyncio.sleep(1000.0)
        expire(1)
        await desk.dispatcher.stop(1.0)
        assert counts() == [3, 4, 1]

    def counts() -> list[int]:
        return [getattr(r, "count") for r in caplog.records if r.name == "xyfast.unheard"]  # noqa: B009

    simulate(main())
