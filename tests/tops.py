"""A status to draw, and what `xyfast top` makes of it.

``python tests/tops.py`` writes the pictures that test_top_picture.py compares with.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, cast

from xyfast import State
from xyfast.commands.top.picture import picture
from xyfast.commands.top.text import Line
from xyfast.commands.top.view import View
from xyfast.instrumentation.histogram import SHOWN
from xyfast.instrumentation.metrics import HOPS
from xyfast.status import AccountStatus, LatencyStatus, Status

FOLDER = Path(__file__).parent / "vectors" / "top"
NOW = 1_767_225_600.0
WHERE = "127.0.0.1:8787"
SIZES = ((60, 30), (80, 24), (80, None), (120, 40))


def account(number: int, **changes: Any) -> AccountStatus:
    """An account that is well, but for the changes."""
    known: dict[str, Any] = {
        "account": f"90000000000{number:02}",
        "name": "",
        "state": "connected",
        "since": NOW - 7000,
        "reason": "registered",
        "wait": None,
        "link_age": 7000.0 + number,
        "round_trip": 0.0123,
        "lag": 0.0,
        "received_rate": 2.04,
        "handled_rate": 2.0,
        "sent_rate": 1.0,
        **dict.fromkeys(("received", "handled", "sent"), 14_000),
        **dict.fromkeys(("unhandled", "in_memory", "dead_letters", "open_gaps", "sending"), 0),
        **dict.fromkeys(("registered", "replaced", "deaf", "retries"), 0),
        "errors": {},
    }
    assert changes.keys() <= known.keys()
    return cast("AccountStatus", known | changes)


def latency(middle: int = 9, count: int = 1000) -> LatencyStatus:
    """Most durations are around the ``middle`` of the bounds, and two are longer than all."""
    counts = [count // (1 + 4 * abs(place - middle) ** 2) for place in range(len(SHOWN))]
    below = [sum(counts[: place + 1]) for place in range(len(SHOWN))]
    ever: Any = {"count": below[-1] + 2, "p50": None, "p90": None, "p99": None}
    recent = ever | {"p50": SHOWN[middle], "p99": SHOWN[middle + 3]}
    buckets = [list(each) for each in zip(SHOWN, below, strict=True)]
    total = {"count": below[-1] + 2, "total": 1.0}
    return cast("LatencyStatus", total | {"buckets": buckets, "recent": recent, "ever": ever})


def status(**changes: Any) -> Status:
    """A client with some of everything, but for the changes."""
    accounts = [
        account(7, state="kicked", reason="other login", link_age=None, round_trip=None),
        account(
            9, state="needs login", reason="risk control", link_age=None, name="旧书店和咖啡馆"
        ),
        account(4, state="reconnecting", reason="reset", wait=2.25, link_age=None, name="文具店"),
        account(1, dead_letters=2, name="books"),
        account(2, open_gaps=1, unhandled=40, lag=12.5, name="shoes & more shoes"),
        *(account(number, name="茶") for number in (3, 5, 6, 8, 10, 12)),
        account(11, state="disconnected", reason="paused", link_age=None, received_rate=None),
    ]
    states = dict.fromkeys((state.value for state in State), 0)
    for one in accounts:
        states[one["state"]] += 1

    def move(ago: float, one: int, new: str, reason: str, wait: float | None = None) -> Any:
        known = {"time": NOW - ago, "account": f"90000000000{one:02}", "old": "connected"}
        return known | {"new": new, "reason": reason, "wait": wait}

    def letter(ago: float, cause: str, reason: str) -> Any:
        return {"time": NOW - ago, "account": "9000000000001", "key": "1.PNM", "cause": cause,
                "reason": reason}  # fmt: skip

    known: dict[str, Any] = {
        "version": "0.1.0",
        "time": NOW,
        "began": NOW - 7100,
        "ready": False,
        "reason": "8 of 11 accounts are connected, 1 paused",
        "actions": False,
        "totals": {
            "accounts": len(accounts),
            "states": states,
            **dict.fromkeys(("received", "handled", "sent"), 168_000),
            "received_rate": 24.5,
            "handled_rate": 24.0,
            "sent_rate": 12.0,
            "unhandled": 40,
            "in_memory": 12,
            "dead_letters": 2,
            "open_gaps": 1,
            "sending": 3,
            "lag": 12.5,
            **dict.fromkeys(("registered", "replaced", "deaf", "retries"), 1),
            "errors": {"KeyError": 2, "reset": 1},
        },
        "matching": len(accounts),
        "accounts": accounts,
        **{"running": 12, "waiting": 4, "uncommitted": 5, "unrecorded": 2},
        "errors": {"StoreError": 1},
        **{"blocked": 1, "blocked_seconds": 0.3, "slept": 0, "slept_seconds": 0.0},
        "hops": {hop: latency(5 + 2 * place) for place, hop in enumerate(HOPS)},
        "heartbeat": latency(8, 50),
        "moves": [
            move(7000, 7, "connected", "registered"),
            move(95, 5, "reconnecting", "heartbeat timeout", 0.4),
            move(90, 5, "connected", "registered"),
            move(60, 7, "kicked", "other login"),
            move(30, 9, "needs login", "risk control"),
            move(2, 4, "reconnecting", "reset", 2.25),
        ],
        "dead": [
            letter(40, "handler", "answer raised KeyError"),
            letter(20, "payload", "input ends inside a value at byte 2"),
        ],
        "gaps": [{"time": NOW - 50, "account": "9000000000002", "start": 0, "end": 1,
                  "reason": "the history has no more pages"}],
    }  # fmt: skip
    assert changes.keys() <= known.keys()
    return cast("Status", known | changes)


def text(lines: list[Line]) -> str:
    """Lines without colours."""
    return "".join("".join(part for part, _ in line).rstrip() + "\n" for line in lines)


def pictures() -> dict[str, str]:
    """All pictures by the names of their files; times are those of Shanghai."""
    return {
        f"{width}x{height or 'all'}.txt": text(picture(status(), View(WHERE), width, height))
        for width, height in SIZES
    }


if __name__ == "__main__":
    os.environ["TZ"] = "CST-8"
    time.tzset()
    FOLDER.mkdir(exist_ok=True)
    for name, shown in pictures().items():
        (FOLDER / name).write_text(shown, "utf-8")
