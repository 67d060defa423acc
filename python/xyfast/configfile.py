"""One file that says what ``xyfast run`` and the other commands work with."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from xyfast.account import ACCOUNT_KEYS, Account, account_of, check_table
from xyfast.arguments import must_be_text
from xyfast.config import OTHER_VARIABLES, Settings
from xyfast.errors import ConfigError
from xyfast.store import EncryptedSecretStore, FileSecretStore, Retention, SqliteStore
from xyfast.store.sealed import KEY_VARIABLE
from xyfast.tables import ACCOUNTS, PREFIX, Layers, read_config

__all__ = ["DEFAULT_FILE", "DEFAULT_STORE", "Config", "Secrets"]

T = TypeVar("T")

DEFAULT_FILE = "xyfast.toml"
DEFAULT_STORE = "xyfast.db"

_KINDS = ("plain", "encrypted")
_KIND = {"example": "encrypted"}
_FOLDER = {"path": True}
_KEY_FILE = {"path": True, "example": "secrets.key"}
_KEY = re.compile(r"[A-Za-z0-9+/_-]{42,43}=\s*\Z")  # at the end of what should be a path


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Where session material is kept: device ids, and cookies as the platform rotates them.

    The key to what is encrypted is no field: it stands in ``key_file``, or in the variable
    ``XYFAST_SECRETS_KEY``. Raises `ConfigError` for values that do not go together.
    """

    store: str | None = field(default=None, metadata=_KIND)
    """`plain` is a `FileSecretStore`, `encrypted` an `EncryptedSecretStore`, which takes
    `pip install xyfast[crypto]`. None is the store of messages, in clear."""
    path: str = field(default="secrets", metadata=_FOLDER)
    """Path of the folder."""
    key_file: str | None = field(default=None, metadata=_KEY_FILE)
    """Path of the file with the key, 32 random bytes in base64, which only its owner may read
    (mode 0600). None is the key of the variable `XYFAST_SECRETS_KEY`."""

    def __post_init__(self) -> None:
        if self.store is not None and self.store not in _KINDS:
            raise ConfigError(f"Secrets.store must be {' or '.join(_KINDS)}")
        must_be_text(path=self.path)
        if self.key_file is not None:
            must_be_text(key_file=self.key_file)
            # Who has put the key there by mistake does not want to see it in a log.
            if _KEY.search(self.key_file):
                raise ConfigError(
                    "Secrets.key_file must be the name of a file; the key itself stands in that, "
                    f"or in {KEY_VARIABLE}"
                )
            if self.store != "encrypted":
                raise ConfigError('Secrets.key_file is for the store "encrypted"')


