"""Answers every message with its own words.

Shows the smallest whole bot. What comes while it is away is answered when it is back, and
nothing is answered twice: the store and the answers are durable.

Try it without an account, in two terminals::

    xyfast fake-server --write fake --push 在吗
    env $(cat fake/environment) python examples/echo.py fake/9000000000001.toml

With your own: ``python examples/echo.py seller.toml``. Ctrl-C stops it.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from xyfast import Account, ChatMessage, Client, Settings


def add_handlers(client: Client) -> None:
    """Register what the bot does; tests give a client of their own."""

    @client.on(ChatMessage)
    async def echo(message: ChatMessage) -> None:
        await message.reply(message.text, durable=True)


async def main(account_file: str) -> None:
    """Run until SIGTERM or Ctrl-C; variables such as XYFAST_URL say where, else the platform."""
    client = Client(store="echo.db", settings=Settings.load())
    add_handlers(client)
    await client.add(Account.from_file(account_file))
    await client.run()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} ACCOUNT.toml")
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(sys.argv[1]))
