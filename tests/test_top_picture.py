"""What `xyfast top` draws, and what keys change in it; no terminal and no client."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tops
from inboxes import shanghai
from tops import WHERE, account, status, text
from xyfast.commands.top.picture import picture, rows
from xyfast.commands.top.source import _fits
from xyfast.commands.top.text import Line, age, cell, count, quick
from xyfast.commands.top.view import SORTS, View, keys
from xyfast.status import Status

VIEW = View(WHERE)


def colours(lines: list[Line]) -> dict[str, str | None]:
    return {part.strip(): colour for line in lines for part, colour in line}


# --- pictures -----------------------------------------------------------------------------


def test_pictures_are_those_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else run ``python tests/tops.py``, and look at what it has changed."""
    with shanghai(monkeypatch):
        found = tops.pictures()
    assert found == {path.name: path.read_text("utf-8") for path in tops.FOLDER.iterdir()}


def test_states_and_troubles_have_colours() -> None:
    found = colours(picture(status(), VIEW, 120))
    assert [found[each] for each in ("connected 8", "reconnecting 1", "kicked 1", "paused 1")] == [
        *("green", "yellow", "red"),
        None,
    ]
    assert found["kicked"] == found["dead letters 2"] == found["gaps 1"] == "red"
    assert found["behind 12s"] == "yellow"
    calm = status()["totals"] | {"dead_letters": 0, "open_gaps": 0, "errors": {}, "lag": 0.2}
    found = colours(picture(status(totals=calm, errors={}, ready=True), VIEW, 120))
    assert found["dead letters 0"] is found["errors 0"] is found["behind 200ms"] is None
    assert found["ready"] == "green"


def test_without_accounts_and_events_it_is_short() -> None:
    totals = status()["totals"] | {"accounts": 0, "states": {}}
    empty = status(accounts=[], matching=0, moves=[], dead=[], gaps=[], totals=totals)
    assert text(picture(empty, VIEW, 80)).splitlines()[-1].startswith("ACCOUNT")
    assert text(picture(empty, VIEW, 80, 24)).splitlines()[-1].endswith("no accounts")


def test_what_is_not_shown_is_told() -> None:
    many = status(matching=5000)
    assert text(picture(many, VIEW, 80)).splitlines()[-1] == "the first 12 of 5000 accounts"
    [*_, foot] = text(picture(many, VIEW, 80, 24)).splitlines()
    assert foot.endswith("1-5 of the first 12 of 5000")


def test_a_page_that_is_gone_is_told_with_the_time_of_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = replace(VIEW, problem="nothing listens at 127.0.0.1:8787: start the bot")
    with shanghai(monkeypatch):
        lines = picture(status(), gone, 60, 24)
    shown = text(lines).splitlines()
    assert shown[1] == "NOT REACHABLE, trying again; it stood so at 08:00:00"
    assert shown[2] == gone.problem
    assert lines[1][0].colour == lines[2][0].colour == "red"
    assert "READY:" not in shown[0]
    assert len(shown) == 24


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("trouble", ["07", "09", "04"]),
        ("account", ["01", "02", "03"]),
        ("rate", ["05", "01", "02"]),
        ("inbox", ["02", "01", "03"]),
    ],
)
def test_accounts_are_sorted(sort: str, first: list[str]) -> None:
    accounts = [
        account(5, received_rate=9.0) if one["account"].endswith("05") else one
        for one in status()["accounts"]
    ]
    shown = text(picture(status(accounts=accounts, moves=[]), replace(VIEW, sort=sort), 80))
    found = [line[11:13] for line in shown.splitlines() if line.startswith("90")]
    assert found[:3] == first


def test_scrolling_shows_others_and_ends_at_the_last() -> None:
    for first, expected in ((0, "07"), (3, "01"), (99, "06")):
        shown = text(picture(status(), replace(VIEW, first=first), 80, 24)).splitlines()
        accounts = [line for line in shown if line.startswith("90")]
        assert (len(accounts), accounts[0][11:13]) == (5, expected)
    assert rows(status(), VIEW, 24) == 5


def test_a_name_cannot_speak_to_the_terminal() -> None:
    evil = account(1, name="\x1b[2J", reason="a\x1b]0;x\x07\r\n\t\u202eb", state="failed")
    shown = text(picture(status(accounts=[evil]), VIEW, 200))
    assert " \\u001b[2J " in shown
    assert " a\\u001b]0;x\\u0007\\r\\n\\t\\u202eb\n" in shown


def width_of(line: str) -> int:
    """Columns, as East Asian Width has it (UAX 11); marks stand on other letters."""
    return sum(
        0 if unicodedata.category(letter)[0] == "M" and unicodedata.category(letter) != "Mc"
        else 1 + (unicodedata.east_asian_width(letter) in ("W", "F"))
        for letter in line
    )  # fmt: skip


