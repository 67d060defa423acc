"""What a driver keeps of its account, on a wire in memory and a virtual clock."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from simulation.loop import simulate
from simulation.told import SimFrame, SimOpened
from wire import BASE, ME, Desk, push, sample, working
from wire import Tokens as Giver
from xyfast import Account, Gap, State, Token
from xyfast.errors import SendUnknown, StoreError
from xyfast.events import LinkLost
from xyfast.instrumentation import Fact, Hooks, LoopBlocked, StateChanged
from xyfast.retry import Trouble
from xyfast.store import MemoryStore


class Forgetful(MemoryStore):
    """Keeps session material only while it works."""

    works = True
    tries = 0
    error: Exception = StoreError("no")

    async def save_session(self, account_id: str, blob: str) -> None:
        self.tries += 1
        if not self.works:
            raise self.error
        await super().save_session(account_id, blob)


def account(name: str) -> Account:
    return Account.from_cookies(f"unb={ME}; _m_h5_tk={name}_1; cookie2=b")


@pytest.mark.parametrize("error", [StoreError("no"), RuntimeError("words")])
def test_new_cookies_are_saved_once_the_store_works_the_last_ones_alone(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        store = Forgetful()
        store.error = error
        async with working(store) as desk:
            await desk.client.add(account("first"))
            store.works, before = False, store.tries
            for name in ("second", "third"):
                desk.client.replace_credentials(account(name))
                await asyncio.sleep(5.0)
            assert before < store.tries <= before + 11  # one at a time, each second
            store.works = True
            await asyncio.sleep(2.0)
            kept = json.loads((await store.load(ME)).session or "")
            assert kept["cookies"]["_m_h5_tk"] == "third_1"
            done = store.tries
            await asyncio.sleep(5.0)
            assert store.tries == done

    simulate(main())
    told = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert [r.getMessage().partition(" (")[0] for r in told] == ["session material not saved yet"]
    assert "words" not in caplog.text


def test_what_was_not_saved_is_saved_at_the_end_and_nothing_is_tried_after_it() -> None:
    async def main() -> None:
        store = Forgetful()
        async with working(store, store_retry=60.0) as desk:
            await desk.client.add(account("first"))
            store.works = False
            desk.client.replace_credentials(account("second"))
            await asyncio.sleep(5.5)
            store.works = True
        done = store.tries
        desk.client.replace_credentials(account("third"))
        await asyncio.sleep(100.0)
        assert not asyncio.all_tasks() - {asyncio.current_task()}
        assert store.tries == done
        await store.open()
        kept = json.loads((await store.load(ME)).session or "")
        assert kept["cookies"]["_m_h5_tk"] == "second_1"

    simulate(main())


def test_a_gap_that_widens_while_its_handlers_work_is_told_once_more() -> None:
    async def main() -> None:
        async with working() as desk:
            told, gate = gaps_of(desk)
            await desk.connect()
            for _ in range(3):
                desk.driver().unread()
                await asyncio.sleep(1.0)
            assert len(told) == 1
            kept = json.loads((await desk.store.load(ME)).session or "")["gaps"]
            gate.set()
            await desk.until(lambda: len(told) == 2)
            await asyncio.sleep(1.0)
            first, second = told
            assert (second.start, second.end) == (first.start, first.end + 2000)
            assert [Gap(**gap) for gap in kept] == [second]
            assert json.loads((await desk.store.load(ME)).session or "")["gaps"] == []

    simulate(main())


def test_gaps_that_are_kept_and_wait_are_bounded() -> None:
    async def main() -> None:
        async with working() as desk:
            told, gate = gaps_of(desk)
            await desk.connect()
            gaps = [
                Gap(account_id=ME, start=n, end=n + 1, reason=f"no {n}", conversation_id=str(n))
                for n in range(3000)
            ]
            for gap in gaps:
                desk.driver().gaps.tell([gap])
            dispatcher = desk.client._dispatcher
            await asyncio.sleep(1.0)
            assert dispatcher.waiting + dispatcher.running <= 1001
            kept = json.loads((await desk.store.load(ME)).session or "")["gaps"]
            assert len(kept) <= 1001
            gate.set()
            await desk.until(lambda: not (dispatcher.waiting + dispatcher.running))
            assert set(gaps[:1000]) <= set(told)
            assert any((gap.conversation_id, gap.end) == (None, 3000) for gap in told)
            assert min(gap.start for gap in told if gap.conversation_id is None) == 1000

    simulate(main())


def gaps_of(desk: Desk) -> tuple[list[Gap], asyncio.Event]:
    """What the handler of gaps was given; it ends when the event is set."""
    told: list[Gap] = []
    gate = asyncio.Event()

    @desk.client.on(Gap)
    async def note(gap: Gap) -> None:
        told.append(gap)
        await gate.wait()

    return told, gate


@pytest.mark.parametrize("error", [StoreError("no"), RuntimeError("words")])
def test_a_client_whose_store_fails_can_be_closed(error: Exception) -> None:
    async def main() -> None:
        store = Forgetful()
        store.error = error
        async with working(store) as desk:
            await desk.client.add(account("first"))
            store.works = False
            desk.client.replace_credentials(account("second"))
            await asyncio.sleep(5.0)
        assert not asyncio.all_tasks() - {asyncio.current_task()}

    simulate(main())


def test_a_link_whose_registration_has_an_answer_that_cannot_be_read_is_open() -> None:
    """The text is JSON; Python reads no number of so many digits."""

    async def main() -> None:
        async with working() as desk:
            await desk.client.add(account("first"))
            await asyncio.sleep(0.01)
            link = desk.driver().session.dialling
            text = f'{{"code":200,"headers":{{"mid":"1 0","x":{"9" * 5000}}}}}'
            desk.client._switchboard.on_events([SimOpened(link, SimFrame(link, text))])  # type: ignore[list-item]
            assert desk.driver().state is State.CONNECTED

    simulate(main())


class Odd(BaseException):
    """What nobody catches."""


@pytest.mark.parametrize("error", [ValueError("words"), asyncio.CancelledError(), Odd("words")])
def test_an_observer_that_raises_whatever_costs_nothing(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(fact: Fact) -> None:
        raise error

    async def main() -> None:
        async with working() as desk:
            desk.observer = fail
            await desk.connect()
            for number in range(3):
                desk.flood(range(number, number + 1), 1)
                await desk.until(lambda number=number: len(desk.handled) > number)
            assert len(desk.wire.acked) == 3

    simulate(main())
    assert "hook raised (fact=Committed)" in caplog.text
    assert "words" not in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_observer_may_end_the_program(error: type[BaseException]) -> None:
    def fail(fact: object) -> None:
        raise error

    with pytest.raises(error):
        Hooks([fail])(LoopBlocked(1.0))


def test_an_observer_that_pauses_an_account_leaves_no_link_behind() -> None:
    """It is told in the midst of what the account is about to do."""

    async def main() -> None:
        async with working() as desk:
            await desk.connect()

            def pause(fact: Fact) -> None:
                if isinstance(fact, StateChanged) and fact.new is State.CONNECTING:
                    desk.client.pause(ME)

            desk.observer = pause
            driver = desk.driver()
            driver.feed(LinkLost(driver.session.link, Trouble.LINK, "synthetic"))
            await desk.until(lambda: driver.state is State.DISCONNECTED)
            await asyncio.sleep(10.0)
            links = set()
            for what, link in desk.wire.log:
                if what == "dial":
                    links.add(link)
                elif what == "close":
                    links.discard(link)
            assert links == {1}  # the one that was lost

    simulate(main())


def test_what_a_transport_raises_costs_nothing_else_that_follows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = ValueError("words")

    async def main() -> None:
        async with working() as desk:
            await desk.connect()

            def fail(link: int) -> None:
                raise error

            def resume(fact: Fact) -> None:
                if isinstance(fact, StateChanged) and fact.new is State.DISCONNECTED:
                    desk.client.resume(ME)

            desk.wire.close = fail  # type: ignore[method-assign]
            desk.observer = resume
            desk.client.pause(ME)
            assert desk.driver().state is State.CONNECTING
            assert desk.wire.told("dial") == [1, 2]

    simulate(main())
    assert "action failed" in caplog.text
    assert "words" not in caplog.text


def test_a_transport_that_raises_whatever_is_asked_again() -> None:
    async def main() -> None:
        async with working() as desk:
            dial, errors = desk.wire.dial, [ValueError("words"), OSError(24, "words")]

            def fail(*rest: Any) -> None:
                if errors:
                    raise errors.pop()
                dial(*rest)

            desk.wire.dial = fail  # type: ignore[method-assign]
            await desk.client.add(account("first"))
            await desk.until(lambda: desk.wire.told("dial"))

    simulate(main())


def test_a_token_provider_that_is_cancelled_by_its_own_doing_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give, calls = Giver.token, []

    async def token(self: Giver, *rest: Any) -> Token:
        calls.append(rest)
        if len(calls) == 1:
            raise asyncio.CancelledError
        return await give(self, *rest)

    async def main() -> None:
        async with working() as desk:
            await desk.client.add(account("first"))
            await desk.until(lambda: desk.wire.told("dial"))

    monkeypatch.setattr(Giver, "token", token)
    simulate(main())


def test_a_send_whose_history_is_refused_is_no_task_that_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with working() as desk:
            await desk.connect()
            sending = asyncio.create_task(desk.client.send_text(ME, "1", "x", peer_id="2"))

            def asked() -> list[Any]:
                path = "/r/MessageManager/listUserMessages"
                return [sent for sent in desk.wire.told("send") if sent["lwp"] == path]

            await desk.until(asked)
            mid = asked()[-1]["headers"]["mid"]
            text = f'{{"code":403,"headers":{{"mid":"{mid}"}},"body":{{"reason":"no"}}}}'
            desk.driver().calls.answered(SimFrame(desk.driver().session.link, text))
            with pytest.raises(SendUnknown, match="its history is refused"):
                await sending

    simulate(main())
    assert "a task failed" not in caplog.text


def test_no_position_passes_a_gap_that_is_not_kept() -> None:
    """After a crash nobody would know of it."""

    async def main() -> None:
        store = Forgetful()

        async def position_after(number: int) -> list[int]:
            desk.give(push(number, sample(number)))
            await desk.until(lambda: number in desk.numbers)
            kept, sync = await store.load(ME), desk.driver().sync
            return [each // 1000 - BASE for each in (kept.received, sync.received)]

        async with working(store, grace=0.1) as desk:

            @desk.client.on(Gap)
            async def ponder(gap: Gap) -> None:
                await asyncio.Event().wait()

            await desk.connect()
            assert await position_after(1) == [1, 1]
            store.works = False
            desk.driver().unread()
            assert await position_after(1000) == [1, 1]
            store.works = True
            await desk.until(lambda: not desk.driver()._saving.unsaved)
            assert await position_after(2000) == [2000, 2000]

    simulate(main())


def test_the_gap_of_a_frame_that_cannot_be_read_has_room_for_its_way() -> None:
    """What the server's clock shows is known from answers, which take their time."""

    async def main() -> None:
        told: list[Gap] = []
        async with working() as desk:

            @desk.client.on(Gap)
            async def note(gap: Gap) -> None:
                told.append(gap)

            await desk.connect()
            desk.driver().calls.told(BASE)
            desk.driver().unread()
            await desk.until(lambda: told)
            assert told[0].end == BASE + 2000

    simulate(main())
