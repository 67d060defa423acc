"""``xyfast replay``: handled messages, given to their handlers once more."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from xyfast import messages
from xyfast.commands import guest, shared
from xyfast.commands.shared import Progress, a_number, complain, print_json, time_of
from xyfast.entries import Entry, Reader
from xyfast.shown import printable
from xyfast.store import Row, SqliteStore

__all__ = ["add_parser"]

_KINDS = (
    messages.ChatMessage,
    messages.GroupMessage,
    messages.OrderNotice,
    messages.SystemNotice,
    messages.ReadReceipt,
    messages.Typing,
    messages.SessionOpened,
    messages.Marker,
    messages.Unknown,
    messages.Undecodable,
    messages.Expired,
)


def add_parser(commands: shared.Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = guest.add_command(
        commands,
        "replay",
        _replay,
        help="let handled messages be handled again",
        description="Let messages that were handled wait for their handlers again: those to "
        "which everything applies that is given. May be used while the bot runs. They come "
        "with `redelivered` above 0; what their handlers do is done again. A TIME is like "
        "2026-01-31, 2026-01-31T14:30 (local) or 2026-01-31T14:30+08:00, or milliseconds since "
        "1970.",
    )
    parser.add_argument("keys", nargs="*", metavar="KEY", help="`message.key`")
    guest.add_account(parser, required=True)
    parser.add_argument(
        "--since", type=_time, metavar="TIME", help="only what was handled then or later"
    )
    parser.add_argument("--until", type=_time, metavar="TIME", help="only what was handled before")
    parser.add_argument(
        "--kind",
        action="append",
        choices=[kind.__name__ for kind in _KINDS],
        metavar="CLASS",
        help="only what handlers got as a CLASS of xyfast, such as ChatMessage; may be repeated",
    )
    for name in ("Expired", "Unknown"):
        parser.add_argument(
            f"--{name.lower()}",
            action="append_const",
            dest="kind",
            const=name,
            help=f"the same as --kind {name}",
        )
    parser.add_argument(
        "--expiry",
        type=a_number(float, lambda age: 0 < age < math.inf, "a number of seconds above 0"),
        metavar="SECONDS",
        help="`Settings.message_expiry` of the bot; default: the one of --config",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be replayed")


def _time(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 19:  # SQLite has 64 bits
        return int(text)
    try:
        return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time") from None


async def _replay(options: argparse.Namespace, store: SqliteStore) -> int:
    if not (options.keys or options.kind) and options.since is None and options.until is None:
        complain(options, "say which: KEY, --since, --until or --kind")
        return 2
    if options.expiry is None:
        options.expiry = shared.config_of(options).settings.message_expiry
    reader = Reader(None, lambda account_id, facts: False, int(options.expiry * 1000))
    progress = Progress(wanted=not options.dry_run)
    keys, kinds = set(options.keys), set(options.kind or ())
    chosen: list[tuple[str, str]] = []
    looked = 0
    async for handled, row in _handled(options, store):
        looked += 1
        progress.show(f"looked at {looked}, chosen {len(chosen)}")
        if keys and row.key not in keys:
            continue
        if kinds or options.dry_run:
            kind = type(reader.message(Entry.kept(row))).__name__
            if kinds and kind not in kinds:
                continue
            if options.dry_run:
                _show(options, handled, row, kind)
        chosen.append((row.account_id, row.key))
    progress.clear()
    missing = sorted(keys - {key for _, key in chosen})
    for key in missing:
        complain(options, f"there is no such handled message: {key}")
    if options.dry_run and chosen:
        return int(bool(missing))
    return await guest.replay(options, store, chosen) or int(bool(missing))


async def _handled(
    options: argparse.Namespace, store: SqliteStore
) -> AsyncIterator[tuple[int, Row]]:
    """Handled messages with the times of their handling, without those handled from now on."""
    after = (options.since or 0, 0)
    until = int(time.time() * 1000) if options.until is None else options.until
    while page := await store.handled(options.account, after=after, until=until):
        for (handled, _), row in page:
            yield handled, row
        after = page[-1][0]


def _show(options: argparse.Namespace, handled: int, row: Row, kind: str) -> None:
    facts: dict[str, Any] = {
        "account": row.account_id,
        "key": row.key,
        "conversation": row.conversation_id,
        "arrived": row.arrived,
        "handled": handled,
        "returns": row.redelivered,
        "kind": kind,
        "size": guest.size(row),
    }
    if options.json:
        print_json(facts)
    else:
        print(f"{time_of(handled)}  {kind:13}  {facts['size']:>7}  {printable(row.key)}")
