"""What users give to keep things in: a path, a store of ours or of their own, or nothing."""

from __future__ import annotations

import os

from xyfast.arguments import must_have
from xyfast.errors import ConfigError
from xyfast.store.guard import guarded
from xyfast.store.material import FileSecretStore, SecretStore
from xyfast.store.memory import MemoryStore
from xyfast.store.rows import Store
from xyfast.store.sqlite import SqliteStore

__all__ = ["secrets_of", "store_of"]


def store_of(given: Store | str | os.PathLike[str] | None, /) -> Store:
    """The inbox: an SQLite file, what was given, or memory. Raises `ConfigError` for all else."""
    if given is None:
        return MemoryStore()
    if given == "":
        raise ConfigError("store is an empty path; leave it out to keep nothing on disk")
    if isinstance(given, (str, os.PathLike)):
        return SqliteStore(given)
    must_have("commit", "a path, a Store or None", store=given)
    return guarded(given)


def secrets_of(given: SecretStore | str | os.PathLike[str] | None, /) -> SecretStore | None:
    """Where secrets are apart from it: in a folder, where was given, or nowhere. Raises as that."""
    if given is None:
        return None
    if given == "":
        raise ConfigError("secrets is an empty path; leave it out to keep them in the store")
    if isinstance(given, (str, os.PathLike)):
        return FileSecretStore(given)
    must_have("save", "a path, a SecretStore or None", secrets=given)
    return guarded(given)
