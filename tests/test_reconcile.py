"""Finding what was missed in the server's lists, with the fake server's own answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from shelf import END, HISTORY, LIST, START, Shelf
from simulation.loop import simulate
from xyfast import history, requests
from xyfast.errors import NotSent, RequestError, SendRefused, SendUnknown
from xyfast.reconcile import Recovery

THROTTLED = SendRefused("", code=400, reason="slow down", error="throttled")
REJECTED = SendRefused("", code=400, reason="not yours", error="rejected")
BUSY = SendRefused("", code=500, reason="system is error", error="server")


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("count", [1, 20, 21, 40, 370])
async def test_all_pages_are_taken_in_oldest_first(count: int, inclusive: bool) -> None:
    shelf = Shelf(history_inclusive=inclusive)
    shelf.message("1", -1)
    names = [shelf.message("1", n) for n in range(count)]
    found = await shelf.run(pages=25)
    assert shelf.inbox == names
    assert (found.messages, found.conversations, found.gaps) == (count, 1, [])


@pytest.mark.parametrize("inclusive", [False, True])
async def test_a_page_that_ends_between_two_messages_of_a_millisecond_loses_neither(
    inclusive: bool,
) -> None:
    shelf = Shelf(history_inclusive=inclusive, page_splits=True)
    names = [shelf.message("1", n // 3) for n in range(100)]
    found = await shelf.run()
    assert shelf.inbox == names
    assert found.gaps == []


async def test_a_conversation_that_cannot_be_read_is_a_gap_and_costs_no_other() -> None:
    shelf = Shelf()
    names = [shelf.message(str(n), n) for n in range(3)]

    def fail(lwp: str, body: Any) -> None:
        if lwp == HISTORY and body[0] == "1@goofish":
            raise RecursionError("words")

    shelf.before = fail
    found = await shelf.run()
    assert set(shelf.inbox) == {names[0], names[2]}
    [gap] = found.gaps
    assert gap.conversation_id == "1"
    [gap] = (await shelf.reconciler().conversation("1", START, START + 5)).gaps
    assert (gap.conversation_id, gap.end) == ("1", START + 5)


@pytest.mark.parametrize(("path", "most"), [(LIST, 50), (HISTORY, 20)])
async def test_a_millisecond_that_fills_a_page_is_a_gap(path: str, most: int) -> None:
    shelf = Shelf(page_splits=True)
    for n in range(most + 1):
        shelf.message(str(n) if path == LIST else "1", 5)
    found = await shelf.run()
    assert len(shelf.inbox) == most
    [gap] = found.gaps
    assert "does not go on" in gap.reason
    assert gap.start <= START + 5 <= gap.end


async def test_what_waits_behind_a_missed_message_takes_its_place_anew() -> None:
    shelf = Shelf()
    names = [shelf.message("1", n) for n in range(4)]
    shelf.inbox = [names[0], names[2], names[3]]
    found = await shelf.run()
    assert shelf.inbox == names
    assert found.messages == 1


@pytest.mark.parametrize("first", [1, 5, 59])
async def test_known_messages_hide_nothing_before_them(first: int) -> None:
    """A replay may begin too late, and a live push comes before what was missed."""
    shelf = Shelf()
    names = [shelf.message("1", n) for n in range(60)]
    shelf.inbox = names[first:]
    await shelf.run()
    assert shelf.inbox == names


async def test_what_is_known_costs_a_page_and_is_not_taken_in_again() -> None:
    shelf = Shelf()
    shelf.message("1", -5)
    shelf.inbox = [shelf.message("1", n) for n in range(10)]
    names = list(shelf.inbox)
    assert await shelf.run() == Recovery()
    assert shelf.histories == ["1"]
    assert shelf.inbox == names


async def test_a_long_conversation_is_read_to_the_bound_and_the_rest_is_told() -> None:
    shelf = Shelf()
    names = [shelf.message("1", n) for n in range(100)]
    found = await shelf.run(pages=2)
    assert shelf.inbox == names[61:]  # the page behind begins with the last of the one before
    [gap] = found.gaps
    assert (gap.start, gap.end, gap.conversation_id) == (START, START + 61, "1")


async def test_what_is_told_begins_where_pages_were_to_be_read_back_to() -> None:
    """The last run may not have looked for what a dead link was given before its position."""
    shelf = Shelf()
    shelf.message("1", -500)
    for n in range(100):
        shelf.message("1", n)
    found = await shelf.run(slack=1000, pages=1)
    [gap] = found.gaps
    assert (gap.start, gap.end) == (START - 1000, START + 80)


@pytest.mark.parametrize("page_splits", [False, True])
async def test_pages_of_known_messages_alone_are_read_far_beyond_the_bound(
    page_splits: bool,
) -> None:
    """An honest replay may bring very many messages: nothing is missing then."""
    shelf = Shelf(page_splits=page_splits)
    shelf.message("1", -5)
    names = [shelf.message("1", n // 2) for n in range(900)]
    shelf.inbox = list(names)
    assert await shelf.run(pages=1) == Recovery()
    assert shelf.inbox == names


@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize("missing", [1, 18, 38, 100, 200])
async def test_what_is_missing_behind_many_known_messages_is_fetched_or_told(
    missing: int, together: int
) -> None:
    """A replay that begins too late, in silence; so many messages have one millisecond."""
    shelf = Shelf(page_splits=True)
    shelf.message("1", -5)
    names = [shelf.message("1", n // together) for n in range(missing + 600)]
    shelf.inbox = names[missing:]
    found = await shelf.run(pages=3)
    fetched = len(shelf.inbox) - 600
    assert shelf.inbox == names[missing - fetched :]
    assert fetched == found.messages
    if missing < 39:  # three pages, of which the first begins with known messages
        assert (fetched, found.gaps) == (missing, [])
    else:
        [gap] = found.gaps
        assert (gap.start, gap.end) == (START, START + (missing - fetched) // together)


async def test_known_messages_that_come_again_and_again_are_not_read_for_ever() -> None:
    shelf = Shelf()
    shelf.inbox = [shelf.message("1", n) for n in range(10)]
    asked = 0

    async def ask(build: Callable[..., str]) -> Any:
        nonlocal asked
        frame = json.loads(build(mid="1 0"))
        if frame["lwp"] == LIST:
            return await Shelf.ask(shelf, build)
        asked += 1
        frame["body"][2] = 2**53 - 1
        body = await Shelf.ask(shelf, lambda mid: json.dumps(frame))
        return {**body, "nextCursor": END - asked, "hasMore": 1}

    shelf.ask = ask  # type: ignore[method-assign]
    found = await shelf.run(pages=3)
    assert asked == 4
    assert len(found.gaps) == 1


async def test_a_known_message_that_is_older_on_every_page_is_not_read_for_ever() -> None:
    shelf = Shelf()
    shelf.inbox = [shelf.message("1", 0)]
    asked = 0

    async def ask(build: Callable[..., str]) -> Any:
        nonlocal asked
        frame = json.loads(build(mid="1 0"))
        if frame["lwp"] == LIST:
            return await Shelf.ask(shelf, build)
        asked += 1
        frame["body"][2] = requests.NEWEST
        body = await Shelf.ask(shelf, lambda mid: json.dumps(frame))
        body["userMessageModels"][0]["message"]["createAt"] = END - asked
        return {**body, "nextCursor": END - asked, "hasMore": 1}

    shelf.ask = ask  # type: ignore[method-assign]
    found = await shelf.run(pages=3)
    assert asked == 150
    [gap] = found.gaps
    assert gap.reason == "more than 150 pages of history"


async def test_what_the_list_shows_and_the_history_has_not_is_a_gap() -> None:
    shelf = Shelf()
    shelf.inbox = [shelf.message("1", 3)]
    name = shelf.message("1", 5)

    async def ask(build: Callable[..., str]) -> Any:
        body = await Shelf.ask(shelf, build)
        models = body.get("userMessageModels", [])
        return {**body, "userMessageModels": [m for m in models if history.message_id(m) != name]}

    shelf.ask = ask  # type: ignore[method-assign]
    [gap] = (await shelf.run()).gaps
    assert (gap.conversation_id, gap.start, gap.end) == ("1", START, START + 5)
    shelf.inbox.append(name)
    assert (await shelf.run()).gaps == []


async def test_empty_pages_without_an_end_are_a_gap() -> None:
    asked = 0

    async def ask(build: Callable[..., str]) -> Any:
        nonlocal asked
        asked += 1
        return {"hasMore": 1, "nextCursor": END - asked}

    shelf = Shelf()
    shelf.ask = ask  # type: ignore[method-assign]
    [gap] = (await shelf.run(conversations=30)).gaps
    assert asked == 30
    assert (gap.start, gap.reason) == (START, "the list of conversations does not end")


async def test_what_lies_before_the_time_in_question_is_no_gap() -> None:
    shelf = Shelf()
    for n in range(-50, 3):
        shelf.message("1", n)
    found = await shelf.run(pages=1, slack=2000)
    assert found.gaps == []
    assert len(shelf.inbox) == 20


async def test_behind_a_missed_message_from_before_the_time_in_question_may_be_more() -> None:
    """The account's position has passed one, and nobody knows how many."""
    shelf = Shelf()
    for n in range(-50, 3):
        shelf.message("1", n * 1000)
    found = await shelf.run(pages=1, slack=600_000)
    assert len(shelf.inbox) == 20
    [gap] = found.gaps
    assert (gap.start, gap.end) == (START - 600_000, START - 17_000)


