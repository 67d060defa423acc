"""What the commands share that look into the store of a bot, while it runs or not."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from xyfast.errors import StoreError
from xyfast.store import Row, SqliteStore

__all__ = [
    "EXIT_CODES",
    "add_account",
    "add_options",
    "complain",
    "pages",
    "print_json",
    "printable",
    "replay",
    "run",
    "size",
    "time_of",
]

EXIT_CODES = (
    "Exit code 0: done, 1: nothing (or not all that was named) was found or the store could "
    "not be read, 2: wrong use."
)
_AT_ONCE = 1000  # some ms in which the bot cannot write

Work = Callable[[argparse.Namespace, SqliteStore], Awaitable[int]]


def add_account(parser: argparse.ArgumentParser) -> None:
    """Add the choice of an account."""
    parser.add_argument("--account", metavar="ID", help="only those of this account")


def add_options(parser: argparse.ArgumentParser, work: Work) -> None:
    """Add what all of them take; ``work`` is given the opened store and returns the exit code."""
    parser.add_argument(
        "--store", required=True, metavar="PATH", help="the file of the bot, which may be running"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.set_defaults(run=run, work=work, name=parser.prog)


def run(options: argparse.Namespace) -> int:
    """Open the store beside its owner, do the work, close it."""
    try:
        code: int = asyncio.run(_run(options))
    except StoreError as error:
        complain(options, str(error))
        return 1
    return code


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
    revived = 0
    for account_id, keys in pages(chosen):
        revived += await store.revive(account_id, keys)
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


def complain(options: argparse.Namespace, reason: str) -> None:
    """Write to standard error why not all is well."""
    print(f"{options.name}: {printable(reason)}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print a line of JSON that every terminal and program can take."""
    print(json.dumps(value))


def printable(text: str) -> str:
    """``text`` with escapes for what a terminal might obey: a stranger may have written it."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1]
        for letter in text
    )


def size(row: Row) -> int:
    """How many bytes a payload has."""
    return len(row.payload.encode("utf-8", "surrogatepass"))


def time_of(ms: int | None) -> str:
    """A time in ms since 1970 as people here read it; as it is, if it is no time at all."""
    if ms is None:
        return "-"
    try:
        return datetime.fromtimestamp(ms / 1000).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(ms)
