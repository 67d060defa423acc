"""The status of a client as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

from xyfast.commands.shared import time_of
from xyfast.commands.top.text import Line, Span, age, cell, count, fit, quick
from xyfast.commands.top.view import View
from xyfast.status import AccountStatus, LatencyStatus, MoveStatus, Status

__all__ = ["picture", "rows"]

_COLOURS = {
    "connected": "green",
    "connecting": "yellow",
    "reconnecting": "yellow",
    "failed": "red",
    "needs login": "red",
    "kicked": "red",
}
_CALM = ("connected", "disconnected")
_PLACES = {"connected": 0, "disconnected": 2}
_WORDS = {
    "decoded": "read until decoded",
    "stored": "until stored",
    "acked": "until acknowledged",
    "started": "wait for the handler",
    "handled": "handler",
    "answered": "sent until answered",
    "heartbeat": "heartbeat round trip",
}
_BARS = "▁▂▃▄▅▆▇█"
_LATE = 1.0  # seconds by which handling is behind, from which on it is told
_EVENTS = 10  # that are shown where there is no screen to fill
_ALL = 24  # lines from which on there is room for latencies
_EXPLAINED = 84  # columns from which on they are explained
# Names, columns that they take (negative: to the right), and that the terminal must have.
_COLUMNS = (
    ("ACCOUNT", 13, 0),
    ("NAME", 8, 80),
    ("STATE", 12, 0),
    ("LINK", -5, 66),
    ("BEAT", -5, 72),
    ("IN/S", -5, 0),
    ("DONE/S", -6, 100),
    ("INBOX", -5, 0),
)
_NAME_MOST = 20
_ORDERS: dict[str, Callable[[AccountStatus], tuple[float, str]]] = {
    "account": lambda one: (0.0, one["account"]),
    "rate": lambda one: (-(one["received_rate"] or 0.0), one["account"]),
    "inbox": lambda one: (-(one["unhandled"] or 0), one["account"]),
}


class _Room(NamedTuple):
    """What is shown: whether latencies are, how many accounts, and how many events."""

    latencies: bool
    accounts: int
    events: int


def picture(status: Status, view: View, width: int, height: int | None = None) -> list[Line]:
    """Lines of ``width`` columns at most, which are for a screen of ``height``.

    Without a height there are as many as it takes, and nothing about keys.
    """
    room = _room(status, view, height)
    lines = _head(status, view)
    if room.latencies:
        lines += _latencies(status, width)
    lines += _accounts(status, view, room.accounts, width)
    if room.events:
        lines += [[_head_of(f"{'TIME':8} {'ACCOUNT':13} WHAT HAPPENED")]]
        lines += _events(status)[: room.events]
    if height is not None:
        lines = lines[: height - 1]
        lines += [[]] * (height - 1 - len(lines))
        lines.append(_foot(status, view, room.accounts))
    elif len(status["accounts"]) < status["matching"]:
        lines.append([Span(f"{_part(status)} accounts")])
    return [fit(line, width) for line in lines]


def rows(status: Status, view: View, height: int) -> int:
    """How many accounts are shown at a time."""
    return _room(status, view, height).accounts


def _room(status: Status, view: View, height: int | None) -> _Room:
    accounts, events = len(status["accounts"]), len(_events(status))
    if height is None:
        return _Room(True, accounts, min(events, _EVENTS))
    latencies = height >= _ALL
    # One line is above the accounts, one at the foot.
    left = height - len(_head(status, view)) - 2
    if latencies:
        left -= 2 + len(status["hops"])
    if left < 5 or not events:
        return _Room(latencies, max(0, min(accounts, left)), 0)
    least = min(events, max(2, left // 3))
    shown = min(accounts, left - 1 - least)
    return _Room(latencies, shown, min(events, left - 1 - shown))


# --- what is above the accounts -----------------------------------------------------------


def _head(status: Status, view: View) -> list[Iterable[Span]]:
    totals = status["totals"]
    clock = _clock(status["time"])
    title = [
        _head_of(f"xyfast {status['version']}"),
        Span(f"{clock}  {view.where}  up {age(status['time'] - status['began'])}"),
    ]
    lines: list[Iterable[Span]] = []
    if view.problem is not None:
        lines.append([Span(f"NOT REACHABLE, trying again; it stood so at {clock}", "red")])
        lines.append([Span(view.problem, "red")])
    elif status["ready"]:
        title.append(Span("ready", "green"))
    else:
        title.append(Span(f"NOT READY: {status['reason']}", "red"))
    states = sorted(
        ((state, number) for state, number in totals["states"].items() if number),
        key=lambda each: (_PLACES.get(each[0], 1), each[0]),
    )
    errors = {**totals["errors"], **status["errors"]}
    named = ", ".join(f"{name} {number}" for name, number in errors.items())
    return [
        _apart(title),
        *lines,
        _named(
            "accounts",
            Span(count(totals["accounts"])),
            *(Span(f"{_said(state)} {count(n)}", _COLOURS.get(state)) for state, n in states),
        ),
        _named(
            "messages",
            Span(f"in {count(totals['received_rate'])}/s"),
            Span(f"handled {count(totals['handled_rate'])}/s"),
            Span(f"sent {count(totals['sent_rate'])}/s"),
        ),
        _named(
            "waiting",
            Span(f"inbox {count(totals['unhandled'])}"),
            Span(f"unacked {count(status['uncommitted'])}"),
            Span(f"behind {quick(totals['lag'])}", "yellow" if totals["lag"] >= _LATE else None),
            Span(f"running {count(status['running'])}"),
            Span(f"sending {count(totals['sending'])}"),
        ),
        _named(
            "trouble",
            _bad("dead letters", totals["dead_letters"]),
            _bad("gaps", totals["open_gaps"]),
            _bad("errors", sum(errors.values()), f" ({named})" if named else ""),
            _bad("loop blocked", status["blocked"]),
        ),
    ]


def _latencies(status: Status, width: int) -> Iterable[Iterable[Span]]:
    names = f"{'LATENCY':9} {'COUNT':>7} {'P50':>6} {'P99':>6}  "
    yield [_head_of(names + _axis(status["heartbeat"]))]
    for hop, latency in (*status["hops"].items(), ("heartbeat", status["heartbeat"])):
        recent = latency["recent"]
        cells = (
            cell(hop, 9),
            cell(count(latency["count"]), -7),
            cell(quick(recent["p50"]), -6),
            cell(quick(recent["p99"]), -6),
        )
        words = f"  {_WORDS.get(hop, '')}" if width >= _EXPLAINED else ""
        yield [Span(f"{' '.join(cells)}  "), Span(_bars(latency), "cyan"), Span(words)]


def _axis(latency: LatencyStatus) -> str:
    """The bounds of the first bar, the one in the middle, and the last one that has a bound."""
    bounds = [bound for bound, _ in latency["buckets"]]
    if not bounds:
        return ""
    middle = len(bounds) // 2
    first, half, last = (quick(bounds[place]) for place in (0, middle, -1))
    return cell(first, middle) + cell(half, max(0, len(bounds) - 5 - middle)) + cell(last, -6)


def _bars(latency: LatencyStatus) -> str:
    """How many there are between bounds; high for many, and not too low for few."""
    below = [0, *(number for _, number in latency["buckets"]), latency["count"]]
    counts = [max(0, after - before) for before, after in pairwise(below)]
    most = max(1, *counts)
    return "".join(_BARS[round(sqrt(each / most) * 7)] if each else " " for each in counts)


# --- accounts -----------------------------------------------------------------------------


def _accounts(status: Status, view: View, shown: int, width: int) -> Iterable[Iterable[Span]]:
    columns = [(name, size) for name, size, least in _COLUMNS if width >= least]
    if width >= 80:
        columns[1] = ("NAME", min(8 + (width - 80) // 4, _NAME_MOST))
    yield [_head_of(" ".join(cell(name, size) for name, size in columns) + " TROUBLE")]
    accounts: Sequence[AccountStatus] = status["accounts"]
    if view.sort in _ORDERS:
        accounts = sorted(accounts, key=_ORDERS[view.sort])
    first = _first(status, view, shown)
    for one in accounts[first : first + shown]:
        cells = _cells(one)
        line = [Span(cell(cells[name].text, size) + " ", cells[name].colour)
                for name, size in columns]  # fmt: skip
        yield [*line, Span(_trouble(one, status))]


def _cells(one: AccountStatus) -> dict[str, Span]:
    waits = one["unhandled"]
    return {
        "ACCOUNT": Span(one["account"]),
        "NAME": Span(one["name"]),
        "STATE": Span(_said(one["state"]), _COLOURS.get(one["state"])),
        "LINK": Span(age(one["link_age"])),
        "BEAT": Span(quick(one["round_trip"])),
        "IN/S": Span(count(one["received_rate"])),
        "DONE/S": Span(count(one["handled_rate"])),
        "INBOX": Span(count(waits)),
    }


def _trouble(one: AccountStatus, status: Status) -> str:
    """What is wrong with an account, or was."""
    found = []
    if one["state"] not in _CALM and one["reason"] is not None:
        found.append(one["reason"] + _wait(one["wait"]))
    if one["dead_letters"]:
        found.append(f"dead {count(one['dead_letters'])}")
    if one["open_gaps"]:
        found.append(f"gaps {count(one['open_gaps'])}")
    if (one["lag"] or 0.0) >= _LATE:
        found.append(f"behind {quick(one['lag'])}")
    if one["state"] == "connected":
        last = [move for move in status["moves"] if _is_bad(move, one)][-1:]
        found += [f"{move['reason']} {age(status['time'] - move['time'])} ago" for move in last]
    return ", ".join(found)


def _is_bad(move: MoveStatus, one: AccountStatus) -> bool:
    bad = _COLOURS.get(move["new"]) == "red" or move["new"] == "reconnecting"
    return bad and move["account"] == one["account"]


def _first(status: Status, view: View, shown: int) -> int:
    return max(0, min(view.first, len(status["accounts"]) - shown))


# --- what is below ------------------------------------------------------------------------


def _events(status: Status) -> list[Iterable[Span]]:
    """Changes of state, dead letters and gaps, the newest first."""
    found: list[tuple[float, str, Span]] = []
    for move in status["moves"]:
        text = f"{_said(move['new'])}: {move['reason']}{_wait(move['wait'])}"
        found.append((move["time"], move["account"], Span(text, _COLOURS.get(move["new"]))))
    for letter in status["dead"]:
        text = f"dead letter ({letter['cause']}): {letter['reason']}"
        found.append((letter["time"], letter["account"], Span(text, "red")))
    for gap in status["gaps"]:
        found.append((gap["time"], gap["account"], Span(f"gap: {gap['reason']}", "red")))
    found.sort(key=lambda each: each[0], reverse=True)
    return [[Span(f"{_clock(time)} {cell(account, 13)} "), what] for time, account, what in found]


def _foot(status: Status, view: View, shown: int) -> Iterable[Span]:
    if view.typing:
        return _apart([Span(f"/{view.query}_", "bold"), Span("Enter keeps it, Esc clears it")])
    first = _first(status, view, shown)
    return _apart(
        [
            Span("q quit"),
            Span("p PAUSED", "yellow") if view.paused else Span("p pause"),
            Span(f"s order: {view.sort}"),
            Span(f"/ filter: {view.query}", "yellow") if view.query else Span("/ filter"),
            Span(f"{first + 1}-{first + shown} of {_part(status)}" if shown else "no accounts"),
        ]
    )


def _part(status: Status) -> str:
    here, there = len(status["accounts"]), status["matching"]
    return f"{here}" if here >= there else f"the first {here} of {there}"


# --- how things are said ------------------------------------------------------------------


def _said(state: str) -> str:
    return "paused" if state == "disconnected" else state


def _wait(seconds: float | None) -> str:
    return "" if seconds is None else f", next try after {quick(seconds)}"


def _clock(seconds: float) -> str:
    """The time of day here, in 8 columns."""
    return time_of(int(seconds * 1000))[-8:]


def _head_of(text: str) -> Span:
    return Span(text, "bold")


def _bad(name: str, number: int, more: str = "") -> Span:
    return Span(f"{name} {count(number)}{more}", "red" if number else None)


def _named(name: str, *spans: Span) -> Iterable[Span]:
    return [_head_of(f"{name:10}"), *_apart(spans)]


def _apart(spans: Iterable[Span]) -> list[Span]:
    """With two spaces in between."""
    return [each for span in spans for each in (Span("  "), span)][1:]
