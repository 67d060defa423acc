"""The durable inbox: what was acknowledged is in here.

`Store` is a protocol of few verbs, so that others can be put in its place.
`MemoryStore` keeps nothing across a restart, `SqliteStore` everything. A `SecretStore` keeps what
is secret apart from it.
"""

from xyfast.store.given import secrets_of, store_of
from xyfast.store.material import FileSecretStore, SecretStore
from xyfast.store.memory import MemoryStore
from xyfast.store.retention import Retention
from xyfast.store.rows import (
    DeadLetter,
    Depth,
    Kept,
    Outcome,
    Page,
    Posted,
    PostState,
    Row,
    Standing,
    Store,
)
from xyfast.store.sealed import EncryptedSecretStore
from xyfast.store.sqlite import SqliteStore

__all__ = [
    "DeadLetter",
    "Depth",
    "EncryptedSecretStore",
    "FileSecretStore",
    "Kept",
    "MemoryStore",
    "Outcome",
    "Page",
    "PostState",
    "Posted",
    "Retention",
    "Row",
    "SecretStore",
    "SqliteStore",
    "Standing",
    "Store",
    "secrets_of",
    "store_of",
]
