"""One file that says what ``xyfast run`` and the other commands work with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from xyfast.account import Account, account_of, check_table
from xyfast.config import OTHER_VARIABLES, Settings
from xyfast.errors import ConfigError
from xyfast.store import Retention, SqliteStore
from xyfast.tables import ACCOUNTS, PREFIX, Layers, read_config

__all__ = ["DEFAULT_FILE", "DEFAULT_STORE", "Config"]

T = TypeVar("T")

DEFAULT_FILE = "xyfast.toml"
DEFAULT_STORE = "xyfast.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a TOML file and ``XYFAST_*`` variables say.

    ``store`` is the path of the SQLite file, ``origins`` says by dotted key where each value
    comes from; defaults are left out. Cookies are read by `accounts` alone.
    """

    settings: Settings
    retention: Retention
    store: Path
    path: Path | None
    """The file that was read."""
    origins: Mapping[str, str]
    tables: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    """The tables ``[[accounts]]``, checked for keys and types."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def load(
        cls,
        path: str | PathLike[str] | None = None,
        /,
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> Config:
        """Read a file, then variables, which are stronger.

        Without ``path`` the file is that of the variable ``XYFAST_CONFIG``, else ``xyfast.toml``
        in the folder of now, if there is one. The sections ``[settings]`` and ``[retention]``
        have the fields of `Settings` and `Retention`; their variables begin with ``XYFAST_`` and
        ``XYFAST_RETENTION_``. ``store`` is a path (``XYFAST_STORE``), by default ``xyfast.db``.
        Each of ``[[accounts]]`` has the keys of `Account.from_file`. Paths in the file are
        relative to it. Raises `ConfigError`, a line for each thing that is wrong.
        """
        path = path or environ.get("XYFAST_CONFIG") or None
        if path is None and Path(DEFAULT_FILE).exists():
            path = DEFAULT_FILE
        table = {} if path is None else read_config(path)
        folder = Path(path or "").parent
        problems: list[str] = []

        def attempt(work: Callable[[], T]) -> T | None:
            try:
                return work()
            except ConfigError as error:
                problems.append(str(error))
                return None

        settings = Layers(Settings, "settings", PREFIX)
        retention = Layers(Retention, "retention", f"{PREFIX}RETENTION_")
        if path is not None:
            settings.take_table(path, table.get("settings", {}))
            retention.take_table(path, table.get("retention", {}))
        settings.take_variables(environ, OTHER_VARIABLES)
        retention.take_variables(environ)
        made = attempt(settings.make), attempt(retention.make)
        tables = table.get(ACCOUNTS, ())
        for number, each in enumerate(tables, 1):
            attempt(partial(check_table, each, str(path), _before(number)))
        if made[0] is None or made[1] is None or problems:
            raise ConfigError("\n".join(problems))
        origins = {
            f"{layers.section}.{name}": origin
            for layers in (settings, retention)
            for name, origin in layers.origins.items()
        }
        store = Path(DEFAULT_STORE)
        if "store" in table:
            store, origins["store"] = folder / table["store"], f"{path}: `store`"
        if environ.get("XYFAST_STORE"):
            store, origins["store"] = Path(environ["XYFAST_STORE"]), "XYFAST_STORE"
        return cls(
            settings=made[0],
            retention=made[1],
            store=store,
            path=None if path is None else Path(path),
            origins=MappingProxyType(origins),
            tables=tuple(tables),
            environ=environ,
        )

    def accounts(self) -> tuple[Account, ...]:
        """Read the cookies of all accounts.

        Raises `ConfigError`, a line for each account whose cookies cannot be had, or that stands
        there twice.
        """
        found: dict[str, Account] = {}
        problems = []
        for number, table in enumerate(self.tables, 1):
            before = _before(number)
            try:
                account = account_of(table, str(self.path), before, self.environ)
            except ConfigError as error:
                problems.append(str(error))
                continue
            if account.id in found:
                problems.append(
                    f"{self.path}: `{before}cookies` are of {account.id}, as others are"
                )
            found[account.id] = account
        if problems:
            raise ConfigError("\n".join(problems))
        return tuple(found.values())

    def make_store(self) -> SqliteStore:
        """Make the store, for a `Client`."""
        return SqliteStore(self.store, self.retention)


def _before(number: int) -> str:
    """What stands before a key of an account in messages; the first one is number 1."""
    return f"{ACCOUNTS}[{number}]."
