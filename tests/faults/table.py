"""What each fault costs, measured: ``python -m faults.table``, with ``--help``.

A bot is pushed a numbered message four times a second, and something goes wrong. Measured is the
time until it handles a message that was pushed after that, and counted what it never handles.
Each bot has a process and a fake server of its own. ``--page`` writes docs/faults.md
and its Chinese.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from faults.subjects import SUBJECTS, Target
from faults.words import chinese
from world import ME, ThreadedServer
from xyfast import Account, Settings, _core
from xyfast.testing import FakeServer, Fault, OldToken, ServerSettings

__all__ = ["CASES", "Case", "Measured", "measure"]

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
CHINESE = PAGE.with_name("faults.zh.md")
PAUSE = 0.25
PATIENCE = 150.0
"""Seconds within which a bot must hear again."""
WARM = 31.0
"""Seconds for which all is well before: a link is healthy then."""
TAIL = 5.0
REDELIVERY = 35.0
"""Seconds for which the last missing messages are waited for: the server repeats them after 30."""

Begin = Callable[[FakeServer], Awaitable[object] | object]


@dataclass(frozen=True)
class Case:
    """One fault: how it looks, what our client does, how it begins, and how it ends."""

    name: str
    seen: str
    does: str
    begin: Begin = lambda server: None
    end: Begin = lambda server: None
    lasts: float = 0.0
    """Seconds to the end."""
    blocks: float = 0.0
    """Seconds for which the bot's own event loop is blocked."""
    sleeps: float = 0.0
    """Seconds for which the bot's machine sleeps."""
    assumed: ServerSettings = field(default_factory=ServerSettings)
    settings: dict[str, Any] = field(default_factory=dict)
    ping: tuple[float, float] = (20.0, 20.0)
    noticed: float | None = None
    """Most seconds until our client notices."""
    linked: float | None = None
    """Most seconds until it has another link."""


def _dropping(server: FakeServer) -> None:
    server.fault(ME, Fault.HTTP_DROPPED)
    server.reset(ME)


def _slow(server: FakeServer) -> None:
    server.fault(None, Fault.SLOW_HANDSHAKE)
    server.reset(ME)


def _closing(code: int) -> Begin:
    return lambda server: server.close_links(ME, code)


_REDIALS = "dials again, within 1 s after a link that lived for 30 s"

CASES = [
    Case("reset", "the connection is reset", _REDIALS, lambda s: s.reset(ME), linked=1.5),
    Case("cut", "the stream ends within a frame", _REDIALS, lambda s: s.cut(ME)),
    *[
        Case(f"close {code}", f"the server closes with {code}", _REDIALS, _closing(code))
        for code in (1000, 1001, 1008, 1011, 1012, 1013, 4000)
    ],
    Case(
        "half-open",
        "the link falls silent, its socket stays open",
        "gives the link up when no heartbeat was answered for 30 s",
        lambda s: s.half_open(ME),
        noticed=31.0,
    ),
    Case(
        "half-open, 2/4 s",
        "the same, with a heartbeat every 2 s",
        "gives the link up after 4 s",
        lambda s: s.half_open(ME),
        settings={"heartbeat": 2.0, "heartbeat_timeout": 4.0},
        ping=(2.0, 2.0),
        noticed=5.0,
    ),
    Case(
        "zombie",
        "heartbeats are answered, nothing is pushed any more",
        "asks for the newest conversations after 45 to 60 s of silence, fetches what was missed "
        "and replaces the link",
        lambda s: s.expire_tokens(ME),
        assumed=ServerSettings(old_token=OldToken.DEAF),
        noticed=75.0,
    ),
    Case(
        "session gone",
        "every request is answered with 401, the socket stays open",
        "gives the link up after three refused heartbeats, and fetches a new token",
        lambda s: s.expire_tokens(ME),
        assumed=ServerSettings(old_token=OldToken.UNAUTHORISED),
        noticed=46.0,
    ),
    Case(
        "slow handshake",
        "the link is reset, and handshakes take longer than anybody waits for 20 s",
        "gives each dial up after 10 s and dials again, ever more slowly",
        _slow,
        lambda s: s.heal(None, Fault.SLOW_HANDSHAKE),
        lasts=20.0,
        assumed=ServerSettings(slow=30.0),
    ),
    Case(
        "trickle",
        "frames come in pieces of 64 bytes",
        "reads on",
        lambda s: s.fault(ME, Fault.TRICKLE),
    ),
    Case(
        "blocked loop",
        "a handler blocks the event loop for 60 s",
        "goes on beating in Rust, keeps the link and what comes, and logs where the loop stands",
        blocks=60.0,
    ),
    Case(
        "machine slept",
        "the machine wakes, and its links have died meanwhile",
        "tests each link when the clock has moved, and gives it up when it does not answer for 5 s",
        lambda s: s.half_open(ME),
        sleeps=3600.0,
        linked=10.0,
    ),
    Case(
        "no tokens",
        "the link is reset, and the token endpoint fails for 20 s",
        "dials again with the token at hand",
        _dropping,
        lambda s: s.heal(ME),
        lasts=20.0,
    ),
    Case(
        "restart",
        "the server is gone for 10 s",
        "dials again at random times below 10, 20, ... 60 s",
        lambda s: s.down(),
        lambda s: s.up(),
        lasts=10.0,
    ),
]


