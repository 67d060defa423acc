"""``xyfast run``: the bot in a file, with the accounts of the configuration."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xyfast.account import Account
from xyfast.client import Client
from xyfast.commands import bot, dev
from xyfast.commands.shared import (
    Commands,
    add_command,
    add_config,
    complain,
    config_of,
    painted,
)
from xyfast.configfile import DEFAULT_FILE, Config
from xyfast.errors import ConfigError, StateError
from xyfast.logs import JsonFormatter, words_shown
from xyfast.redaction import Redaction
from xyfast.shown import printable_lines
from xyfast.troubles import docs_page

__all__ = ["add_parser"]

_LEVELS = ("debug", "info", "warning", "error")
_COLOURS = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}


def add_parser(commands: Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = add_command(
        commands,
        "run",
        _run,
        help="run the bot in a file, with the accounts of the configuration",
        description="Import BOT.py and run what it has: a Router, a Client, or a function "
        "make_client(config). Accounts are those of the configuration, and so are store and "
        "settings, unless the file makes its Client by itself. Ctrl-C, SIGTERM and SIGHUP let "
        "running handlers finish. Exit code 0: it was stopped so, 1: the store could not be used, "
        "2: the file or the configuration cannot be used.",
    )
    parser.add_argument("bot", type=Path, metavar="BOT.py", help="the file")
    add_config(parser)
    parser.add_argument(
        "--dev",
        action="store_true",
        help="stop and start again when a .py file beside BOT.py, the configuration or a file of "
        "cookies changes",
    )
    parser.add_argument(
        "--status",
        metavar="HOST:PORT",
        help="serve the status page there, on loopback, as 127.0.0.1:8787; default: that of the "
        "configuration",
    )
    parser.add_argument(
        "--log-level",
        choices=_LEVELS,
        default="info",
        help="what is logged, unless BOT.py sets up logging itself (default: info)",
    )
    parser.add_argument(
        "--log-words",
        action="store_true",
        help="show the words of what handlers raise, in the log and in dead letters: they may "
        "quote messages; --dev does so",
    )
    parser.add_argument(
        "--log-json",
        action="store_true",
        help="log one JSON object a line, for programs, unless BOT.py sets up logging itself",
    )


def _run(options: argparse.Namespace) -> int:
    if options.dev:
        return dev.supervise(options)
    config = _config(options)
    client, by_config = bot.client_of(bot.load(options.bot), config)
    accounts = config.accounts()
    if not accounts:
        cure = f"add [[accounts]] to {config.path}"
        if config.path is None:
            cure = (
                f"there is no {DEFAULT_FILE} in {Path.cwd()}; `xyfast config init` writes one, "
                "--config names another"
            )
        raise ConfigError(f"there are no accounts: {cure}; see {docs_page('howto/configure')}")
    if not by_config:
        _tell_unused(options, config)
    _set_up_logging(options)
    with words_shown() if options.log_words else contextlib.nullcontext():
        asyncio.run(_work(client, accounts))
    return 0


def _config(options: argparse.Namespace) -> Config:
    config = config_of(options)
    if options.status is None:
        return config
    settings = replace(config.settings, status=options.status)
    origins = {**config.origins, "settings.status": "--status"}
    return replace(config, settings=settings, origins=origins)


def _tell_unused(options: argparse.Namespace, config: Config) -> None:
    if config.origins:
        each = ", ".join(config.origins.values())
        complain(
            options, f"{options.bot} makes its Client by itself, so this has no effect: {each}"
        )


async def _work(client: Client, accounts: Sequence[Account]) -> None:
    running = asyncio.ensure_future(client.run())  # from here on it is stopped cleanly
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, signal.raise_signal, signal.SIGTERM)
    try:
        for account in accounts:
            try:
                await client.add(account)
            except StateError:
                if account.id in {each.id for each in client.accounts}:
                    raise
                break  # it was stopped meanwhile
    except BaseException:
        running.cancel()
        await asyncio.gather(running, client.close(), return_exceptions=True)
        raise
    await running


class _Formatter(logging.Formatter):
    """Colours for what matters, on a terminal, and escapes for what it might obey."""

    def format(self, record: logging.LogRecord) -> str:
        text = printable_lines(super().format(record))
        colour = _COLOURS.get(record.levelno)
        return text if colour is None else painted(text, colour, sys.stderr)


def _set_up_logging(options: argparse.Namespace) -> None:
    root = logging.getLogger()
    if root.handlers:
        if options.log_json:
            complain(options, f"{options.bot} sets up logging itself: --log-json has no effect")
        return
    handler = logging.StreamHandler()
    handler.addFilter(Redaction())  # loggers of the bot and of libraries have none
    text = _Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(JsonFormatter() if options.log_json else text)
    root.addHandler(handler)
    root.setLevel(options.log_level.upper())
