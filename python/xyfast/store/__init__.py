"""The durable inbox: what was acknowledged is in here.

`Store` is a protocol of few verbs, so that others can be put in its place.
`MemoryStore` keeps nothing across a restart, `SqliteStore` everything.
"""

from xyfast.store.memory import MemoryStore
from xyfast.store.rows import DeadLetter, Row, Store
from xyfast.store.sqlite import SqliteStore

__all__ = ["DeadLetter", "MemoryStore", "Row", "SqliteStore", "Store"]
