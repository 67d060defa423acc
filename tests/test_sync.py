"""When the server is told of a position, and until when messages are held back for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from simulation.loop import simulate
from simulation.told import SimFrame
from wire import BASE, ME, Desk, Ward, message, push, sample, working
from xyfast import Account
from xyfast.errors import StoreError
from xyfast.events import LinkOpened
from xyfast.messages import Gap
from xyfast.store import Row
from xyfast.testing import samples
from xyfast.testing.routes import model


class Forgetful(Ward):
    """A store that raises ``error`` instead of keeping a position."""

    error: Exception | None = None

    async def commit(self, rows: Sequence[Row] = (), *rest: Any, **named: Any) -> Any:
        if named.get("received") and self.error is not None:
            raise self.error
        return await super().commit(rows, *rest, **named)


ACK_DIFF, GET_STATE = "/r/SyncStatus/ackDiff", "/r/SyncStatus/getState"
CONVERSATIONS = "/r/Conversation/listNewestPagination"
HISTORY = "/r/MessageManager/listUserMessages"
GONE = {"reason": "token is not found"}


def asked(desk: Desk, lwp: str) -> list[Any]:
    return [frame for frame in desk.wire.told("send") if frame["lwp"] == lwp]


def bodies(desk: Desk, lwp: str) -> list[Any]:
    return [frame["body"] for frame in asked(desk, lwp)]


async def answer(desk: Desk, lwp: str, body: Any, code: int = 200) -> None:
    """Answer the last request of a kind, once there is one."""
    await desk.until(lambda: asked(desk, lwp))
    mid = asked(desk, lwp)[-1]["headers"]["mid"]
    frame = json.dumps({"code": code, "headers": {"mid": mid}, "body": body})
    driver = desk.driver()
    driver.calls.answered(SimFrame(driver.session.link, frame))


def conversation(modified: int, last: str | None = None, name: str = "1") -> Any:
    """An entry of the list of conversations."""
    inner = {"modifyTime": modified, "singleChatConversation": {"cid": f"{name}@goofish"}}
    if last is not None:
        inner["lastMessage"] = {"message": {"messageId": last}}
    return {"type": 1, "singleChatUserConversation": inner}


async def connect(desk: Desk, *, server_time: int | None) -> None:
    """Add the account and open a link; the server tells its time or not."""
    await desk.client.add(Account.from_cookies(f"unb={ME}; _m_h5_tk=a_1; cookie2=b"))
    await asyncio.sleep(0.01)
    driver = desk.driver()
    driver.calls.told(server_time)
    driver.sync.registered(server_time)
    driver.feed(LinkOpened(driver.session.dialling))


def test_where_an_account_begins_is_kept_before_the_server_is_told() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await connect(desk, server_time=None)
            await answer(desk, GET_STATE, {"pts": (BASE + 5000) * 1000})
            await desk.until(lambda: asked(desk, ACK_DIFF))
            assert (await store.load(ME)).received == (BASE + 5000) * 1000

    simulate(main())


def test_a_marker_from_long_before_our_position_has_nothing_fetched() -> None:
    async def main() -> None:
        hour = 3_600_000
        async with working() as desk:
            await connect(desk, server_time=BASE - 3 * hour)
            await answer(desk, ACK_DIFF, {})
            await answer(desk, CONVERSATIONS, {"hasMore": 0})
            await asyncio.sleep(1.0)
            sync = desk.driver().sync
            sync._follows = sync.confirmed = 0  # frames made by hand are of link 0
            desk.give(push(1, sample(1)))
            await desk.until(lambda: desk.handled)
            old = samples.marker("1", "5000000000098.PNM", BASE - 2 * hour)
            new = samples.marker("2", "5000000000099.PNM", BASE - 1000)
            desk.give(push(2, old, new))
            await asyncio.sleep(30.0)
            assert {body[0] for body in bodies(desk, HISTORY)} == {"2@goofish"}

    simulate(main())


@pytest.mark.parametrize("error", [StoreError("no"), RuntimeError("words"), OSError(5, "words")])
@pytest.mark.parametrize("told", [False, True])
def test_whatever_the_store_raises_the_account_is_caught_up_in_the_end(
    error: Exception, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A position is kept before the server is told of it, and when all is in order."""

    async def main() -> None:
        store = Forgetful()
        async with working(store) as desk:
            store.error = None if told else error
            await connect(desk, server_time=BASE)
            await asyncio.sleep(10.0)
            assert bool(asked(desk, ACK_DIFF)) == told
            if not told:
                store.error = None
            await answer(desk, ACK_DIFF, {})
            await desk.until(lambda: asked(desk, CONVERSATIONS))
            store.error = error if told else None
            await answer(desk, CONVERSATIONS, {"hasMore": 0})
            await desk.until(lambda: desk.driver().sync.confirmed is not None)
            store.error = None

    simulate(main())
    assert ("position not kept" if told else "not caught up yet") in caplog.text
    assert "words" not in caplog.text


