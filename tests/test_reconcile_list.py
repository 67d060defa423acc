"""Which conversations have changed, by the server's list of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest

from shelf import END, HISTORY, LIST, START, Shelf
from xyfast.reconcile import Recovery


async def test_a_page_that_ends_between_two_conversations_of_a_millisecond_loses_neither() -> None:
    shelf = Shelf(page_splits=True)
    names = [shelf.message(str(n), n // 3) for n in range(140)]
    found = await shelf.run()
    assert set(shelf.inbox) == set(names)
    assert found.gaps == []


@pytest.mark.parametrize("modified", [None, 5])
async def test_conversations_that_no_time_tells_apart_are_listed_once_more_at_most(
    modified: int | None,
) -> None:
    chats = [
        {
            "singleChatUserConversation": {
                "singleChatConversation": {"cid": f"{n}@goofish"},
                **({} if modified is None else {"modifyTime": START + modified}),
            }
        }
        for n in range(120)
    ]
    asked = 0

    async def ask(build: Callable[..., str]) -> Any:
        nonlocal asked
        frame = json.loads(build(mid="1 0"))
        if frame["lwp"] == HISTORY:
            return {}
        asked += 1
        first = max(END - frame["body"][0], 0)
        chosen = chats[first : first + 50]
        return {"userConvs": chosen, "hasMore": int(first < 70), "nextCursor": END - first - 50}

    shelf = Shelf()
    shelf.ask = ask  # type: ignore[method-assign]
    assert (await shelf.run()).gaps == []
    assert asked == 4


async def test_conversations_are_read_to_the_bound_and_the_rest_is_told() -> None:
    shelf = Shelf()
    for n in range(200):
        shelf.message(str(n), n)
    found = await shelf.run(conversations=99)
    assert sorted(map(int, shelf.histories)) == list(range(101, 200))
    [gap] = found.gaps
    assert (gap.start, gap.end, gap.conversation_id) == (START, START + 102, None)


@pytest.mark.parametrize("late", [False, True])
async def test_conversations_of_which_all_was_pushed_count_for_no_bound(late: bool) -> None:
    """What is pushed before the server lists it may be stored a little later."""
    shelf = Shelf()
    names = [shelf.message(str(n), n) for n in range(200)]
    take_in, known = shelf.take_in, list(names)

    async def store(payloads: Iterable[str]) -> Collection[str]:
        shelf.inbox += known
        known.clear()
        return await take_in(payloads)

    if late:
        shelf.take_in = store  # type: ignore[method-assign]
    else:
        shelf.inbox += known
    assert await shelf.run(conversations=20) == Recovery()
    assert sorted(map(int, shelf.histories)) == list(range(200))


async def test_what_was_missed_before_a_last_message_that_is_here_is_fetched_past_the_bound() -> (
    None
):
    """A dead link was given it, and a live one the next."""
    shelf = Shelf()
    early = [shelf.message(str(n), n) for n in range(100)]
    shelf.inbox += [shelf.message(str(n), 1000 + n) for n in range(100)]
    missed = shelf.message("100", 500)
    found = await shelf.run(conversations=20)
    assert {*early, missed} <= {*shelf.inbox}
    assert (found.messages, found.gaps) == (101, [])
    assert shelf.histories[0] == "100"  # what surely misses something comes first


async def test_a_conversation_that_moves_up_between_two_pages_is_not_missed() -> None:
    shelf = Shelf()
    for n in range(80):
        shelf.message(str(n), n)
    lists = 0

    def move(lwp: str, body: Any) -> None:
        nonlocal lists
        lists += lwp == LIST
        if lists == 2:
            shelf.message("0", 100)

    shelf.before = move
    await shelf.run()
    assert sorted(map(int, shelf.histories)) == list(range(80))
    assert len(shelf.inbox) >= 81


async def test_old_conversations_cost_one_page() -> None:
    shelf = Shelf()
    for n in range(200):
        shelf.message(str(n), n - 200)
    found = await shelf.run()
    assert [lwp for lwp, _ in shelf.asked] == [LIST]
    assert found == Recovery()
