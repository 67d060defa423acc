"""Kills a bot by SIGKILL again and again and counts: ``python -m faults.crash --help``.

Numbered messages are pushed while it lives, dies and comes back. It is killed at a random
instant, right after a handler has ended, or right after a commit, which is before the acks.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from faults.bot import Bot
from faults.record import write
from world import ME
from xyfast.testing import (
    FakeServer,
    OldToken,
    Redelivery,
    Replay,
    SecondLink,
    ServerSettings,
)

__all__ = ["ASSUMED", "Figures", "crash"]

KEPT = 1_000_000  # all of it: too long gaps have tests of their own

ASSUMED = {
    "defaults": ServerSettings(kept=KEPT),
    "unacked never again": ServerSettings(kept=KEPT, redelivery=Redelivery.NEVER),
    "unacked after reconnect": ServerSettings(kept=KEPT, redelivery=Redelivery.RECONNECT),
    "replay in the answer": ServerSettings(kept=KEPT, replay=Replay.ANSWER),
    "nothing is replayed": ServerSettings(
        kept=KEPT, replay=Replay.NOTHING, redelivery=Redelivery.NEVER
    ),
    "both links hear": ServerSettings(kept=KEPT, same_device=SecondLink.BOTH),
    "strict": ServerSettings(kept=KEPT, push_before_ack_diff=False, redelivery_after=0.3),
    "short links": ServerSettings(kept=KEPT, link_life=0.2, old_token=OldToken.LIVES),
}
"""What the server may do with what was not acknowledged, and around it."""

CONVERSATIONS = 5
MOST = 500
"""Pushed messages that wait for a handler: a bot on a slow machine must not fall ever further
behind, since links of 0.2 s bring again, each, what the ones before could not acknowledge."""


@dataclass
class Figures:
    """What was counted. ``lost`` was acknowledged, ``missing`` only pushed, and never handled."""

    rounds: int = 0
    messages: int = 0
    lost: int = 0
    missing: int = 0
    doubled: int = 0
    """Handled again without saying so."""
    flagged: int = 0
    """Handled again and said so: the bot was killed between the end and its record."""
    inversions: int = 0
    """Handled after a later message of the same conversation."""

    def add(self, other: Figures) -> None:
        """Add what another run has counted."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    @property
    def good(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.lost or self.missing or self.doubled or self.inversions)


async def crash(settings: ServerSettings, folder: Path, *, rounds: int, seed: object) -> Figures:
    """Kill a bot so many times and count what became of the messages."""
    async with FakeServer([ME], settings=settings) as server, Bot(server, folder) as bot:
        run = _Run(server, bot, random.Random(f"crash {seed}"))
        await run.begin()
        for _ in range(rounds):
            await run.round()
        process = await bot.start()
        await bot.until(lambda: bot.handled(run.pushed))
        # Nothing else than a replayed push has an ack of its own.
        await bot.until(
            lambda: not server.ledger(ME).unacked or settings.replay is not Replay.PUSHES
        )
        await bot.stop(process)
        figures = count(bot, run.pushed, server.ledger(ME).acked)
        figures.rounds = rounds
        return figures


class _Run:
    def __init__(self, server: FakeServer, bot: Bot, dice: random.Random) -> None:
        self.pushed: list[str] = []
        self._server = server
        self._bot = bot
        self._dice = dice
        self._life = 1.0  # seconds from the start of a process to its first link and a bit more

    async def begin(self) -> None:
        """Have the account known: a new one is told nothing of what was before its first link."""
        process = await self._bot.connected()
        self._push()
        await self._bot.until(lambda: self._bot.handled(self.pushed))
        await self._bot.stop(process)

    async def round(self) -> None:
        """Start the bot and push until it is dead."""
        dice, loop = self._dice, asyncio.get_running_loop()
        death = dice.choice(("any time", "in a link", "handled", "committed"))
        begun, links = loop.time(), self._links()
        process = await self._bot.start(
            handled=dice.randint(1, 40) if death == "handled" else 0,
            commits=dice.randint(1, 12) if death == "committed" else 0,
        )
        dead = asyncio.ensure_future(process.wait())
        kill = begun + dice.uniform(0, self._life) if death == "any time" else None
        while not dead.done():
            for _ in range(dice.randint(1, 6)):
                if len(self.pushed) - len(set(self._bot.keys())) < MOST:
                    self._push()
            await asyncio.wait({dead}, timeout=dice.uniform(0, 0.05))
            if death == "in a link" and kill is None and self._links() > links:
                self._life = 1.5 * (loop.time() - begun)
                kill = loop.time() + dice.uniform(0, 0.3)
            if kill is not None and loop.time() >= kill and process.returncode is None:
                process.kill()
        assert dead.result() != 0, self._bot.errors()

    def _links(self) -> int:
        return len(self._server.ledger(ME).registrations)

    def _push(self) -> None:
        conversation = str(70000000011 + self._dice.randrange(CONVERSATIONS))
        text = str(len(self.pushed))
        self.pushed.append(self._server.push_text(ME, text, conversation=conversation))


def count(bot: Bot, pushed: list[str], acked: set[str]) -> Figures:
    """Judge what a bot wrote down."""
    figures = Figures(messages=len(pushed))
    seen: Counter[str] = Counter()
    first: dict[str, int] = {}  # the last number of a conversation that came for the first time
    lived: dict[str, int] = {}  # the last number of a conversation in this process
    for note in bot.notes():
        if note["what"] == "born":
            lived.clear()
        elif note["what"] == "handled":
            key, conversation, number = note["key"], note["conversation"], note["number"]
            if seen[key]:
                figures.flagged += note["redelivered"] > 0
                figures.doubled += note["redelivered"] == 0
            else:
                figures.inversions += first.get(conversation, -1) > number
                first[conversation] = number
            figures.inversions += lived.get(conversation, -1) >= number
            lived[conversation] = number
            seen[key] += 1
    figures.lost = len(acked & set(pushed) - seen.keys())
    figures.missing = len(set(pushed) - seen.keys())
    return figures


async def main(rounds: int, seed: int, names: list[str]) -> Figures:
    """Share the rounds among settings of the server."""
    total = Figures()
    for number, name in enumerate(names):
        share = rounds // len(names) + (number < rounds % len(names))
        with tempfile.TemporaryDirectory() as folder:
            figures = await crash(ASSUMED[name], Path(folder), rounds=share, seed=f"{seed} {name}")
        print(f"{name}: {figures}", flush=True)
        total.add(figures)
    return total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kill a bot again and again, and count.")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", nargs="+", choices=ASSUMED, default=list(ASSUMED))
    parser.add_argument("--record", type=Path, help="folder for a file with the figures")
    options = parser.parse_args()
    total = asyncio.run(main(options.rounds, options.seed, options.settings))
    print(f"all: {total}")
    write(
        options.record,
        "crash",
        {"seed": options.seed, "settings": options.settings, **asdict(total)},
    )
    sys.exit(not total.good)
