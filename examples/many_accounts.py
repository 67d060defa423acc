"""Runs all accounts of a folder in one process, and goes on when one of them fails.

Shows many accounts on one store, what is logged when one needs you, and how it comes back: an
account whose login is over waits until its file holds new cookies. A file that cannot be used
costs the others nothing.

Try it without an account, in two terminals::

    xyfast fake-server --write fake --push 在吗 --account 9000000000001 --account 9000000000002
    env $(cat fake/environment) python examples/many_accounts.py fake

With your own: ``python examples/many_accounts.py FOLDER``, which holds one TOML file for each.
Ctrl-C stops it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from xyfast import Account, ChatMessage, Client, ConfigError, Settings, State
from xyfast.instrumentation import Fact, StateChanged

log = logging.getLogger("many_accounts")

LOOK = 5.0  # seconds between two looks at the file of an account that waits for new cookies


class Folder:
    """The accounts' files, and where new cookies come from (a `CredentialSource`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Path] = {}

    def accounts(self) -> list[Account]:
        """Read all files; one that cannot be used is logged."""
        found = []
        for path in sorted(self._folder.glob("*.toml")):
            if path.name == "xyfast.toml":  # the configuration of `xyfast run`
                continue
            try:
                account = Account.from_file(path)
            except ConfigError as error:
                log.error("left out: %s", error)
                continue
            if account.id in self._files:
                log.error("left out: %s is the same account as %s", path, self._files[account.id])
                continue
            self._files[account.id] = path
            found.append(account)
        return found

    async def credentials(
        self, account: Account, reason: str, *, human: bool, url: str | None
    ) -> Account | None:
        """Wait until the file of an account holds other cookies than now."""
        path = self._files[account.id]
        if not human:  # nothing is wrong with the cookies: go on trying
            return None
        log.error("log in with %s and put the new cookies into %s: %s", account.id, path, reason)
        old = _changed(path)
        while True:
            await asyncio.sleep(LOOK)
            if (now := _changed(path)) != old:
                old = now
                try:
                    return Account.from_file(path)
                except ConfigError as error:  # half written, or not right yet
                    log.error("still waiting: %s", error)


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def watch(fact: Fact) -> None:
    """Log the accounts that need you; a hook sees them all."""
    if isinstance(fact, StateChanged) and fact.new in (State.NEEDS_LOGIN, State.KICKED):
        log.error("account %s is out: %s, %s", fact.account_id, fact.new.value, fact.reason)


def add_handlers(client: Client) -> None:
    """Register what the bot does; tests give a client of their own."""

    @client.on(ChatMessage)
    async def answer(message: ChatMessage) -> None:
        await message.reply("在的", durable=True)


async def main(path: str) -> None:
    """Run until SIGTERM or Ctrl-C; variables such as XYFAST_URL say where, else the platform."""
    folder = Folder(Path(path))
    client = Client(
        store="many_accounts.db", settings=Settings.load(), credentials=folder, hooks=[watch]
    )
    add_handlers(client)
    for account in folder.accounts():
        await client.add(account)
    await client.run()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} FOLDER")
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(sys.argv[1]))
