"""What `xyfast config check` and `xyfast doctor` find, and what to do about it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xyfast.account import Account
from xyfast.commands.shared import painted, print_json
from xyfast.config import Settings
from xyfast.configfile import DEFAULT_FILE, Config
from xyfast.errors import ConfigError, StoreError
from xyfast.redaction import redact
from xyfast.shown import printable
from xyfast.store.sealed import KEY_VARIABLE
from xyfast.tables import documented
from xyfast.troubles import docs_page

__all__ = ["LEVELS", "Finding", "accounts", "file", "folder", "private", "secrets", "show"]

Level = Literal["ok", "warning", "failed"]

LEVELS: dict[Level, int] = {"ok": 0, "warning": 1, "failed": 2}
"""From good to bad."""

_COLOURS: dict[Level, str] = {"ok": "green", "warning": "yellow", "failed": "red"}
_SECRET_KEYS = ("cookies", "device_id", "proxy")  # of accounts
_COOKIES = {
    "sgcookie": "the state of the risk check",
    "_m_h5_tk": "what signs calls",
    "_m_h5_tk_enc": "its pair",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do if it is not well."""

    about: str
    level: Level
    text: str
    cure: str = ""


def show(findings: Iterable[Finding], *, json: bool) -> None:
    """Print each when it is found, without secrets."""
    for each in findings:
        text, cure = redact(each.text), redact(each.cure)
        if json:
            facts = {"about": each.about, "level": each.level, "text": text}
            print_json(facts | {"cure": cure or None})
            continue
        level = painted(f"{each.level:7}", _COLOURS[each.level])
        print(f"{level}  {each.about:10}  {printable(text)}", flush=True)
        if cure:
            print(f"{'':21}{printable(cure)}", flush=True)


def file(config: Config) -> Iterator[Finding]:
    """The file of the configuration, which was read."""
    if config.path is None:
        yield Finding(
            "config",
            "ok",
            f"there is no {DEFAULT_FILE} here: defaults and variables are in force",
        )
        return
    yield Finding("config", "ok", f"{config.path}: can be read, and all keys and values are right")
    secret = [f"settings.{each.name}" for each in documented(Settings) if each.secret]
    if any(config.origins.get(name, "").startswith(str(config.path)) for name in secret) or any(
        key in table for table in config.tables for key in _SECRET_KEYS
    ):
        yield from private("config", config.path)


def accounts(config: Config) -> Iterator[Finding]:
    """The accounts of the configuration, and their cookies."""
    if not config.tables:
        yield Finding(
            "accounts",
            "warning",
            "there are no accounts",
            f"add a table [[accounts]] to {config.path or DEFAULT_FILE}; `xyfast config init` "
            "writes a file with an example",
        )
        return
    for table in config.tables:
        if "cookies_file" in table:
            yield from private("accounts", Path(config.path or "").parent / table["cookies_file"])
    try:
        found = config.accounts()
    except ConfigError as error:
        for line in str(error).splitlines():
            yield Finding("accounts", "failed", line, f"see {docs_page('howto/configure')}")
        return
    for account in found:
        yield _cookies(account)


def secrets(config: Config) -> Iterator[Finding]:
    """Where session material is kept apart: its key, its folder, and all that is in it."""
    given = config.secrets
    if config.environ.get(KEY_VARIABLE) and given.store != "encrypted":
        where = "in the store" if given.store is None else "in its folder"
        yield Finding(
            "secrets",
            "warning",
            f"{KEY_VARIABLE} is set, and has no effect: session material is {where}, in clear",
            'if it is to be encrypted: secrets.store = "encrypted"',
        )
    try:
        store = config.make_secrets()
        if store is None:
            return
        count = store.verify()
    except (ConfigError, StoreError) as error:
        yield Finding("secrets", "failed", str(error), f"see {docs_page('howto/secrets')}")
        return
    path = Path(given.path)
    how = "encrypted" if given.store == "encrypted" else "in clear"
    if not path.exists():
        yield Finding("secrets", "ok", f"{path}: is not there yet, and will be made ({how})")
    elif not os.access(path, os.W_OK | os.X_OK):
        yield _locked("secrets", path, "", "700")
    else:
        yield Finding("secrets", "ok", f"{path}: of {count} accounts, {how}")


def folder(config: Config) -> Iterator[Finding]:
    """What keeps a store from being made where the configuration wants it, if anything does."""
    path, folder = config.store, config.store.parent
    if not folder.is_dir():
        yield Finding("store", "failed", f"the folder {folder} is not there", f"mkdir -p {folder}")
    elif not os.access(folder, os.W_OK | os.X_OK):
        why = f": SQLite makes files beside {path.name}"
        yield _locked("store", folder, why, "u+wx")


def _locked(about: str, folder: Path, why: str, mode: str) -> Finding:
    words = f"the folder {folder} may not be written to{why}"
    return Finding(about, "failed", words, f"run the bot as its owner, or: chmod {mode} {folder}")


def private(about: str, path: Path) -> Iterator[Finding]:
    """Whether a file with secrets is for its owner alone."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return  # who reads it says so
    if mode & 0o077:
        yield Finding(
            about,
            "warning",
            f"{path} has mode {mode:04o}: others on this machine may read or change it",
            f"chmod 600 {path}",
        )


def _cookies(account: Account) -> Finding:
    missing = [
        f"`{name}` ({role})" for name, role in _COOKIES.items() if name not in account.cookies
    ]
    who = f"{account.id} {account.name}".rstrip()
    if not missing:
        return Finding("accounts", "ok", f"{who}: has its cookies")
    return Finding(
        "accounts",
        "warning",
        f"{who}: the cookies have no {', '.join(missing)}",
        "copy them from a request of the message page in the browser's network tools: "
        "document.cookie lacks those that are HttpOnly",
    )