@dataclass(frozen=True)
class Measured:
    """What became of one bot; seconds from the fault, None for never."""

    heard: float | None
    """To the first message that was pushed since."""
    linked: float | None
    """To the next registration; None if none was needed."""
    noticed: float | None
    """Until our client said that something is wrong."""
    pushed: int
    lost: int
    doubled: int


class _Pouring:
    """A numbered message from time to time, pushed on the server's own thread."""

    def __init__(self, host: ThreadedServer, pause: float) -> None:
        self.times: list[float] = []
        self._host = host
        self._task = host.call(lambda: self._begin(pause))

    async def _begin(self, pause: float) -> asyncio.Task[None]:
        return asyncio.create_task(self._pour(pause))

    async def _pour(self, pause: float) -> None:
        while True:
            self.times.append(time.monotonic())
            self._host.server.push_text(ME, str(len(self.times) - 1))
            await asyncio.sleep(pause)

    def end(self) -> None:
        self._host.call(self._cancel)

    async def _cancel(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


async def measure(
    case: Case,
    subject: str,
    *,
    warm: float = WARM,
    tail: float = TAIL,
    pause: float = PAUSE,
    repeats: float = REDELIVERY,
    **settings: Any,
) -> Measured:
    """Put one bot through one fault."""
    host = ThreadedServer(assumed=case.assumed, host=_address())
    try:
        cookies = host.call(lambda: host.server.cookies(ME))
        urls = {"url": host.server.url, "token_url": host.server.token_url}
        target = Target(
            Account.from_cookies(cookies),
            Settings(**{**urls, **settings, **case.settings}),
            ping=case.ping,
        )
        return await _measure(host, case, SUBJECTS[subject], target, (warm, tail, pause, repeats))
    finally:
        host.close()


def _address() -> str:
    """One of this process alone: no other one takes the ports of a server that is down."""
    if sys.platform != "linux":
        return "127.0.0.1"
    number = os.getpid()
    return f"127.{number >> 16 & 127 | 64}.{number >> 8 & 255}.{number & 255}"


async def _measure(
    host: ThreadedServer,
    case: Case,
    run: Callable[[Target, Callable[[str], None]], Awaitable[None]],
    target: Target,
    times: tuple[float, float, float, float],
) -> Measured:
    warm, tail, pause, repeats = times
    handled: list[tuple[int, float]] = []
    bot = asyncio.ensure_future(
        run(target, lambda text: handled.append((int(text), time.monotonic())))
    )
    ledger = host.server.ledger(ME)
    pouring = None
    try:
        await _until(lambda: ledger.registrations, PATIENCE)
        pouring = _Pouring(host, pause)
        await _until(lambda: handled, PATIENCE)
        await asyncio.sleep(warm)
        target.noticed, links = None, len(ledger.registrations)
        start = time.monotonic()
        host.call(lambda: case.begin(host.server))
        begun = time.monotonic()
        if case.lasts:
            host.later(case.lasts, lambda: case.end(host.server))
        target.slept += case.sleeps
        if case.blocks:
            time.sleep(case.blocks)  # noqa: ASYNC251 - that is the fault

        def again() -> list[float]:
            return [at - start for number, at in handled if pouring.times[number] > begun]

        linked = None
        deadline = time.monotonic() + PATIENCE
        while not again() and time.monotonic() < deadline:
            if linked is None and len(ledger.registrations) > links:
                linked = time.monotonic() - start
            await asyncio.sleep(0.01)
        if linked is None and len(ledger.registrations) > links:
            linked = time.monotonic() - start
        await asyncio.sleep(tail)
        pouring.end()
        pushed = len(pouring.times)
        await _until(lambda: len({number for number, _ in handled}) == pushed, repeats)
    finally:
        bot.cancel()
        await asyncio.gather(bot, return_exceptions=True)
    counts = Counter(number for number, _ in handled)
    return Measured(
        heard=next(iter(again()), None),
        linked=linked,
        noticed=None if target.noticed is None else target.noticed - start,
        pushed=pushed,
        lost=pushed - len(counts),
        doubled=sum(counts.values()) - len(counts),
    )


async def _until(condition: Callable[[], object], patience: float) -> None:
    deadline = time.monotonic() + patience
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - other threads tell
        await asyncio.sleep(0.02)


# --- the page -----------------------------------------------------------------------------

_HEAD = """\
# Faults

What goes wrong on links, what our client does, and what that costs, beside two loops as scripts
have them. `make faults` measures it and writes this page.

Each bot is pushed four messages a second for half a minute, then comes the fault. The figures say
after how long it handles a message that was pushed since; what it never handles is lost. All three
take a message once and acknowledge it at once. The loop on websockets is its reconnecting iterator
with pings at their defaults; the one on aiohttp dials again after 5 s and has `heartbeat=40`. Both
beat every 15 s, fetch a token for every link, and tell the server that they have all up to now, as
scripts do.

The server is `xyfast.testing.FakeServer`: it repeats what nobody acknowledged, after 30 s and over
a new link. Another server may cost the loops more.

"""

_TAIL = """\

## A page for each

What you see, what xyfast does, what you do:

- links: [ended](faults/reset.md), [half-open](faults/half-open.md), [deaf](faults/deaf-link.md),
  [a blocked event loop](faults/blocked-loop.md), [clocks and sleep](faults/clock.md)
- on the way: [proxy](faults/proxy.md), [DNS](faults/dns.md), [TLS](faults/tls.md)
- accounts: [kicked](faults/kicked.md), [login needed](faults/needs-login.md),
  [risk control](faults/risk-control.md), [no tokens](faults/token-endpoint.md)
- messages: [gaps](faults/gaps.md), [dead letters](faults/dead-letters.md),
  [a store that is full or fails](faults/store.md)
"""


def page(found: dict[str, dict[str, Measured]]) -> str:
    """The text of docs/faults.md."""
    names = list(SUBJECTS)
    lines = [
        f"| fault | what you see | what xyfast does | {' | '.join(names)} |",
        "| --- " * (3 + len(names)) + "|",
    ]
    for case in CASES:
        cells = [_cell(found[case.name][name]) for name in names]
        lines.append(f"| {case.name} | {case.seen} | {case.does} | {' | '.join(cells)} |")
    on = f"Python {sys.version.split()[0]}, {os.cpu_count()} cores"
    end = f"Measured on {on}. Build: {_core.build_profile}."
    return _HEAD + "\n".join(lines) + f"\n\n{end}\n" + _TAIL


def _cell(measured: Measured) -> str:
    heard = measured.heard
    cell = f"never ({PATIENCE:g} s)" if heard is None else f"{heard:.1f} s"
    for count, word in ((measured.lost, "lost"), (measured.doubled, "doubled")):
        if count:
            cell += f", {count} {word}"
    return cell


def broken(case: Case, measured: Measured) -> list[str]:
    """Which bounds our client did not keep."""
    found = []
    if measured.heard is None or measured.lost or measured.doubled:
        found.append("lost or doubled something, or never heard again")
    if case.noticed is not None and not 0 < (measured.noticed or 1e9) <= case.noticed:
        found.append(f"noticed after {measured.noticed} s")
    if case.linked is not None and not 0 < (measured.linked or 1e9) <= case.linked:
        found.append(f"linked after {measured.linked} s")
    if case.blocks and measured.linked is not None:
        found.append("lost its link")
    return found


async def _all(cases: list[Case], jobs: int) -> dict[str, dict[str, Measured]]:
    gate = asyncio.Semaphore(jobs)
    found: dict[str, dict[str, Measured]] = {case.name: {} for case in cases}

    async def one(case: Case, subject: str) -> None:
        async with gate:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "faults.table", "--one", case.name, subject,
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, _ = await process.communicate()
        found[case.name][subject] = measured = Measured(**json.loads(out))
        print(f"{case.name:20} {subject:12} {_cell(measured):30} {measured}", flush=True)

    await asyncio.gather(*[one(case, name) for name in SUBJECTS for case in cases])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="FAULT", help="only these")
    parser.add_argument("--one", nargs=2, metavar=("FAULT", "BOT"), help="measure here, print JSON")
    parser.add_argument("--jobs", type=int, default=8, help="bots at once (8)")
    parser.add_argument(
        "--page", action="store_true", help="write docs/faults.md, if all are measured"
    )
    options = parser.parse_args()
    by_name = {case.name: case for case in CASES}
    if options.one:
        name, subject = options.one
        print(json.dumps(asdict(asyncio.run(measure(by_name[name], subject)))))
        return 0
    cases = [by_name[name] for name in options.cases] or CASES
    found = asyncio.run(_all(cases, options.jobs))
    if options.page and cases == CASES:
        PAGE.write_text(text := page(found), "utf-8")
        CHINESE.write_text(chinese(text), "utf-8")
    failed = False
    for case in cases:
        for trouble in broken(case, found[case.name]["xyfast"]):
            failed = True
            print(f"xyfast, {case.name}: {trouble}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
