"""A whole bot in a process of its own is killed again and again; the server counts.

Whatever the server does with what was not acknowledged, nothing that was acknowledged is
lost, and nothing is handled twice without saying so.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from world import ME
from xyfast.testing import FakeServer, OldToken, Redelivery, Replay, SecondLink, ServerSettings

BOT = """
import asyncio, json, sys
from xyfast import Account, ChatMessage, Client, Settings

options, log = json.loads(sys.argv[1]), open(sys.argv[2], "a", buffering=1)
client = Client(store=options.pop("store"), settings=Settings(**options["settings"]))

@client.on(ChatMessage)
async def note(message):
    await asyncio.sleep(0.002)
    print(json.dumps([message.key, message.redelivered]), file=log)

async def main():
    await client.add(Account.from_cookies(options["cookies"]))
    await client.run()

asyncio.run(main())
"""

ASSUMED = {
    "defaults": ServerSettings(),
    "unacked never again": ServerSettings(redelivery=Redelivery.NEVER),
    "unacked after reconnect": ServerSettings(redelivery=Redelivery.RECONNECT),
    "replay in the answer": ServerSettings(replay=Replay.ANSWER),
    "both links hear": ServerSettings(same_device=SecondLink.BOTH),
    "strict": ServerSettings(push_before_ack_diff=False, redelivery_after=0.3),
    "short links": ServerSettings(link_life=0.2, old_token=OldToken.LIVES),
}


class Bot:
    """The bot's process, and what it wrote down about its handlers."""

    def __init__(self, server: FakeServer, folder: Path) -> None:
        self.log = folder / "handled.jsonl"
        self.options = json.dumps(
            {
                "store": str(folder / "x.db"),
                "cookies": server.cookies(ME),
                "settings": {
                    "url": server.url,
                    "token_url": server.token_url,
                    "heartbeat": 0.2,
                    "heartbeat_timeout": 1.0,
                    "backoff_scale": 0.02,
                    "token_retry": 0.1,
                },
            }
        )

    async def start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", BOT, self.options, str(self.log)
        )

    def handled(self) -> list[tuple[str, int]]:
        if not self.log.exists():
            return []
        return [tuple(json.loads(line)) for line in self.log.read_text().splitlines()]


@pytest.mark.parametrize("name", ASSUMED)
async def test_a_killed_bot_loses_nothing_and_doubles_nothing_in_silence(
    name: str, tmp_path: Path
) -> None:
    dice = random.Random(name)
    async with FakeServer([ME], settings=ASSUMED[name]) as server:
        bot = Bot(server, tmp_path)
        pushed: list[str] = []
        for round_ in range(4):
            links = len(server.ledger(ME).registrations)
            process = await bot.start()
            await server.wait(lambda n=links: len(server.ledger(ME).registrations) > n, 30)
            victim = dice.randrange(20, 60)
            for number in range(80):
                text = f"{round_}.{number}"
                conversation = str(70000000011 + number % 3)
                pushed.append(server.push_text(ME, text, conversation=conversation))
                if number == victim:
                    before = len(bot.handled())
                    await server.wait(lambda n=before: len(bot.handled()) > n, 30)
                    process.kill()
                    await process.wait()
        process = await bot.start()

        def everything() -> bool:
            return {key for key, _ in bot.handled()} >= set(pushed)

        await server.wait(everything, 30)
        process.terminate()
        assert await process.wait() == 0
    silent = Counter(key for key, redelivered in bot.handled() if not redelivered)
    assert [key for key, count in silent.items() if count > 1] == []
    if ASSUMED[name].replay is Replay.PUSHES:  # what stands in an answer has no ack of its own
        assert not server.ledger(ME).unacked
