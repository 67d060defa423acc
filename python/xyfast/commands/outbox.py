"""``xyfast outbox``: durable messages that have not gone out, and an end for them."""

from __future__ import annotations

import argparse
from typing import Any

from xyfast.commands import guest, shared
from xyfast.commands.shared import Table, complain, print_json, time_of
from xyfast.store import Posted, SqliteStore

__all__ = ["add_parser"]

Waiting = tuple[int, Posted]  # a message with its number


def add_parser(commands: shared.Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = commands.add_parser(
        "outbox",
        help="list and drop durable messages that have not gone out",
        description="Messages that were sent with durable=True wait here until the server has "
        "them.",
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = guest.add_command(
        verbs,
        "list",
        _list,
        help="one line each, in the order in which they were asked for",
        description="List what waits, without message texts, also beside a running bot; times "
        "are local, in JSON milliseconds since 1970.",
    )
    guest.add_account(listing)

    drop = guest.add_command(
        verbs,
        "drop",
        _drop,
        help="let them never go out",
        description="Let messages never go out: whoever asks for one of them again is told "
        "SendRefused. The bot must not run. One whose state is `out` may be at the server "
        "already.",
    )
    drop.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="as `list` shows it")
    guest.add_account(drop)
    drop.add_argument(
        "--name",
        action="append",
        default=[],
        dest="names",
        help="one by its name, which is unique within --account; may be given again",
    )
    drop.add_argument("--all", action="store_true", help="all that wait")


async def _waiting(options: argparse.Namespace, store: SqliteStore) -> list[Waiting]:
    waiting = await store.waiting()
    return [each for each in waiting if options.account in (None, each[1].account_id)]


async def _list(options: argparse.Namespace, store: SqliteStore) -> int:
    waiting = await _waiting(options, store)
    if not waiting:
        complain(options, "nothing waits to go out")
    table = Table(number=-7, account=13, asked=19, state=6, size=-7, conversation=13, name=0)
    for each in waiting:
        facts = _facts(each)
        if options.json:
            print_json(facts)
        else:
            table.row(*(facts | {"asked": time_of(facts["asked"])}).values())
    return 0


def _facts(waiting: Waiting) -> dict[str, Any]:
    number, post = waiting
    return {
        "number": number,
        "account": post.account_id,
        "asked": post.created,
        "state": post.state,
        "size": len(post.content.encode("utf-8", "surrogatepass")),
        "conversation": post.conversation_id,
        "name": post.name,
    }


async def _drop(options: argparse.Namespace, store: SqliteStore) -> int:
    chosen: set[int | str] = {*options.numbers, *options.names}
    if bool(chosen or options.account is not None) == options.all:
        complain(options, "say which: NUMBER, --account with or without --name, or --all")
        return 2
    if options.names and options.account is None:
        complain(options, "--name wants --account: others may have that name too")
        return 2
    missing = set(chosen)
    names: dict[str, list[str]] = {}
    for number, post in await _waiting(options, store):
        found = chosen.intersection((number, post.name))
        missing -= found
        if found or not chosen:
            names.setdefault(post.account_id, []).append(post.name)
    for which in sorted(map(str, missing)):
        complain(options, f"nothing waits by that number or name: {which}")
    if not names:
        complain(options, "nothing was found to drop")
        return 1
    dropped = 0
    for account_id, each in names.items():
        dropped += await store.withdraw(account_id, each)
    if options.json:
        print_json({"dropped": dropped})
    else:
        print(f"dropped {dropped}: they will not go out")
    return int(bool(missing))
