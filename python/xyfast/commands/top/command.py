"""The command: what it is told, and its loop."""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import sys
import threading
import time
from dataclasses import replace
from queue import Empty, SimpleQueue

from xyfast.commands.shared import (
    Commands,
    a_number,
    add_command,
    add_config,
    add_json,
    complain,
    config_of,
    is_live,
    print_json,
)
from xyfast.commands.top.picture import picture, rows
from xyfast.commands.top.source import Address, Unreadable
from xyfast.commands.top.terminal import Terminal, paint
from xyfast.commands.top.view import View, keys
from xyfast.errors import ConfigError
from xyfast.status import Status

__all__ = ["add_parser"]

_DEFAULT = "127.0.0.1:8787"
_LEAST = 0.1


def add_parser(commands: Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = add_command(
        commands,
        "top",
        _run,
        help="how a running bot stands, live on the terminal",
        description="Show what the status page of a running bot tells, again and again: sums, "
        "latencies, accounts with those in trouble first, and what happened last. Keys: q quits, "
        "p stops drawing and goes on, / filters accounts by id, name or state, s changes their "
        "order, arrows and PgUp and PgDn scroll. Nothing is changed. Exit code 0: it was shown, "
        "1: the status page could not be read, 2: wrong use; 130 after Ctrl-C.",
    )
    parser.add_argument(
        "address",
        nargs="?",
        metavar="ADDRESS",
        help="host:port of the status page; default: that of the configuration, else " + _DEFAULT,
    )
    add_config(parser)
    add_json(parser)
    parser.add_argument(
        "--once",
        action="store_true",
        help="print it once and end; so it is where input or output is no terminal",
    )
    parser.add_argument(
        "--interval",
        type=a_number(
            float, lambda seconds: _LEAST <= seconds < math.inf, f"{_LEAST} seconds or more"
        ),
        default=1.0,
        metavar="SECONDS",
        help="between two looks (default: 1)",
    )


def _run(options: argparse.Namespace) -> int:
    where = _address(options)
    try:
        status = where.ask()
    except Unreadable as error:
        complain(options, str(error))
        return 1
    if options.json:
        print_json(status)
    elif options.once or not (is_live(sys.stdout) and sys.stdin.isatty()):
        for line in picture(status, View(str(where)), shutil.get_terminal_size().columns):
            print(paint(line).rstrip())
    else:
        with Terminal() as terminal:
            return _watch(terminal, where, status, options.interval)
    return 0


def _address(options: argparse.Namespace) -> Address:
    if options.address is not None:
        return Address.of(options.address)
    configured = config_of(options).settings.status
    if configured is not None and configured.endswith(":0"):
        raise ConfigError(
            "settings.status has port 0, which is any that is free: give the ADDRESS that the "
            "bot's log tells"
        )
    return Address.of(configured or _DEFAULT)


class _Asker:
    """Asks in a thread of its own, so that keys are heard meanwhile."""

    def __init__(self, where: Address, terminal: Terminal) -> None:
        self._where = where
        self._terminal = terminal
        self._queries: SimpleQueue[str] = SimpleQueue()
        self._answers: SimpleQueue[Status | Exception] = SimpleQueue()
        # Nothing waits for it at the end: it may be in the middle of a slow answer.
        threading.Thread(target=self._work, daemon=True).start()

    def ask(self, query: str) -> None:
        """Let it ask for the accounts that ``query`` finds."""
        self._queries.put(query)

    def answer(self) -> Status | Exception | None:
        """What has come, if something has."""
        try:
            return self._answers.get_nowait()
        except Empty:
            return None

    def _work(self) -> None:
        while True:
            query = self._queries.get()
            try:
                self._answers.put(self._where.ask(query))
            except Exception as error:
                self._answers.put(error)
            self._terminal.wake()


def _watch(terminal: Terminal, where: Address, status: Status, interval: float) -> int:
    """Draw until that is enough; the exit code."""
    view, asker = View(str(where)), _Asker(where, terminal)
    asked, query, due = False, view.query, time.monotonic() + interval
    shown = query
    while terminal.ended is None and not view.ended:
        width, height = terminal.size()
        terminal.draw(picture(status, view, width, height))
        now = time.monotonic()
        if not asked and (view.query != query or (now >= due and not view.paused)):
            asked, query, due = True, view.query, now + interval
            asker.ask(query)
        typed = terminal.wait(None if asked or view.paused else max(0.0, due - now))
        accounts, room = len(status["accounts"]), rows(status, view, height)
        for key in keys(typed):
            view = view.pressed(key, accounts=accounts, rows=room)
        answer = asker.answer()
        if answer is not None:
            asked = False
            view = replace(view, problem=str(answer) if isinstance(answer, Unreadable) else None)
            if isinstance(answer, dict):
                # What was asked for just before a pause would move the picture in it.
                if not view.paused or query != shown:
                    status, shown = answer, query
            elif not isinstance(answer, Unreadable):
                raise answer
    return 130 if terminal.ended is signal.SIGINT else 0
