"""``xyfast config``: what is in force and where it came from, whether it is right, a new file."""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

from xyfast.commands import checks
from xyfast.commands.shared import (
    Commands,
    Table,
    add_command,
    add_config,
    add_json,
    complain,
    config_of,
    print_json,
    redacted,
)
from xyfast.config import Settings
from xyfast.configfile import DEFAULT_FILE, DEFAULT_STORE, Config, Secrets
from xyfast.redaction import redact
from xyfast.secret import HIDDEN, reveal
from xyfast.shown import json_text, printable
from xyfast.store import Retention
from xyfast.store.sealed import KEY_VARIABLE
from xyfast.tables import Field, documented

__all__ = ["add_parser", "template"]

_SECTIONS = {"secrets": Secrets, "settings": Settings, "retention": Retention}
_SHOWN = ("cookies_file", "cookies_env", "name", "user_agent", "send_cookies")
_HEAD = f"""\
## What `xyfast run` and the other commands work with. Lines with one sign show defaults: take the
## sign away to change them. Variables are stronger than this file: XYFAST_HEARTBEAT,
## XYFAST_RETENTION_KEEP, XYFAST_SECRETS_STORE, XYFAST_STORE. Paths are relative to this file.
## `xyfast config check` says whether it is right, `xyfast config show` what is in force.

## The SQLite file with all that was received and is to be sent.
# store = "{DEFAULT_STORE}"

## An account, one table each. Cookies are those of the message page, copied from a request in the
## browser's network tools; keep them in a file of their own (cookies_file) or in a variable
## (cookies_env), rather than here (cookies).
# [[accounts]]
# cookies_file = "seller.cookies"
# user_agent = "Mozilla/5.0 ..."
# name = "shop"
"""


def add_parser(commands: Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = commands.add_parser(
        "config",
        help="show, check and begin the configuration",
        description="Settings, retention, store, secrets and accounts: from a TOML file, then "
        "from XYFAST_* variables, which are stronger.",
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    show = add_command(
        verbs,
        "show",
        _show,
        help="each value that is in force, and where it came from",
        description="Show each value that is in force and where it came from. Cookies, device ids, "
        "logins of proxies and the key of secrets are not shown. Exit code 0: shown, 2: the file "
        "or a variable is wrong.",
    )
    add_config(show)
    add_json(show)

    check = add_command(
        verbs,
        "check",
        _check,
        help="whether the configuration is right",
        description="Read the file, the variables, the cookies and what is kept apart, and look at "
        "the folder of the store. Exit code 0: all is right, 1: it can be used, with what is "
        "said, 2: it cannot.",
    )
    add_config(check)
    add_json(check)

    init = add_command(
        verbs,
        "init",
        _init,
        help="write a file with every setting, commented out",
        description="Write a file with every setting, its meaning and its default, commented "
        "out, for its owner alone (mode 0600). Exit code 0: written, 1: there is one, which is "
        "left as it is, 2: it cannot be written.",
    )
    init.add_argument("path", nargs="?", default=DEFAULT_FILE, metavar="PATH", help="%(default)s")


# --- show -------------------------------------------------------------------------------


class _Value(NamedTuple):
    name: str
    value: Any
    origin: str


def _show(options: argparse.Namespace) -> int:
    table = Table(name=31, value=30, origin=0)
    for each in _values(config_of(options)):
        if options.json:
            print_json({"name": each.name, "value": each.value, "from": each.origin})
        else:
            colour = None if each.origin == "default" else "cyan"
            table.row(each.name, _toml(each.value), each.origin, colour=colour)
    return 0


def _values(config: Config) -> Iterator[_Value]:
    yield _Value("store", str(config.store), config.origins.get("store", "default"))
    for section, kind in _SECTIONS.items():
        given = getattr(config, section)
        for each in documented(kind):
            value, name = getattr(given, each.name), f"{section}.{each.name}"
            if each.secret and value is not None:
                value = redacted(reveal(value)) if each.name == "proxy" else HIDDEN
            yield _Value(name, value, config.origins.get(name, "default"))
    if config.environ.get(KEY_VARIABLE):
        yield _Value("secrets.key", HIDDEN, KEY_VARIABLE)
    for number, table in enumerate(config.tables, 1):
        for key, value in table.items():
            shown = redacted(value) if key == "proxy" else value if key in _SHOWN else HIDDEN
            if isinstance(shown, str):
                shown = redact(shown)
            name = f"accounts[{number}].{key}"
            yield _Value(name, shown, f"{config.path}: `{name}`")


def _toml(value: object) -> str:
    """A value as a file has it; a line if there is none."""
    if value is None:
        return "-"
    # JSON spells strings and numbers as TOML does.
    return json_text(value)


# --- check ------------------------------------------------------------------------------


def _check(options: argparse.Namespace) -> int:
    config = config_of(options)
    findings = [
        *checks.file(config),
        *checks.accounts(config),
        *checks.secrets(config),
        *checks.folder(config),
    ]
    checks.show(findings, json=options.json)
    return max((checks.LEVELS[each.level] for each in findings), default=0)


# --- init -------------------------------------------------------------------------------


def _init(options: argparse.Namespace) -> int:
    try:
        descriptor = os.open(options.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        complain(options, f"{options.path} is there already, and is left as it is")
        return 1
    except OSError as error:
        complain(options, f"{options.path} cannot be written: {error.strerror}")
        return 2
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(template())
    print(f"wrote {printable(options.path)}: name your accounts in it, then `xyfast config check`")
    return 0


def template() -> str:
    """The text of a file in which everything is commented out but the sections' names."""
    lines = [_HEAD]
    for section, kind in _SECTIONS.items():
        group = ""
        lines.append(f"[{section}]")
        for each in documented(kind):
            if each.group != group:
                group = each.group
                lines.append(f"\n## --- {group} ---")
            lines += ["", *_commented(each)]
        lines.append("")
    return "\n".join(lines)


def _commented(each: Field) -> Iterator[str]:
    for line in textwrap.wrap(each.meaning, 96):
        yield f"## {line}"
    yield f"# {each.name} = {_toml(each.example if each.default is None else each.default)}"