@pytest.mark.parametrize(
    ("errors", "fetched"),
    [
        ([THROTTLED] * 9, True),
        ([NotSent("")] * 9, True),
        ([BUSY] * 3, True),
        ([SendUnknown("")] * 3, True),
        ([BUSY] * 4, False),
        ([SendUnknown("")] * 4, False),
        ([REJECTED], False),
    ],
)
@pytest.mark.parametrize("path", [LIST, HISTORY])
async def test_requests_are_tried_again_as_far_as_that_is_of_use(
    path: str, errors: list[RequestError], fetched: bool
) -> None:
    shelf = Shelf()
    name = shelf.message("1", 5)
    left = list(errors)

    def fail(lwp: str, body: Any) -> None:
        if lwp == path and left:
            raise left.pop()

    shelf.before = fail
    found = await shelf.run()
    assert left == []
    if fetched:
        assert (shelf.inbox, found.gaps) == ([name], [])
        return
    [gap] = found.gaps
    conversation = "1" if path == HISTORY else None
    assert (shelf.inbox, gap.conversation_id, gap.start) == ([], conversation, START)
    assert gap.end == (START + 5 if path == HISTORY else END)


async def test_a_refused_conversation_costs_the_others_nothing() -> None:
    shelf = Shelf()
    names = [shelf.message(str(n), n) for n in range(3)]

    def refuse(lwp: str, body: Any) -> None:
        if lwp == HISTORY and body[0].startswith("1@"):
            raise REJECTED

    shelf.before = refuse
    found = await shelf.run()
    assert set(shelf.inbox) == {names[0], names[2]}
    assert [gap.conversation_id for gap in found.gaps] == ["1"]


