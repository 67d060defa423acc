"""``xyfast demo``: the whole way of a message, against the fake server, while one looks on."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from xyfast.account import Account
from xyfast.client import Client
from xyfast.commands import FAULTS
from xyfast.commands.shared import (
    Commands,
    Progress,
    a_number,
    add_command,
    add_json,
    painted,
    print_json,
)
from xyfast.config import Settings
from xyfast.events import State
from xyfast.instrumentation import Committed, Fact, Finished, Recovered, StateChanged
from xyfast.messages import ChatMessage

if TYPE_CHECKING:
    from xyfast.testing import FakeServer

__all__ = ["add_parser"]

_ACCOUNTS = ("9000000000001", "9000000000002")
_CONVERSATIONS = 20
_UNANSWERED = 200  # messages that wait for an answer before no more are pushed
_STALL = 60.0  # seconds without any progress after which the demo gives up

_Key = tuple[str, str]  # account and message id

# The waits of a real client, a tenth as long, so that faults are seen to be mended.
_HASTE = {
    "heartbeat": 0.5,
    "heartbeat_timeout": 1.5,
    "backoff_scale": 0.1,
    "request_timeout": 5.0,
    "history_delay": 0.2,
    # What a fake server bears.
    "send_rate": 10_000.0,
    "conversation_rate": 1_000.0,
}


def add_parser(commands: Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = add_command(
        commands,
        "demo",
        run,
        help="run a bot against the built-in fake server and watch it",
        description="Start the fake server, two accounts and a bot that answers every message; "
        "show what happens, then what was lost or doubled (nothing should be). Exit code 0: "
        "nothing was, 1: something was, 2: wrong use.",
    )
    count = a_number(int, lambda count: 1 <= count <= 1_000_000, "a number from 1 to 1000000")
    parser.add_argument("--messages", type=count, default=200, metavar="N", help="default: 200")
    parser.add_argument(
        "--fault",
        default="none",
        choices=FAULTS,
        help="what goes wrong (default: none)",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Run the demo; exit code 1 if anything was lost, doubled or left unanswered."""
    # The screen tells what the log would.
    logging.getLogger("xyfast").addHandler(logging.NullHandler())
    return asyncio.run(_demo(options.messages, options.fault, Screen(quiet=options.json)))


class Screen:
    """Lines about events, and one of progress; of both only progress if it is quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self._progress = Progress()
        self._began = self._shown = time.monotonic()

    def say(self, text: str, colour: str | None = None) -> None:
        """Print a line with the seconds since the start."""
        self._progress.clear()
        if not self.quiet:
            shown = text if colour is None else painted(text, colour)
            print(f"{time.monotonic() - self._began:7.2f} s  {shown}", flush=True)

    def progress(self, text: str) -> None:
        """Show how far things are, ten times a second."""
        now = time.monotonic()
        if now - self._shown >= 0.1:
            self._shown = now
            self._progress.show(f"{now - self._began:7.2f} s  {text}")


class Bot:
    """Answers every message of a peer once, and counts what it was given."""

    def __init__(self, client: Client) -> None:
        self.given: Counter[str] = Counter()
        self.handled: set[str] = set()
        client.on(ChatMessage)(self.answer)

    async def answer(self, message: ChatMessage) -> None:
        """Reply; what is durable goes out once, whatever happens to the links."""
        self.given[message.key] += not message.redelivered
        await message.reply(f"收到：{message.text}", durable=True)
        self.handled.add(message.key)


async def _demo(messages: int, fault: str, screen: Screen) -> int:
    from xyfast.testing import FakeServer

    with tempfile.TemporaryDirectory(prefix="xyfast-demo-") as folder:
        every = max(messages // 10, 1)
        async with FakeServer(_ACCOUNTS, plan=fault, plan_every=every, seed=0) as server:
            screen.say(f"fake server at {server.url}, fault: {fault}")
            settings = Settings(url=server.url, token_url=server.token_url, **_HASTE)  # type: ignore[arg-type]
            watch = _Watch(screen)
            client = Client(store=Path(folder) / "inbox.db", settings=settings, hooks=[watch])
            bot = Bot(client)
            async with client:
                for account in _ACCOUNTS:
                    await client.add(Account.from_cookies(server.cookies(account)))
                # What came before that would come twice: as a push, and in the replay.
                await server.wait(lambda: watch.caught_up >= set(_ACCOUNTS), timeout=_STALL)
                pushed = await _push(server, bot, messages, screen)
                await _finish(server, bot, pushed, screen)
            screen.say(watch.summary())
            return _report(server, bot, pushed, screen)


class _Watch:
    """Shows what the client tells its observers."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._lost = self._known = self._dead = 0
        self.caught_up: set[str] = set()

    def summary(self) -> str:
        """Say what the client had to put up with."""
        return (
            f"links lost {self._lost}, repeated deliveries dropped {self._known}, "
            f"undecodable payloads kept aside {self._dead}"
        )

    def __call__(self, fact: Fact) -> None:
        if isinstance(fact, Committed):
            self._known += fact.known
            self._dead += fact.dead
        elif isinstance(fact, StateChanged):
            self._lost += fact.new is State.RECONNECTING
            wait = "" if fact.wait is None else f", next try in {fact.wait:.2f} s"
            self._screen.say(f"{fact.account_id}: {fact.new.value} ({fact.reason}{wait})")
        elif isinstance(fact, Recovered):
            self.caught_up.add(fact.account_id)
        elif isinstance(fact, Finished) and fact.failed is not None:
            self._screen.say(f"{fact.account_id}: dead letter ({fact.failed})")


