"""``xyfast outbox``: durable messages that have not gone out, and an end for them."""

from __future__ import annotations

import argparse
from typing import Any

from xyfast.commands import guest
from xyfast.commands.guest import printable, time_of
from xyfast.store import Posted, SqliteStore

__all__ = ["add_parser"]

Waiting = tuple[int, Posted]  # a message with its number


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = commands.add_parser(
        "outbox",
        help="list and drop durable messages that have not gone out",
        description="Messages that were sent with durable=True wait here until the server has "
        "them. " + guest.EXIT_CODES,
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = verbs.add_parser(
        "list",
        help="one line each, in the order in which they were asked for",
        description="List what waits, without message texts, also beside a running bot; times "
        "are local, in JSON milliseconds since 1970. " + guest.EXIT_CODES,
    )
    guest.add_account(listing)
    guest.add_options(listing, _list)

    drop = verbs.add_parser(
        "drop",
        help="let them never go out",
        description="Let messages never go out: whoever asks for one of them again is told "
        "SendRefused. The bot must not run. One whose state is `out` may be at the server "
        "already. " + guest.EXIT_CODES,
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
    guest.add_options(drop, _drop)


async def _waiting(options: argparse.Namespace, store: SqliteStore) -> list[Waiting]:
    waiting = await store.waiting()
    return [each for each in waiting if options.account in (None, each[1].account_id)]


async def _list(options: argparse.Namespace, store: SqliteStore) -> int:
    waiting = await _waiting(options, store)
    if not waiting:
        guest.complain(options, "nothing waits to go out")
    elif not options.json:
        print(_line("NUMBER", "ACCOUNT", "ASKED", "STATE", "SIZE", "CONVERSATION", "NAME"))
    for each in waiting:
        facts = _facts(each)
        if options.json:
            guest.print_json(facts)
        else:
            cells = facts | {"asked": time_of(facts["asked"])}
            print(_line(*(printable(str(cell)) for cell in cells.values())))
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


def _line(
    number: str, account: str, asked: str, state: str, size: str, conversation: str, name: str
) -> str:
    return f"{number:>7}  {account:13}  {asked:19}  {state:6}  {size:>7}  {conversation:13}  {name}"


async def _drop(options: argparse.Namespace, store: SqliteStore) -> int:
    chosen: set[int | str] = {*options.numbers, *options.names}
    if bool(chosen or options.account is not None) == options.all:
        guest.complain(options, "say which: NUMBER, --account with or without --name, or --all")
        return 2
    if options.names and options.account is None:
        guest.complain(options, "--name wants --account: others may have that name too")
        return 2
    missing = set(chosen)
    names: dict[str, list[str]] = {}
    for number, post in await _waiting(options, store):
        found = chosen.intersection((number, post.name))
        missing -= found
        if found or not chosen:
            names.setdefault(post.account_id, []).append(post.name)
    for which in sorted(map(str, missing)):
        guest.complain(options, f"nothing waits by that number or name: {which}")
    if not names:
        guest.complain(options, "nothing was found to drop")
        return 1
    dropped = 0
    for account_id, each in names.items():
        dropped += await store.withdraw(account_id, each)
    if options.json:
        guest.print_json({"dropped": dropped})
    else:
        print(f"dropped {dropped}: they will not go out")
    return int(bool(missing))
