"""The loads that links are put under, and what we want of ours.

A figure is a time, or bytes, and less is better: twice the messages a second are 0.50.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from targets import Target, Theme
from trial import Load

QUICK = ["xyfast", "picows", "aiohttp", "curl_cffi", "websockets"]
EVERYBODY = [*QUICK, "websocket-client", "httpx-ws"]
MANY = ["xyfast", "picows", "aiohttp", "websockets"]
FEW = ["xyfast", "picows", "websocket-client"]

_BLOCKED = Load("", FEW, rate=500, seconds=2.5, heartbeat=0.25, rounds=2)
LOADS: Sequence[Load] = [
    Load("sat1k5", [*EVERYBODY, "upstream"], window=64),
    Load("sat300", QUICK, size="gf300", window=64),
    Load("sat8k", QUICK, size="gf8k", window=64),
    Load("pingpong", QUICK, window=1),
    Load("paced", QUICK, rate=2000, rounds=10),
    Load("slow", MANY, rate=200, seconds=2),
    *(replace(_BLOCKED, name=f"blocked, {way}", block=way) for way in ("sleep", "spin", "hold")),
    Load("idle links", MANY, seconds=4, links=1000, heartbeat=1, rounds=3),
    Load("many", MANY, rate=2000, seconds=3, links=1000, heartbeat=15, rounds=3),
]

THEMES = [
    Theme(
        "time",
        "Time of a message",
        {
            "sat1k5": Target(1, 1 / 2.8, 1 / 4.0),
            "sat300": Target(2, 1 / 3.5, 1 / 5.0),
            "sat8k": Target(2, 1 / 2.0, 1 / 3.5),
            "pingpong": Target(4, 1 / 0.85, 1 / 1.4),
        },
    ),
    Theme(
        "cpu",
        "Processor time of a message",
        {
            "sat1k5": Target(3, 0.40, 0.25),
            "paced": Target(8, 1.30, 0.75),
            "many": Target(15, 1.05, 0.75),
        },
    ),
    Theme(
        "ack50",
        "Push to ack, p50",
        {"paced": Target(5, 1.50, 0.75), "slow": Target(9, 1.40, 0.80)},
    ),
    Theme("handler50", "Push to handler, p50", {"paced": Target(6, 1.15, 0.85)}),
    Theme("ack99", "Push to ack, p99", {"paced": Target(7, 2.00, 1.00)}, against="picows"),
    Theme("memory", "Memory of an idle link", {"idle links": Target(10, 0.75, 0.25)}, unit="KiB"),
    Theme(
        "beats",
        "Processor time of the heartbeats of 1 000 links",
        {"idle links": Target(11, 0.50, 0.25)},
    ),
    Theme(
        "silence",
        "Longest time between two heartbeats, one is due every 250 ms",
        {"blocked": Target(12, 0.275, 0.255)},
        fact="silence",
        unit="ms",
    ),
    Theme(
        "time",
        "Time of a message, to scripts as they are today",
        {"sat1k5": Target(14, 1 / 12, 1 / 20)},
        against="upstream",
    ),
    Theme(
        "wakeups",
        "Wake-ups of the event loop for a push",
        {"sat1k5": Target(16, 0.05, 0.02)},
        fact="wakeups",
    ),
]