async def _push(server: FakeServer, bot: Bot, messages: int, screen: Screen) -> list[_Key]:
    """Push texts to the accounts in turn; returns account and id of each.

    Buyers stop asking while too many of them wait, well within what the server keeps for
    a link that is down.
    """
    pushed: list[_Key] = []

    def answered_enough() -> bool:
        screen.progress(f"pushed {len(pushed)}, answered {len(bot.handled)}")
        return len(pushed) - len(bot.handled) < _UNANSWERED

    for number, account in zip(range(messages), itertools.cycle(_ACCOUNTS), strict=False):
        text = f"在吗 {number}"
        conversation = str(70000000011 + number % _CONVERSATIONS)
        pushed.append((account, server.push_text(account, text, conversation=conversation)))
        if not answered_enough():
            await server.wait(answered_enough, timeout=_STALL)
    return pushed


async def _finish(server: FakeServer, bot: Bot, pushed: list[_Key], screen: Screen) -> None:
    """Wait until every message is answered and acknowledged, or nothing moves any more."""
    wanted = {key for _, key in pushed}
    before, moved = (-1, -1), time.monotonic()

    def done() -> bool:
        nonlocal before, moved
        acked = sum(len(server.ledger(account).acked) for account in _ACCOUNTS)
        now = (len(bot.handled), acked)
        if now != before:
            before, moved = now, time.monotonic()
        screen.progress(f"pushed {len(pushed)}, answered {len(bot.handled)}")
        unacked = any(server.ledger(account).unacked for account in _ACCOUNTS)
        return (bot.handled >= wanted and not unacked) or time.monotonic() - moved > _STALL

    with contextlib.suppress(TimeoutError):
        await server.wait(done, timeout=3600.0)


def _report(server: FakeServer, bot: Bot, pushed: list[_Key], screen: Screen) -> int:
    acked = sum(key in server.ledger(account).acked for account, key in pushed)
    replies = Counter(
        (account, sent.text) for account in _ACCOUNTS for sent in server.ledger(account).sent
    )
    keys = [key for _, key in pushed]
    result = {
        "pushed": len(keys),
        "acked": acked,
        "handled": sum(bot.given[key] > 0 for key in keys),
        "replied": len(replies),
        "duplicates": sum(
            count - 1 for count in (*bot.given.values(), *replies.values()) if count > 1
        ),
        "lost": sum(key not in bot.handled for key in keys),
    }
    good = result["lost"] == result["duplicates"] == 0 and acked == result["replied"] == len(keys)
    summary = ", ".join(f"{name} {number}" for name, number in result.items())
    screen.say(summary, "green" if good else "red")
    if screen.quiet:
        print_json(result)
    return 0 if good else 1