_HOMES = {
    **dict.fromkeys(ACCOUNT_KEYS, f"under `[[{ACCOUNTS}]]`"),
    **{
        each.name: f"under `[{section}]`"
        for section, kind in (
            ("secrets", Secrets),
            ("retention", Retention),
            ("settings", Settings),
        )
        for each in fields(kind)
    },
    "store": "above the first table",
}
"""Where keys belong that stand elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a TOML file and ``XYFAST_*`` variables say.

    ``store`` is the path of the SQLite file, ``origins`` says by dotted key where each value
    comes from; defaults are left out. Cookies are read by `accounts` alone, the key of secrets by
    `make_secrets`.
    """

    secrets: Secrets
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
        in the folder of now, if there is one. The sections ``[secrets]``, ``[settings]`` and
        ``[retention]`` have the fields of `Secrets`, `Settings` and `Retention`; their variables
        begin with ``XYFAST_SECRETS_``, ``XYFAST_`` and ``XYFAST_RETENTION_``. ``store`` is a path
        (``XYFAST_STORE``), by default ``xyfast.db``.
        Each of ``[[accounts]]`` has the keys of `Account.from_file`. Paths in the file are
        relative to it. Raises `ConfigError`, a line for each thing that is wrong.
        """
        path = path or environ.get("XYFAST_CONFIG") or None
        if path is None and os.path.lexists(DEFAULT_FILE):
            path = DEFAULT_FILE
        table = {} if path is None else read_config(path, _HOMES)
        folder = Path(path or "").parent
        problems: list[str] = []

        def attempt(work: Callable[[], T]) -> T | None:
            try:
                return work()
            except ConfigError as error:
                problems.append(str(error))
                return None

        secrets = Layers(Secrets, "secrets", f"{PREFIX}SECRETS_", _HOMES)
        settings = Layers(Settings, "settings", PREFIX, _HOMES)
        retention = Layers(Retention, "retention", f"{PREFIX}RETENTION_", _HOMES)
        if path is not None:
            secrets.take_table(path, table.get("secrets", {}))
            settings.take_table(path, table.get("settings", {}))
            retention.take_table(path, table.get("retention", {}))
        secrets.take_variables(environ, (KEY_VARIABLE,))
        settings.take_variables(environ, OTHER_VARIABLES)
        retention.take_variables(environ)
        made = attempt(secrets.make), attempt(settings.make), attempt(retention.make)
        if made[0] is not None:
            problems += _idle(made[0], secrets.origins, environ)
        tables = table.get(ACCOUNTS, ())
        for number, each in enumerate(tables, 1):
            attempt(partial(check_table, each, str(path), _before(number), _HOMES))
        if made[0] is None or made[1] is None or made[2] is None or problems:
            raise ConfigError("\n".join(problems))
        origins = {
            f"{layers.section}.{name}": origin
            for layers in (secrets, settings, retention)
            for name, origin in layers.origins.items()
        }
        store = Path(DEFAULT_STORE)
        if "store" in table:
            store, origins["store"] = folder / table["store"], f"{path}: `store`"
        if environ.get("XYFAST_STORE"):
            store, origins["store"] = Path(environ["XYFAST_STORE"]), "XYFAST_STORE"
        return cls(
            secrets=made[0],
            settings=made[1],
            retention=made[2],
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
        found: dict[str, int] = {}
        accounts: list[Account] = []
        problems = []
        for number, table in enumerate(self.tables, 1):
            before = _before(number)
            try:
                account = account_of(table, str(self.path), before, self.environ)
            except ConfigError as error:
                problems.append(str(error))
                continue
            if (first := found.setdefault(account.id, number)) != number:
                problems.append(
                    f"{self.path}: `{ACCOUNTS}[{first}]` and `{ACCOUNTS}[{number}]` are the same "
                    f"account, {account.id}; leave one of them"
                )
            accounts.append(account)
        if problems:
            raise ConfigError("\n".join(problems))
        return tuple(accounts)

    def make_store(self) -> SqliteStore:
        """Make the store, for a `Client`."""
        return SqliteStore(self.store, self.retention)

    def make_secrets(self) -> FileSecretStore | None:
        """Make the store of secrets, for a `Client`; None if the store of messages keeps them.

        Raises `ConfigError` if the key cannot be had or is none.
        """
        given = self.secrets
        if given.store is None:
            return None
        if given.store == "plain":
            return FileSecretStore(given.path)
        return EncryptedSecretStore(given.path, key_file=given.key_file, environ=self.environ)


def _idle(
    secrets: Secrets, origins: Mapping[str, str], environ: Mapping[str, str]
) -> Iterator[str]:
    """What is said of secrets to no effect."""
    if secrets.store is None and "path" in origins:
        yield f"{origins['path']}: has no effect without `secrets.store`, plain or encrypted"
    if secrets.key_file is not None and environ.get(KEY_VARIABLE):
        yield f"{origins['key_file']}, {KEY_VARIABLE}: both give the key; leave one of them"


def _before(number: int) -> str:
    """What stands before a key of an account in messages; the first one is number 1."""
    return f"{ACCOUNTS}[{number}]."
