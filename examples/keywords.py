"""Answers by keywords, and hands a conversation over to a human.

Shows own messages (``own=True``), and state that survives a restart. A buyer is handed over who
asks for it or for something that no keyword is for; so is one whom the owner answers from a
phone. The bot is silent there until nobody has handed it over again for half an hour.

Try it without an account, in two terminals::

    xyfast fake-server --write fake --push 包邮吗 --push 找人工 --push 在吗
    env $(cat fake/environment) python examples/keywords.py fake/9000000000001.toml

With your own: ``python examples/keywords.py seller.toml``. Ctrl-C stops it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys

from xyfast import Account, ChatMessage, Client, Settings

log = logging.getLogger("keywords")

ANSWERS = {
    "包邮": "全国包邮，偏远地区补运费。",
    "发货": "拍下后当天发货。",
    "在吗": "在的，喜欢可以直接拍。",
}
HUMAN = "人工"
HAND_OVER = "好的，店主看到后会亲自回复您。"
PAUSE = 30 * 60_000  # milliseconds


class Desk:
    """Which conversations a human has, and until when."""

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS human"
            " (account TEXT, conversation TEXT, until INTEGER, PRIMARY KEY (account, conversation))"
        )

    def hand_over(self, message: ChatMessage) -> None:
        """The bot is silent there for some time after this message."""
        with self._db:
            self._db.execute(
                "INSERT INTO human VALUES (?, ?, ?) ON CONFLICT (account, conversation)"
                " DO UPDATE SET until = max(until, excluded.until)",
                (message.account_id, message.conversation_id, (message.time or 0) + PAUSE),
            )

    def is_handed_over(self, message: ChatMessage) -> bool:
        """Whether a human has the conversation at the time of this message."""
        found = self._db.execute(
            "SELECT 1 FROM human WHERE account = ? AND conversation = ? AND until > ?",
            (message.account_id, message.conversation_id, message.time or 0),
        )
        return found.fetchone() is not None


def add_handlers(client: Client, desk: Desk) -> None:
    """Register what the bot does; tests give a client of their own."""

    @client.on(ChatMessage, own=True)
    async def answer(message: ChatMessage) -> None:
        if message.origin == "client":  # the echo of what this bot said
            return
        if message.origin == "seller":  # the owner answers: the bot steps back
            desk.hand_over(message)
            return
        if desk.is_handed_over(message):
            return
        words = [text for keyword, text in ANSWERS.items() if keyword in message.text]
        if words and HUMAN not in message.text:
            await message.reply("\n".join(words), durable=True)
            return
        # First the reply, then the note of it: if the process is killed in between, the handler
        # runs again, and a durable reply goes out once all the same.
        await message.reply(HAND_OVER, durable=True)
        desk.hand_over(message)
        log.warning("conversation %s needs a human", message.conversation_id)


async def main(account_file: str) -> None:
    """Run until SIGTERM or Ctrl-C; variables such as XYFAST_URL say where, else the platform."""
    client = Client(store="keywords.db", settings=Settings.load())
    add_handlers(client, Desk("keywords-desk.db"))
    await client.add(Account.from_file(account_file))
    await client.run()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} ACCOUNT.toml")
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(sys.argv[1]))
