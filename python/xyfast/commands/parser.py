"""The parser of the command line, with all commands."""

from __future__ import annotations

import argparse

from xyfast import __version__
from xyfast.commands import (
    accounts,
    bench,
    completion,
    config,
    dead,
    decode,
    demo,
    doctor,
    outbox,
    replay,
    run,
    serve,
    top,
)
from xyfast.commands.shared import EXIT_CODES

__all__ = ["make_parser"]

_MODULES = (
    *(config, doctor, run, top, accounts, dead, replay, outbox),
    *(decode, demo, serve, bench, completion),
)


def make_parser() -> argparse.ArgumentParser:
    """Make it; the options have ``run``, which takes them and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="xyfast",
        description=f"Codec and client for the 闲鱼/Goofish web IM. {EXIT_CODES}",
    )
    parser.add_argument("--version", action="version", version=f"xyfast {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in _MODULES:
        module.add_parser(commands)
    return parser
