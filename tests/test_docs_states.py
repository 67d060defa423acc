"""The page of states is what the table of transitions says. Else run tests/states_page.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import states_page
from xyfast.events import Pause, State, Stop
from xyfast.session import TRANSITIONS

HIDDEN = [(State.DISCONNECTED, ["Pause"]), (State.CLOSED, ["Stop"])]


def test_the_drawing_is_that_of_the_table() -> None:
    assert states_page.DRAWING.read_text("utf-8") == states_page.drawing()


@pytest.mark.parametrize("path", states_page.PAGES, ids=lambda path: path.name)
def test_the_pages_have_the_table_and_all_names(path: Path) -> None:
    text = path.read_text("utf-8")
    assert states_page.table(states_page.PAGES[path]) in text
    assert text == states_page.page(path)
    explained = set(re.findall(r"^\| `(\w+)` \| [^`|]", text, re.MULTILINE))
    assert explained == {state.name for state in State} | states_page.event_names()


def test_what_is_not_drawn_is_as_the_pages_tell() -> None:
    at_rest = {State.DISCONNECTED, State.DRAINING, State.CLOSED}
    drawn_stop = {State.CONNECTED, State.DRAINING, State.CLOSED}
    for state, events in TRANSITIONS.items():
        assert (events.get(Pause) == {State.DISCONNECTED}) == (state not in at_rest)
        assert (events.get(Stop) == {State.CLOSED}) == (state not in drawn_stop)


def test_every_way_is_drawn_once() -> None:
    drawing = states_page.drawing()
    ways = [way for way in states_page.edges().items() if (way[0][1], way[1]) not in HIDDEN]
    assert drawing.count('class="way"') == len(ways)
    assert drawing.count('class="event"') == sum(len(events) for _, events in ways)
    assert drawing.count('class="state"') == len(State)
