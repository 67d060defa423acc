"""``xyfast accounts``: how far each account of a store is, and what waits for whom."""

from __future__ import annotations

import argparse
from typing import Any

from xyfast.commands import guest, shared
from xyfast.commands.shared import Table, complain, print_json, time_of
from xyfast.store import SqliteStore, Standing

__all__ = ["add_parser"]


def add_parser(commands: shared.Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = guest.add_command(
        commands,
        "accounts",
        _list,
        help="how far each account is, and what waits",
        description="List the accounts of a store, also beside a running bot: up to which time "
        "of the server all is stored and all is handled, how many messages wait for their "
        "handlers (or are with them) and to go out, how many are dead letters, and when its "
        "session (cookies, device id) last changed. Times are local; in JSON `stored` and "
        "`handled` are microseconds, `session` milliseconds since 1970.",
    )
    guest.add_account(parser)


async def _list(options: argparse.Namespace, store: SqliteStore) -> int:
    table = Table(account=13, stored=19, handled=19, waiting=-8, outbox=-7, dead=-7, session=19)
    found = [each for each in await store.accounts() if options.account in (None, each.account_id)]
    for each in found:
        if options.json:
            print_json(_facts(each))
        else:
            table.row(
                each.account_id,
                *(
                    time_of(us if us is None else us // 1000)
                    for us in (each.received, each.handled)
                ),
                each.waiting,
                each.unsent,
                each.dead,
                time_of(each.saved),
                colour="yellow" if each.dead else None,
            )
    if options.account is not None and not found:
        complain(options, f"there is no account {options.account}")
        return 1
    if not found:
        complain(options, "there are no accounts")
    return 0


def _facts(each: Standing) -> dict[str, Any]:
    return {
        "account": each.account_id,
        "stored": each.received,
        "handled": each.handled,
        "waiting": each.waiting,
        "outbox": each.unsent,
        "dead": each.dead,
        "session": each.saved,
    }