@pytest.mark.parametrize("path", [LIST, HISTORY])
async def test_a_list_that_goes_round_in_circles_ends_in_a_gap(path: str) -> None:
    shelf = Shelf()
    for n in range(60):
        shelf.message(str(n) if path == LIST else "1", n)
    asked = 0

    async def ask(build: Callable[..., str]) -> Any:
        nonlocal asked
        frame = json.loads(build(mid="1 0"))
        if frame["lwp"] != path:
            return await Shelf.ask(shelf, build)
        asked += 1
        body = await Shelf.ask(shelf, lambda mid: json.dumps(frame))
        return {**body, "nextCursor": START + 1_000, "hasMore": 1}

    shelf.ask = ask  # type: ignore[method-assign]
    found = await shelf.run()
    assert asked == 2
    assert len(found.gaps) == 1


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"userConvs": "?", "userMessageModels": 1, "hasMore": 1},
        {"hasMore": 1, "nextCursor": -1},
        {"hasMore": 1, "nextCursor": "x"},
        {"userMessageModels": [None, {"message": {"messageId": ["?"]}}]},
    ],
)
async def test_no_answer_is_too_odd(body: Any) -> None:
    shelf = Shelf()

    async def ask(build: Callable[..., str]) -> Any:
        return body

    shelf.ask = ask  # type: ignore[method-assign]
    found = await shelf.run()
    single = await shelf.reconciler().conversation("1", START, END)
    more = isinstance(body, dict) and body.get("hasMore") == 1
    assert len(found.gaps) == len(single.gaps) == int(more)
    assert shelf.inbox == []


async def test_one_conversation_can_be_asked_for() -> None:
    shelf = Shelf()
    shelf.message("1", -5)
    name = shelf.message("1", 5)
    shelf.message("2", 5)
    found = await shelf.reconciler().conversation("1", START, START + 5)
    assert (shelf.inbox, found) == ([name], Recovery(messages=1, others=1, conversations=1))


def test_flow_control_is_waited_for_ever_longer() -> None:
    async def main() -> list[float]:
        shelf = Shelf()
        loop = asyncio.get_running_loop()
        times: list[float] = []

        def refuse(lwp: str, body: Any) -> None:
            times.append(loop.time())
            if len(times) < 6:
                raise THROTTLED

        shelf.before = refuse
        began = loop.time()
        await shelf.reconciler(pauses=(2.0, 4.0, 6.0)).account(START, END, start=START)
        return [round(time - began, 3) for time in times]

    assert simulate(main()) == [0.0, 2.0, 6.0, 12.0, 18.0, 24.0]


def test_one_request_is_asked_at_a_time() -> None:
    async def main() -> None:
        shelf = Shelf()
        for n in range(3):
            shelf.message(str(n), n)
        asking = 0

        async def ask(build: Callable[..., str]) -> Any:
            nonlocal asking
            asking += 1
            assert asking == 1
            await asyncio.sleep(1.0)
            asking -= 1
            return await Shelf.ask(shelf, build)

        shelf.ask = ask  # type: ignore[method-assign]
        reconciler = shelf.reconciler()
        await asyncio.gather(
            reconciler.account(START, END, start=START),
            *(reconciler.conversation(str(n), START, END) for n in range(3)),
        )
        assert len(shelf.inbox) == 3

    simulate(main())