@pytest.mark.parametrize("ahead", [0, 4_900, 600_000, 20 * 3_600_000])
@pytest.mark.parametrize("change", [60_000, 10 * 86_400_000])
def test_the_position_moves_to_what_the_lists_show_whatever_the_server_says_of_its_clock(
    ahead: int, change: int
) -> None:
    """A node that is ahead would move it past what comes next, and so would one odd entry."""

    async def main() -> None:
        async with working() as desk:
            await connect(desk, server_time=BASE)
            calls = desk.driver().calls
            await answer(desk, ACK_DIFF, {})
            calls.told(BASE + 60_000 + ahead)
            await answer(desk, CONVERSATIONS, {"userConvs": [conversation(BASE + change)]})
            await answer(desk, HISTORY, {})
            sync = desk.driver().sync
            await desk.until(lambda: sync.confirmed is not None)
            right = min(change, 60_000 + ahead) - 2_000
            assert abs(sync.received // 1000 - BASE - right) < 1_000
            assert sync._probe.doubt == sync.received // 1000

    simulate(main())


def test_no_position_passes_a_message_that_is_announced_and_not_here() -> None:
    """The next run begins to look for it at the position that is stored."""

    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await desk.connect()
            desk.give(push(1, samples.marker("2", "5000000000099.PNM", BASE + 1)))
            await desk.until(lambda: desk.wire.acked)
            for number in (1000, 2000):
                desk.give(push(number, sample(number)))
                await desk.until(lambda n=number: n in desk.numbers)
            assert desk.driver().sync.received == (BASE + 1) * 1000
            assert (await store.load(ME)).received == (BASE + 1) * 1000

    simulate(main())


def test_a_position_rises_and_never_falls() -> None:
    async def main() -> None:
        seen = []
        async with working() as desk:
            await desk.connect()
            for number in (20, 10, 30):
                desk.give(push(number, sample(number)))
                await desk.until(lambda n=number: n in desk.numbers)
                seen.append(desk.driver().sync.received // 1000 - BASE)
        assert seen == [20, 20, 30]

    simulate(main())


def test_a_message_that_the_position_has_passed_is_looked_for_where_the_list_shows_it() -> None:
    """A dead link was given it, and something that the inbox does not keep passed it."""

    async def main() -> None:
        async with working() as desk:
            await desk.connect()
            desk.give(push(1, sample(1)), push(600_000, sample(600_000)))
            await desk.until(lambda: len(desk.handled) == 2)
            sync = desk.driver().sync
            looking = asyncio.create_task(sync._look_again(BASE + 5_000))
            await answer(desk, CONVERSATIONS, {"userConvs": [conversation(BASE + 5_000, "9.PNM")]})
            await answer(desk, HISTORY, {})
            [gap] = (await looking).gaps
            assert (gap.conversation_id, gap.end) == ("1", BASE + 5_000)

    simulate(main())


def test_what_is_not_read_of_the_time_in_doubt_is_a_gap() -> None:
    """A link that is dead without its knowing may have been given what the position has passed."""

    async def main() -> None:
        told: list[Gap] = []
        async with working(history_pages=1) as desk:

            @desk.client.on(Gap)
            async def note(gap: Gap) -> None:
                told.append(gap)

            await connect(desk, server_time=BASE)
            await answer(desk, ACK_DIFF, {})
            desk.driver().calls.told(BASE + 60_000)
            await answer(desk, CONVERSATIONS, {"userConvs": [conversation(BASE + 5_000)]})
            await answer(desk, HISTORY, {})
            driver, sync = desk.driver(), desk.driver().sync
            await desk.until(lambda: sync.confirmed is not None)
            sync._position.rise((BASE + 60_000) * 1000)
            sync.lost(driver.session.link)
            sync.start(driver.session.link)
            await desk.until(lambda: len(asked(desk, ACK_DIFF)) == 2)
            await answer(desk, ACK_DIFF, {})
            await desk.until(lambda: len(asked(desk, CONVERSATIONS)) == 2)
            await answer(desk, CONVERSATIONS, {"userConvs": [conversation(BASE + 50_000)]})
            await desk.until(lambda: len(asked(desk, HISTORY)) == 2)
            page = {"userMessageModels": [model(message(50_000))], "nextCursor": BASE + 50_000}
            await answer(desk, HISTORY, {**page, "hasMore": 1})
            await desk.until(lambda: 50_000 in desk.numbers)
            await desk.until(lambda: told)
            assert (told[0].start, told[0].end) == (BASE + 1_000, BASE + 50_000)

    simulate(main())


@pytest.mark.parametrize("lwp", [GET_STATE, ACK_DIFF, CONVERSATIONS, HISTORY])
def test_requests_that_are_refused_because_the_session_is_gone_cost_the_link(lwp: str) -> None:
    """Heartbeats may be answered as ever, and the account is not caught up: nobody else looks."""

    async def main() -> None:
        async with working() as desk:
            await connect(desk, server_time=None if lwp == GET_STATE else BASE)
            before = {ACK_DIFF: {}, CONVERSATIONS: {"userConvs": [conversation(BASE)]}}
            for earlier, body in before.items():
                if lwp in (GET_STATE, earlier):
                    break
                await answer(desk, earlier, body)
            await answer(desk, lwp, GONE, code=401)
            await desk.until(lambda: len(desk.wire.told("dial")) == 2)

    simulate(main())


@pytest.mark.parametrize("lwp", [ACK_DIFF, CONVERSATIONS])
def test_a_session_that_stays_gone_is_asked_once_a_minute(lwp: str) -> None:
    """No other link comes, as when a human must help with the next token."""

    async def main() -> None:
        async with working() as desk:
            await connect(desk, server_time=BASE)
            if lwp == CONVERSATIONS:
                await answer(desk, ACK_DIFF, {})
            for minute in range(1, 11):
                await answer(desk, lwp, GONE, code=401)
                await asyncio.sleep(59.0)
                assert len(asked(desk, lwp)) == minute
                await desk.until(lambda n=minute: len(asked(desk, lwp)) > n)

    simulate(main())


def test_an_answer_that_cannot_be_read_is_none_and_asked_for_again() -> None:
    """The text is JSON; Python reads no number of so many digits."""

    async def main() -> None:
        async with working() as desk:
            await connect(desk, server_time=BASE)
            await answer(desk, ACK_DIFF, {})
            await desk.until(lambda: asked(desk, CONVERSATIONS))
            mid = asked(desk, CONVERSATIONS)[-1]["headers"]["mid"]
            body = f'{{"hasMore":0,"x":{"9" * 5000}}}'
            frame = f'{{"code":200,"headers":{{"mid":"{mid}"}},"body":{body}}}'
            driver = desk.driver()
            driver.calls.answered(SimFrame(driver.session.link, frame))
            for count in (2, 3):  # whether anything is answered; and once more
                await desk.until(lambda n=count: len(asked(desk, CONVERSATIONS)) == n)
                await answer(desk, CONVERSATIONS, {"hasMore": 0})
            await desk.until(lambda: driver.sync.confirmed is not None)

    simulate(main())


def test_whatever_goes_wrong_an_account_is_caught_up_in_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with working() as desk:
            await connect(desk, server_time=BASE)
            sync = desk.driver().sync
            compare = sync._lists.compare
            errors = [ValueError("words"), RecursionError("words")]

            async def fail(*rest: Any, **named: Any) -> Any:
                if errors:
                    raise errors.pop()
                return await compare(*rest, **named)

            monkeypatch.setattr(sync._lists, "compare", fail)
            await answer(desk, ACK_DIFF, {})
            await answer(desk, CONVERSATIONS, {"hasMore": 0})
            await desk.until(lambda: sync.confirmed is not None)

    simulate(main())
    assert "not caught up yet" in caplog.text
    assert "words" not in caplog.text


def test_a_new_run_looks_where_the_last_one_may_not_have_looked_yet() -> None:
    """A link that died unnoticed is looked after up to 224 s later, and the position goes on."""

    async def main() -> None:
        store = Ward()
        await store.commit(received={ME: (BASE + 600_000) * 1000})
        async with working(store) as desk:
            await connect(desk, server_time=BASE + 700_000)
            await answer(desk, ACK_DIFF, {})
            listed = [conversation(BASE + 300_000, name="1"), conversation(BASE - 1, name="2")]
            await answer(desk, CONVERSATIONS, {"userConvs": listed})
            await desk.until(lambda: asked(desk, HISTORY))
            await answer(desk, HISTORY, {})
            await desk.until(lambda: desk.driver().sync.confirmed is not None)
            assert [body[0] for body in bodies(desk, HISTORY)] == ["1@goofish"]

    simulate(main())


def test_what_is_stored_waits_after_a_restart_for_what_precedes_it() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await connect(desk, server_time=BASE)
            desk.give(push(5, sample(5)))  # before the server has answered our position
            await desk.until(lambda: desk.wire.acked)
        async with working(store) as desk:
            await connect(desk, server_time=BASE + 9)
            await asyncio.sleep(5.0)
            assert desk.handled == []
            await answer(desk, ACK_DIFF, {})
            desk.give(push(5, sample(4), sample(5)))
            await answer(desk, CONVERSATIONS, {"hasMore": 0})
            await desk.until(lambda: len(desk.handled) == 2)
            assert desk.numbers == [4, 5]

    simulate(main())


def test_what_is_stored_does_not_wait_for_ever_for_a_link() -> None:
    async def main() -> None:
        store = Ward()
        async with working(store) as desk:
            await connect(desk, server_time=BASE)
            desk.give(push(5, sample(5)))
            await desk.until(lambda: desk.wire.acked)
        async with working(store, hold_most=20.0) as desk:
            await desk.client.add(Account.from_cookies(f"unb={ME}; _m_h5_tk=a_1; cookie2=b"))
            await asyncio.sleep(19.0)
            assert desk.handled == []
            await asyncio.sleep(2.0)
            assert desk.numbers == [5]

    simulate(main())


def test_a_gap_is_told_again_after_a_restart_until_its_handlers_have_ended() -> None:
    async def main() -> None:
        store = Ward()
        told: list[Gap] = []
        kept: list[str] = []
        for run in range(3):
            async with working(store, grace=0.1) as desk:

                @desk.client.on(Gap)
                async def note(gap: Gap, run: int = run) -> None:
                    kept.append((await store.load(ME)).session or "")
                    told.append(gap)
                    if run == 0:
                        await asyncio.Event().wait()

                await connect(desk, server_time=BASE)
                if run == 0:
                    await answer(desk, ACK_DIFF, {})
                    await answer(desk, CONVERSATIONS, {"reason": "no"}, code=403)
                    await desk.until(lambda: told)
                await asyncio.sleep(1.0)
            assert len(told) == min(run + 1, 2)
        assert told[0] == told[1]
        assert told[0].reason in kept[1]

    simulate(main())
