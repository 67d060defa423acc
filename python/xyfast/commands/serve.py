"""``xyfast fake-server``: the fake platform alone, for bots in any language."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from xyfast.commands import FAULTS
from xyfast.commands.shared import Commands, a_number, add_command, complain, print_json
from xyfast.configfile import DEFAULT_FILE

if TYPE_CHECKING:
    from xyfast.testing import FakeServer

__all__ = ["add_parser"]

_FOREVER = 1e9
_CONFIG = """\
# The fake server as it runs now, written by it at each start: xyfast run BOT.py --config THIS_FILE
store = "xyfast.db"

[settings]
url = "{url}"
token_url = "{token_url}"
"""


def add_parser(commands: Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = add_command(
        commands,
        "fake-server",
        run,
        help="run the fake server alone, for bots in any language",
        description="Print the addresses and cookies to use as one JSON line, push what the "
        "script says, and print the ledger as one JSON line at the end (Ctrl-C or --seconds). "
        "Exit code 0: it ended so, 2: wrong options or script, or the port is taken.",
    )
    port = a_number(int, lambda port: 0 <= port <= 65_535, "a number from 0 to 65535")
    parser.add_argument("--port", type=port, default=0, help="WebSocket port; default: a free one")
    parser.add_argument("--http-port", type=port, default=0, help="HTTP port; default: a free one")
    parser.add_argument(
        "--account",
        action="append",
        type=_account,
        metavar="ID",
        help="own user id of an account, digits; may be repeated (default: 9000000000001)",
    )
    parser.add_argument(
        "--fault",
        default="none",
        choices=FAULTS,
        help="what goes wrong (default: none)",
    )
    parser.add_argument(
        "--push",
        action="append",
        default=[],
        metavar="TEXT",
        help="a text to push to every account once it has a link; may be repeated",
    )
    parser.add_argument(
        "--script",
        metavar="FILE",
        help="JSON lines to push: {account?, text, conversation?, sender?, after?}, where "
        "`after` is seconds to wait before; - reads standard input to its end first",
    )
    parser.add_argument(
        "--write",
        metavar="FOLDER",
        help="also write there what a bot needs: xyfast.toml for `xyfast run BOT.py --config "
        "FOLDER/xyfast.toml`; for programs ID.toml of each account, as `Account.from_file` reads "
        "it, and `environment` with XYFAST_URL and XYFAST_TOKEN_URL",
    )
    seconds = a_number(float, lambda seconds: seconds > 0, "a number of seconds above 0")
    parser.add_argument("--seconds", type=seconds, help="stop after so long")


def _account(text: str) -> str:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("must be digits")
    return text


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop; exit code 2 if the options or the script are wrong."""
    options.account = options.account or ["9000000000001"]
    try:
        script = [Step(text=text) for text in options.push] + _read_script(options.script)
        for account in {step.account for step in script if step.account is not None}:
            if account not in options.account:
                raise ValueError(f"the script names account {account!r}; add --account {account}")
    except (OSError, ValueError) as error:
        complain(options, str(error))
        return 2
    try:
        return asyncio.run(_serve(options, script))
    except BrokenPipeError:  # whoever reads has seen enough
        raise
    except OSError as error:
        complain(options, _words(options, error))
        return 2


def _words(options: argparse.Namespace, error: OSError) -> str:
    why = os.strerror(error.errno) if error.errno else str(error)
    if error.filename is not None:
        return f"{error.filename} cannot be written: {why}"
    ports = f"--port {options.port}, --http-port {options.http_port}"
    return f"it cannot listen at {ports}: {why}; give others, or 0 for any that are free"


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One text to push: to one account or all, ``after`` seconds after the step before."""

    text: str
    account: str | None = None
    conversation: str | None = None
    sender: str | None = None
    after: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "after":
                good = isinstance(value, (int, float)) and value >= 0
            else:
                good = isinstance(value, str) or (value is None and field.name != "text")
            if not good:
                want = "a number, 0 or more" if field.name == "after" else "a string"
                raise ValueError(f"`{field.name}` must be {want}, not {value!r}")


def _read_script(path: str | None) -> list[Step]:
    if path is None:
        return []
    if path == "-":
        lines = sys.stdin.readlines()
    else:
        with open(path, encoding="utf-8") as file:
            lines = file.readlines()
    steps = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                steps.append(_step(json.loads(line)))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    return steps


def _step(fields: object) -> Step:
    known = [field.name for field in dataclasses.fields(Step)]
    if not isinstance(fields, dict) or "text" not in fields:
        raise ValueError("must be a JSON object with a `text`")
    for name in fields:
        if name not in known:
            raise ValueError(f"unknown key `{name}`; known: {', '.join(known)}")
    return Step(**fields)


async def _serve(options: argparse.Namespace, script: list[Step]) -> int:
    from xyfast.testing import FakeServer

    accounts = options.account
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with FakeServer(
        accounts, plan=options.fault, port=options.port, http_port=options.http_port
    ) as server:
        cookies = {account: server.cookies(account) for account in accounts}
        addresses = {"url": server.url, "token_url": server.token_url, "cookies": cookies}
        if options.write is not None:
            _write(Path(options.write), server, cookies)
        print_json(addresses)
        sys.stdout.flush()
        pushing = asyncio.ensure_future(_push(server, script))
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stopped.wait(), options.seconds)
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
    print_json({**server.summary(), "accounts": _ledgers(server)})
    return 0


def _write(folder: Path, server: FakeServer, cookies: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    tables = [_CONFIG.format(url=server.url, token_url=server.token_url)]
    for account, text in cookies.items():
        _write_private(folder / f"{account}.toml", f'cookies = "{text}"\n')
        tables.append(f'[[accounts]]\ncookies = "{text}"\n')
    _write_private(folder / DEFAULT_FILE, "\n".join(tables))
    environment = f"XYFAST_URL={server.url}\nXYFAST_TOKEN_URL={server.token_url}\n"
    (folder / "environment").write_text(environment, "utf-8")


def _write_private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text, "utf-8")


async def _push(server: FakeServer, script: list[Step]) -> None:
    """Push step after step, each once its account has a link."""
    for step in script:
        await asyncio.sleep(step.after)
        for account in server.accounts if step.account is None else [step.account]:
            await server.wait(partial(server.links, account), timeout=_FOREVER)
            facts = {"conversation": step.conversation, "sender": step.sender}
            given = {name: value for name, value in facts.items() if value is not None}
            server.push_text(account, step.text, **given)


def _ledgers(server: FakeServer) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for account in server.accounts:
        ledger = server.ledger(account)
        found[account] = {
            "pushed": ledger.pushed,
            "acked": sorted(ledger.acked.intersection(ledger.pushed)),
            "unacked": sorted(ledger.unacked),
            "repeated": ledger.repeated,
            "repeated_acks": ledger.repeated_acks,
            "heartbeats": ledger.heartbeats,
            "registrations": [registration.code for registration in ledger.registrations],
            "sent": [
                {"conversation": sent.conversation, "text": sent.text} for sent in ledger.sent
            ],
        }
    return found
