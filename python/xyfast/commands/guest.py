"""What the commands share that look into the store of a bot, while it runs or not."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence

from xyfast.commands import shared
from xyfast.commands.shared import Progress, complain, print_json
from xyfast.errors import ConfigError
from xyfast.store import Row, SqliteStore

__all__ = [
    "EXIT_CODES",
    "add_account",
    "add_command",
    "pages",
    "replay",
    "size",
]

EXIT_CODES = (
    "Exit code 0: done, also if a list is empty, 1: what was named or chosen was not found (or "
    "not all of it), or the store could not be read, 2: wrong use."
)
_AT_ONCE = 1000  # some ms in which the bot cannot write

Work = Callable[[argparse.Namespace, SqliteStore], Awaitable[int]]


def add_account(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add the choice of an account."""
    parser.add_argument(
        "--account", required=required, metavar="ID", help="only what is of this account"
    )


def add_command(
    commands: shared.Commands,
    name: str,
    work: Work,
    *,
    help: str,  # noqa: A002
    description: str,
) -> argparse.ArgumentParser:
    """Add a command; ``work`` is given the opened store and returns the exit code."""
    parser = shared.add_command(
        commands, name, _open, help=help, description=f"{description} {EXIT_CODES}"
    )
    parser.set_defaults(work=work)
    parser.add_argument(
        "--store",
        metavar="PATH",
        help="the file of the bot, which may be running; default: the one of --config",
    )
    shared.add_config(parser)
    shared.add_json(parser)
    return parser


def _open(options: argparse.Namespace) -> int:
    """Open the store beside its owner, do the work, close it."""
    if options.store is None:
        options.store = shared.config_of(options).store
    try:
        os.stat(options.store)
    except OSError as error:
        raise ConfigError(
            f"the store {options.store} cannot be read ({error.strerror}): name one by --store or "
            "--config"
        ) from None
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    store = SqliteStore(options.store, shared=True)
    await store.open()
    try:
        code: int = await options.work(options, store)
    finally:
        await store.close()
    return code


async def replay(
    options: argparse.Namespace, store: SqliteStore, chosen: Sequence[tuple[str, str]]
) -> int:
    """Let the chosen messages (account, key) wait again, and say how many; the exit code."""
    if not chosen:
        complain(options, "nothing was found to replay")
        return 1
    revived, progress = 0, Progress()
    for account_id, keys in pages(chosen):
        revived += await store.revive(account_id, keys)
        progress.show(f"replayed {revived} of {len(chosen)}")
    progress.clear()
    if options.json:
        print_json({"replayed": revived})
    else:
        print(f"replayed {revived}: a running bot takes them within seconds, else the next start")
    return 0


def pages(chosen: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Sequence[str]]]:
    """The chosen messages by account, no more at a time than the bot can wait for."""
    keys: dict[str, list[str]] = {}
    for account_id, key in chosen:
        keys.setdefault(account_id, []).append(key)
    for account_id, names in keys.items():
        for first in range(0, len(names), _AT_ONCE):
            yield account_id, names[first : first + _AT_ONCE]


def size(row: Row) -> int:
    """How many bytes a payload has."""
    return len(row.payload.encode("utf-8", "surrogatepass"))
