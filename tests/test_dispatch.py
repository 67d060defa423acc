"""Handlers: who gets what, in which order, and what a failing one costs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from simulation.loop import simulate
from xyfast.dispatch import Delivery, Dispatcher, Router
from xyfast.errors import ConfigError
from xyfast.instrumentation import Fact, Hooks, Retried
from xyfast.messages import ChatMessage, Expired, Gap, GroupMessage, Message, OrderNotice, Typing
from xyfast.store import DeadLetter

ME = "9000000000001"


def chat(key: str, conversation: str = "70000000011", **facts: object) -> ChatMessage:
    return ChatMessage(account_id=ME, key=key, conversation_id=conversation, text=key, **facts)  # type: ignore[arg-type]


class Desk:
    """A dispatcher and the list of what it reported."""

    def __init__(
        self, *, limit: int = 100, timeout: float = 60.0, retries: int = 0, dice: float = 0.5
    ) -> None:
        self.router = Router()
        self.finished: list[tuple[str | None, DeadLetter | None]] = []
        self.news = asyncio.Event()
        self.facts: list[Fact] = []
        self.dispatcher = Dispatcher(
            self.router,
            self._note,
            Hooks([self.facts.append]),
            limit=limit,
            timeout=timeout,
            retries=retries,
            retry_wait=1.0,
            dice=lambda: dice,
        )

    def _note(self, delivery: Delivery, letter: DeadLetter | None) -> None:
        self.finished.append((delivery.key, letter))
        self.news.set()

    def give(self, *messages: Message) -> None:
        for message in messages:
            self.dispatcher.put(Delivery(message, message.key))
        self.dispatcher.start()

    async def until(self, count: int) -> None:
        async def enough() -> None:
            while len(self.finished) < count:
                self.news.clear()
                await self.news.wait()

        await asyncio.wait_for(enough(), 10)


def takes(router: Router, message: object) -> list[str]:
    return [handler.__name__ for _, handler in router.handlers(message)]  # type: ignore[attr-defined, arg-type]


def test_a_handler_gets_its_class_and_what_derives_from_it() -> None:
    router = Router()

    @router.on(Message)
    async def all_messages(message: Message) -> None: ...

    @router.on(ChatMessage)
    async def chats(message: ChatMessage) -> None: ...

    assert takes(router, chat("a")) == ["all_messages", "chats"]
    assert takes(router, OrderNotice(account_id=ME, key="o")) == ["all_messages"]
    assert takes(router, GroupMessage(account_id=ME, key="g")) == ["all_messages"]
    assert takes(router, Expired(chat("a"))) == []
    assert takes(router, Gap(account_id=ME, start=1, end=2, reason="r")) == []


def test_own_messages_are_for_those_who_ask() -> None:
    router = Router()

    @router.on(ChatMessage)
    async def peers(message: ChatMessage) -> None: ...

    @router.on(ChatMessage, own=True)
    async def everyone(message: ChatMessage) -> None: ...

    assert takes(router, chat("a")) == ["peers", "everyone"]
    assert takes(router, chat("a", origin="seller")) == ["everyone"]
    assert takes(router, chat("a", origin="client")) == ["everyone"]


def test_what_cannot_be_a_handler_is_refused_at_once() -> None:
    router = Router()
    with pytest.raises(ConfigError, match="message class"):
        router.on(str)  # type: ignore[type-var]
    with pytest.raises(ConfigError, match="must be an async function"):
        router.on(ChatMessage)(lambda message: None)  # type: ignore[arg-type, return-value]


def test_names_of_handlers_stay_when_others_are_added_in_front() -> None:
    async def answer(message: Message) -> None: ...

    async def note(message: Message) -> None: ...

    before, after = Router(), Router()
    for router, handlers in ((before, [answer, answer]), (after, [note, answer, answer])):
        for handler in handlers:
            router.on(ChatMessage)(handler)
    old, new = ([name for name, _ in each.handlers(chat("a"))] for each in (before, after))
    assert new[1:] == old
    assert len(set(new)) == 3


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


def typed(handler: Callable[[ChatMessage], Awaitable[object]]) -> None:
    """`on` gives the function back as it was, so that it can be called in tests."""
    assert Router().on(ChatMessage)(handler) is handler


def test_the_decorated_function_stays_what_it_was() -> None:
    async def handler(message: ChatMessage) -> None: ...

    typed(handler)


# --- retries --------------------------------------------------------------------------


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
    class Odd(BaseException):
        pass

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
    assert desk.dispatcher.running == 0


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


async def test_what_no_handler_takes_does_not_wait_for_its_lane() -> None:
    desk, gate = Desk(limit=1), asyncio.Event()

    @desk.router.on(ChatMessage)
    async def handle(message: ChatMessage) -> None:
        await gate.wait()

    desk.give(chat("slow", "1"), Typing(account_id=ME, key="t", conversation_id="1"))
    assert desk.finished == [("t", None)]
    gate.set()
    await desk.until(2)
