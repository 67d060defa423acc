"""``xyfast dead``: what could not be decoded or handled, and another try or an end for it."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from typing import Any

from xyfast._core import b64decode, read_payload
from xyfast.commands import guest, shared
from xyfast.commands.shared import Table, a_number, complain, print_json, time_of
from xyfast.shown import json_text, printable
from xyfast.store import Row, SqliteStore

__all__ = ["add_parser"]

_AROUND = 64  # bytes that are shown before and after the one at which decoding stopped
_LINE = 16

Letter = tuple[int, Row]  # a dead letter with its number


def add_parser(commands: shared.Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = commands.add_parser(
        "dead",
        help="list, show, replay and drop dead letters",
        description="Messages that could not be decoded, or whose handler failed, are kept as "
        "dead letters. All commands may be used while the bot runs.",
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = guest.add_command(
        verbs,
        "list",
        _list,
        help="one line each, oldest first",
        description="List dead letters, oldest first, without message texts; times are local, "
        "in JSON milliseconds since 1970.",
    )
    guest.add_account(listing)
    count = a_number(int, lambda count: count > 0, "a number above 0")
    listing.add_argument("--limit", type=count, metavar="N", help="at most N of them")

    show = guest.add_command(
        verbs,
        "show",
        _show,
        help="all that is known of one",
        description="Show a dead letter, with --payload also what came: it holds message texts.",
    )
    show.add_argument("which", metavar="NUMBER|KEY", help="as `list` shows it")
    show.add_argument(
        "--payload",
        action="store_true",
        help="show the decoded tree, or the bytes around the one at which decoding stops",
    )

    replay = guest.add_command(
        verbs,
        "replay",
        _replay,
        help="let them wait for their handlers again",
        description="Let dead letters wait for their handlers again: all of them, or those to "
        "which everything applies that is given. They come with `redelivered` above 0.",
    )
    _add_choice(replay)

    drop = guest.add_command(
        verbs,
        "drop",
        _drop,
        help="count them as handled",
        description="Count dead letters as handled: all of them, or those to which everything "
        "applies that is given. Until they are forgotten (7 days, or when room is needed) "
        "`xyfast replay` finds them.",
    )
    _add_choice(drop)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("which", nargs="*", metavar="NUMBER|KEY", help="as `list` shows it")
    guest.add_account(parser)
    parser.add_argument(
        "--reason", metavar="SUBSTRING", help="only those with this in their reason"
    )
    parser.add_argument("--all", action="store_true", help="all dead letters of the store")


async def _letters(store: SqliteStore, account: str | None = None) -> AsyncIterator[Letter]:
    after = 0
    while page := await store.dead_letters(account, after=after):
        for letter in page:
            yield letter
        after = page[-1][0]


def _named(letter: Letter, which: str) -> bool:
    number, row = letter
    return which in (str(number), row.key)


# --- list -------------------------------------------------------------------------------


async def _list(options: argparse.Namespace, store: SqliteStore) -> int:
    left = options.limit
    found = False
    table = Table(number=-7, account=13, arrived=19, size=-7, offset=-6, key=39, reason=0)
    async for letter in _letters(store, options.account):
        if left == 0:
            break
        if options.json:
            print_json(_facts(letter))
        else:
            table.row(*_cells(letter))
        found = True
        left = None if left is None else left - 1
    if not found:
        complain(options, "there are no dead letters")
    return 0


def _facts(letter: Letter) -> dict[str, Any]:
    number, row = letter
    assert row.dead is not None
    reason, offset = row.dead.reason, row.dead.offset
    return {
        "number": number,
        "account": row.account_id,
        "key": row.key,
        "conversation": row.conversation_id,
        "arrived": row.arrived,
        "returns": row.redelivered,
        # What cannot be decoded is kept as "stage: reason", with an offset.
        "stage": "handler" if offset is None else reason.partition(":")[0],
        "reason": reason,
        "offset": offset,
        "size": guest.size(row),
    }


def _cells(letter: Letter) -> list[object]:
    number, row = letter
    assert row.dead is not None
    offset = row.dead.offset
    return [
        number,
        row.account_id,
        time_of(row.arrived),
        guest.size(row),
        "-" if offset is None else offset,
        row.key,
        row.dead.reason,
    ]


# --- show -------------------------------------------------------------------------------


async def _show(options: argparse.Namespace, store: SqliteStore) -> int:
    found = [letter async for letter in _letters(store) if _named(letter, options.which)]
    if not found:
        complain(options, f"there is no dead letter {options.which}")
        return 1
    for letter in found:
        facts = _facts(letter)
        content = _content(letter[1]) if options.payload else {}
        if options.json:
            print_json(facts | content)
            continue
        for name, value in facts.items():
            print(f"{name:12}  {'-' if value is None else printable(_words(name, value))}")
        _print_content(content)
    return 0


def _words(name: str, value: object) -> str:
    if name == "arrived" and isinstance(value, int):
        return f"{time_of(value)} ({value})"
    return f"{value} bytes" if name == "size" else str(value)


def _content(row: Row) -> dict[str, Any]:
    """What came, and what it means; if that cannot be read, the bytes where reading stops."""
    payload = read_payload(row.payload)
    content: dict[str, Any] = {"payload": row.payload}
    if payload.error is None:
        return content | {"tree": payload.tree}
    if payload.stage == "base64" or row.payload.lstrip().startswith("{"):
        data = row.payload.encode("utf-8", "surrogatepass")
    else:
        data = b64decode(row.payload, strict=False)
    offset = payload.error.offset
    start = max(offset - _AROUND, 0) // _LINE * _LINE
    window = {"start": start, "offset": offset, "hex": data[start : offset + _AROUND].hex()}
    return content | {"window": window}


def _print_content(content: dict[str, Any]) -> None:
    if "tree" in content:
        print(json_text(content["tree"], indent=2))
    if "window" in content:
        start, offset, text = content["window"].values()
        data = bytes.fromhex(text)
        for first in range(0, len(data), _LINE):
            print(_dump(data[first : first + _LINE], start + first, offset))


def _dump(data: bytes, start: int, offset: int) -> str:
    """One line of bytes; the one at which decoding stops is in brackets."""
    places = enumerate(data, start)
    cells = [f"[{byte:02x}]" if at == offset else f" {byte:02x} " for at, byte in places]
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
    return f"{start:08x}  {''.join(cells):{4 * _LINE}}  {text}"


# --- replay, drop -----------------------------------------------------------------------


async def _replay(options: argparse.Namespace, store: SqliteStore) -> int:
    if not _is_said_which(options):
        return 2
    chosen, missing = await _choose(options, store)
    return await guest.replay(options, store, chosen) or int(missing)


async def _drop(options: argparse.Namespace, store: SqliteStore) -> int:
    if not _is_said_which(options):
        return 2
    chosen, missing = await _choose(options, store)
    if not chosen:
        complain(options, "nothing was found to drop")
        return 1
    dropped = 0
    for account_id, keys in guest.pages(chosen):
        dropped += await store.drop(account_id, keys)
    if options.json:
        print_json({"dropped": dropped})
    else:
        print(f"dropped {dropped}: they count as handled")
    return int(missing)


def _is_said_which(options: argparse.Namespace) -> bool:
    narrowed = options.which or options.account is not None or options.reason is not None
    if bool(narrowed) == options.all:
        complain(options, "say which: NUMBER|KEY, --account, --reason, or --all alone")
        return False
    return True


async def _choose(
    options: argparse.Namespace, store: SqliteStore
) -> tuple[list[tuple[str, str]], bool]:
    """Account and key of the letters to which all applies, and whether a named one is missing."""
    chosen = []
    missing = set(options.which)
    async for letter in _letters(store, options.account):
        names = {which for which in options.which if _named(letter, which)}
        row = letter[1]
        assert row.dead is not None
        if (names or not options.which) and (options.reason or "") in row.dead.reason:
            chosen.append((row.account_id, row.key))
            missing -= names
    for which in sorted(missing):
        complain(options, f"there is no such dead letter: {which}")
    return chosen, bool(missing)
