"""How all commands are added, and how they speak to people, terminals and programs."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TextIO, TypeAlias, TypeVar

from xyfast.account import DIRECT
from xyfast.configfile import Config
from xyfast.redaction import redact
from xyfast.secret import HIDDEN
from xyfast.shown import columns, json_text, printable

__all__ = [
    "EXIT_CODES",
    "Commands",
    "Progress",
    "Table",
    "a_number",
    "add_command",
    "add_config",
    "add_json",
    "complain",
    "config_of",
    "is_live",
    "painted",
    "print_json",
    "redacted",
    "time_of",
]

EXIT_CODES = (
    "Exit codes of all commands: 0 done and all is well, 1 done and not all is well (each says "
    "what), 2 wrong use, or a file that cannot be used; 130 after Ctrl-C."
)
_COLOURS = {"bold": 1, "red": 31, "green": 32, "yellow": 33, "cyan": 36}

N = TypeVar("N", int, float)

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    help: str,  # noqa: A002
    description: str,
) -> argparse.ArgumentParser:
    """Add a command; ``run`` is given the options and returns the exit code."""
    parser = commands.add_parser(name, help=help, description=description)
    parser.set_defaults(run=run, name=parser.prog)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Let a command print facts for programs."""
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Let a command be given the file that `config_of` reads."""
    parser.add_argument(
        "--config",
        metavar="PATH",
        help="the TOML file; default: $XYFAST_CONFIG, else xyfast.toml if it is here",
    )


def config_of(options: argparse.Namespace) -> Config:
    """Read what the options name; raises `ConfigError`."""
    return Config.load(options.config)


def a_number(kind: type[N], good: Callable[[N], bool], words: str) -> Callable[[str], N]:
    """Make what reads a number of an option; for another one it says that it ``must be`` so."""

    def read(text: str) -> N:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not good(value):
            raise argparse.ArgumentTypeError(f"must be {words}, not {text!r}")
        return value

    return read


def complain(options: argparse.Namespace, reason: str) -> None:
    """Write to standard error why not all is well, each line of it by itself, without secrets."""
    for line in redact(reason).splitlines():
        print(f"{options.name}: {printable(line)}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print a line of JSON; in ASCII for programs, which read in encodings of their own."""
    print(json_text(value, ensure_ascii=not sys.stdout.isatty()))


def redacted(url: str) -> str:
    """The URL of a proxy without user and password."""
    if url == DIRECT:
        return url
    found = re.fullmatch(r"(\w+://)(.*@)?([\w.:\[\]-]+)/?", url, re.DOTALL)
    if found is None:
        return HIDDEN  # who knows what it is
    scheme, login, host = found.groups()
    return f"{scheme}{f'{HIDDEN}@' if login else ''}{host}"


def time_of(ms: int | None) -> str:
    """A time in ms since 1970 as people here read it; as it is, if it is no time at all."""
    if ms is None:
        return "-"
    try:
        return datetime.fromtimestamp(ms / 1000).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(ms)


def is_live(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which lines can be written over."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def painted(text: str, colour: str, stream: TextIO | None = None) -> str:
    """``text`` in a colour where people see it: on a terminal, and not with ``NO_COLOR`` set."""
    if os.environ.get("NO_COLOR") or not is_live(stream or sys.stdout):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


class Table:
    """Lines of cells of given widths, printed as they come; a negative width is to the right."""

    def __init__(self, **widths: int) -> None:
        self._widths = widths
        self._begun = False

    def row(self, *cells: object, colour: str | None = None) -> None:
        """Print a line, the first time after a line of names."""
        if not self._begun:
            self._begun = True
            print(painted(self._line([name.upper() for name in self._widths]), "bold"))
        line = self._line([printable(str(cell)) for cell in cells])
        print(line if colour is None else painted(line, colour))

    def _line(self, cells: Sequence[str]) -> str:
        shown = []
        for cell, width in zip(cells, self._widths.values(), strict=True):
            space = " " * (abs(width) - columns(cell))
            shown.append(space + cell if width < 0 else cell + space)
        return "  ".join(shown).rstrip()


class Progress:
    """One line on standard error that is written over and over; nothing if it is no terminal."""

    def __init__(self, *, wanted: bool = True) -> None:
        self._live = wanted and is_live(sys.stderr)

    def show(self, text: str) -> None:
        """Show how far things are."""
        if self._live:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away, before another one is written or at the end."""
        self.show("")