@st.composite
def stati(draw: st.DrawFn) -> Status:
    """Any status that passes the check: whoever listens may have written it."""
    letters = st.characters() | st.sampled_from("\x1b\x9b\n\r\t\u202e字ー☁\ufe0f\u0301a")
    texts = itertools.cycle(draw(st.lists(st.text(letters, max_size=40), min_size=1, max_size=9)))
    near = 999_999_999_999_999
    floats = st.floats(-near, near) | st.floats(-2, 2)
    numbers = itertools.cycle(draw(st.lists(floats | st.none(), min_size=1, max_size=9)))
    wholes = itertools.cycle(draw(st.lists(st.integers(-near, near), min_size=1, max_size=9)))

    def other(value: Any) -> Any:
        match value:
            case dict():
                return {
                    (name if name in KNOWN else next(texts)): other(each)
                    for name, each in value.items()
                }
            case list() | tuple():
                return [other(each) for each in value]
            case bool():
                return value
            case str():
                return next(texts)
            case int():
                return next(wholes)
            case float():
                found = next(numbers)
                return 0.0 if found is None else found
        return value

    hops = dict(list(status()["hops"].items())[:2])
    accounts = status()["accounts"][: draw(st.integers(0, 3))]
    plain = status(accounts=accounts, hops=hops, moves=status()["moves"][:2])
    found: Status = other(plain)
    for one in found["accounts"]:
        one["link_age"], one["round_trip"], one["lag"] = (next(numbers) for _ in range(3))
    return found


KNOWN = {
    *(*status(), *status()["totals"], *account(1), *status()["heartbeat"]),
    *("p50", "p90", "p99", "buckets", "recent", "ever", "time", "old", "new", "key", "cause"),
    *("start", "end", "reason", "wait", "account"),
}
VIEWS = st.builds(
    View,
    where=st.just(WHERE),
    sort=st.sampled_from(SORTS),
    first=st.integers(0, 300),
    query=st.text(max_size=60),
    typing=st.booleans(),
    paused=st.booleans(),
    problem=st.none() | st.text(),
)


@settings(max_examples=40)
@given(stati(), VIEWS, st.integers(1, 150), st.none() | st.integers(1, 60))
def test_no_picture_is_wider_or_higher_than_the_terminal(
    shown: Status, view: View, width: int, height: int | None
) -> None:
    assert _fits(Status, shown)
    lines = picture(shown, view, width, height)
    assert height is None or len(lines) == height
    for line in lines:
        whole = "".join(part for part, _ in line)
        assert width_of(whole) <= width
        assert not [each for each in whole if not (each.isprintable() or each == "\u3000")]


# --- words and numbers --------------------------------------------------------------------


@given(st.text(st.characters() | st.sampled_from("字\u0301")), st.integers(-40, 40))
def test_a_cell_is_exactly_as_wide_as_it_should_be(content: str, width: int) -> None:
    assert width_of(cell(content, width)) == abs(width)


def test_what_does_not_fit_is_cut_between_letters() -> None:
    assert [cell("旧书店", width) for width in (6, 5, 4, 2, -8)] == [
        *("旧书店", "旧书…", "旧… ", "… "),
        "  旧书店",
    ]


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (None, "-", "-"),
        (0.0, "0s", "0s"),
        (0.00012, "0s", "120µs"),
        (0.0042, "0s", "4.2ms"),
        (0.25, "0s", "250ms"),
        (9.96, "9s", "10s"),
        (125.0, "2m05", "125s"),
        (7380.0, "2h03", "7380s"),
        (5 * 86400 + 4 * 3600.0, "5d04", "446400s"),
        (200 * 86400.0, "200d", "17280000s"),
        (-1.0, "0s", None),
    ],
)
def test_durations_are_short(seconds: float | None, long: str, short: str | None) -> None:
    assert age(seconds) == long
    assert short is None or quick(seconds) == short


def test_counts_are_short() -> None:
    given = [None, 0, 2.04, 24.5, 99_999, 123_456, 123_456_789, 5e14]
    assert [count(each) for each in given] == [
        *("-", "0", "2.0", "24.5", "99999", "123k", "123M", "500000000M")
    ]


# --- keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("q/茶", ["q", "/", "茶"]),
        ("\x1b[A\x1bOB\x1b[5~\x1b[6~", ["up", "down", "page up", "page down"]),
        ("\x1b[H\x1b[1~\x1b[F\x1bOF", ["home", "home", "end", "end"]),
        ("\r\n\x7f\x08\x1b", ["enter", "enter", "backspace", "backspace", "escape"]),
        ("\x1b[1;5C\x1b[Zs", ["s"]),
    ],
)
def test_keys_have_names(typed: str, named: list[str]) -> None:
    assert list(keys(typed)) == named


def press(view: View, *names: str) -> View:
    for name in names:
        view = view.pressed(name, accounts=20, rows=8)
    return view


def places(*names: str) -> Iterator[int]:
    view = VIEW
    for name in names:
        yield (view := press(view, name)).first


def test_arrows_scroll_and_stop_at_the_ends() -> None:
    found = places("up", "down", "page down", "page down", "down", "page up", "home", "end")
    assert list(found) == [0, 1, 9, 12, 12, 4, 0, 12]
    assert VIEW.pressed("down", accounts=3, rows=8).first == 0


def test_a_filter_is_typed_kept_and_cleared() -> None:
    typed = press(VIEW, "end", "/", *"qp茶", "up", "\x07", "backspace")
    assert (typed.query, typed.typing, typed.first, typed.ended) == ("qp", True, 0, False)
    kept = press(typed, "enter", "p")
    assert (kept.query, kept.typing, kept.paused) == ("qp", False, True)
    assert press(typed, "escape").query == press(kept, "escape").query == ""
    assert len(press(VIEW, "/", *"x" * 100).query) == 60


def test_other_keys_do_what_the_foot_says() -> None:
    assert press(VIEW, "q").ended
    assert not press(VIEW, "p", "p").paused
    assert [press(VIEW, *"s" * times).sort for times in range(5)] == [*SORTS, SORTS[0]]
    assert press(VIEW, "x", "enter", "backspace") == VIEW
