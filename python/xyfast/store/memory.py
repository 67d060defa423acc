"""An inbox that lives as long as the process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from xyfast.errors import StoreError
from xyfast.store.rows import DeadLetter, Row

__all__ = ["MemoryStore"]


@dataclass(slots=True)
class _Shelf:
    """What is kept of one account."""

    pending: dict[str, Row] = field(default_factory=dict)
    done: dict[str, None] = field(default_factory=dict)
    dead: dict[str, tuple[Row | None, DeadLetter]] = field(default_factory=dict)
    cursor: int | None = None
    session: str | None = None


class MemoryStore:
    """Keeps rows in dicts: for tests, and for bots that may forget across a restart.

    ``remember`` bounds the handled ids and the dead letters kept per account; the oldest
    go first.
    """

    def __init__(self, *, remember: int = 100_000) -> None:
        self._remember = remember
        self._shelves: defaultdict[str, _Shelf] = defaultdict(_Shelf)
        self._closed = False

    async def open(self) -> None:
        """Nothing to make ready."""
        self._closed = False

    async def append(self, rows: Sequence[Row]) -> Collection[tuple[str, str]]:
        """See `Store.append`."""
        self._check()
        new = []
        for row in rows:
            shelf = self._shelves[row.account_id]
            if row.key in shelf.pending or row.key in shelf.done or row.key in shelf.dead:
                continue
            if row.dead is None:
                shelf.pending[row.key] = row
            else:
                shelf.dead[row.key] = (row, row.dead)
                _trim(shelf.dead, self._remember)
            new.append((row.account_id, row.key))
        return new

    async def handled(self, account_id: str, keys: Sequence[str], cursor: int | None) -> None:
        """See `Store.handled`."""
        self._check()
        shelf = self._shelves[account_id]
        for key in keys:
            if shelf.pending.pop(key, None) is not None:
                shelf.done[key] = None
        _trim(shelf.done, self._remember)
        if cursor is not None:
            shelf.cursor = cursor

    async def dead(self, account_id: str, key: str, letter: DeadLetter) -> None:
        """See `Store.dead`."""
        self._check()
        shelf = self._shelves[account_id]
        shelf.dead[key] = (shelf.pending.pop(key, None), letter)
        _trim(shelf.dead, self._remember)

    async def pending(self, account_id: str) -> Sequence[Row]:
        """See `Store.pending`."""
        self._check()
        return list(self._shelves[account_id].pending.values())

    async def cursor(self, account_id: str) -> int | None:
        """See `Store.cursor`."""
        self._check()
        return self._shelves[account_id].cursor

    async def save_session(self, account_id: str, blob: str) -> None:
        """See `Store.save_session`."""
        self._check()
        self._shelves[account_id].session = blob

    async def load_session(self, account_id: str) -> str | None:
        """See `Store.load_session`."""
        self._check()
        return self._shelves[account_id].session

    async def close(self) -> None:
        """Refuse further calls; what was kept stays readable after another `open`."""
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")


def _trim(kept: dict[str, Any], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]
