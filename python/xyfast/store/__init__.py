"""The durable inbox: what was acknowledged is in here.

`Store` is a protocol of few verbs, so that others can be put in its place.
`MemoryStore` keeps nothing across a restart, `SqliteStore` everything.
"""

from xyfast.store.guard import guarded
from xyfast.store.memory import MemoryStore
from xyfast.store.retention import Retention
from xyfast.store.rows import (
    DeadLetter,
    Kept,
    Outcome,
    Page,
    Posted,
    PostState,
    Row,
    Store,
)
from xyfast.store.sqlite import SqliteStore

__all__ = [
    "DeadLetter",
    "Kept",
    "MemoryStore",
    "Outcome",
    "Page",
    "PostState",
    "Posted",
    "Retention",
    "Row",
    "SqliteStore",
    "Store",
    "guarded",
]
