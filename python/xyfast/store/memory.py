"""An inbox and outbox that live as long as the process."""

from __future__ import annotations

import heapq
import math
import time as clocks
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice, takewhile

from xyfast.errors import StoreError
from xyfast.store.retention import Retention
from xyfast.store.rows import DeadLetter, Kept, Outcome, Page, Posted, PostState, Row

__all__ = ["MemoryStore"]

_SMALL = Retention(max_rows=100_000, max_bytes=64 * 1024**2)
Identity = tuple[str, str]


@dataclass(slots=True)
class _Shelf:
    """What is kept of one account. ``line`` may name rows that no longer wait there."""

    cursor: int | None = None
    received: int | None = None
    session: str | None = None
    line: list[tuple[int, int, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Slot:
    row: Row
    place: int
    waits: bool = False
    changed: float = 0.0


class MemoryStore:
    """Keeps everything in dicts: for tests, and for bots that may forget across a restart.

    ``retention`` bounds it; bytes are counted as characters of payload. ``clock`` gives
    seconds since 1970. What was kept is there again after `close` and `open`.
    """

    def __init__(
        self, retention: Retention = _SMALL, *, clock: Callable[[], float] = clocks.time
    ) -> None:
        self._retention = retention
        self._clock = clock
        self._shelves: defaultdict[str, _Shelf] = defaultdict(_Shelf)
        self._places = count(1)
        # A row is in one of these; handled and dead ones in the order in which they became so.
        self._open: dict[Identity, _Slot] = {}
        self._dead: dict[Identity, _Slot] = {}
        self._handled: dict[Identity, _Slot] = {}
        self._bytes = {True: 0, False: 0}  # of handled rows, of all others
        self._posted: dict[Identity, Posted] = {}
        self._settled: dict[Identity, float] = {}
        self._closed = False

    async def open(self) -> None:
        """See `Store.open`."""
        self._closed = False
        for slot in self._open.values():
            if not slot.waits:
                self._wait(slot, redelivered=slot.row.redelivered + 1)

    async def commit(
        self,
        rows: Sequence[Row] = (),
        outcomes: Sequence[Outcome] = (),
        *,
        received: Mapping[str, int] | None = None,
        cursors: Mapping[str, int] | None = None,
    ) -> Collection[Identity]:
        """See `Store.commit`."""
        self._check()
        new = {_identity(row): row for row in reversed(rows) if self._find(_identity(row)) is None}
        if new:
            self._refuse_past_bounds(new, outcomes)
        behind: int | None = None
        for row in rows:
            behind = self._come(row, behind if row.follows else None)
        for account_id, key, letter in outcomes:
            self._end((account_id, key), letter)
        for account_id, position in (received or {}).items():
            shelf = self._shelves[account_id]
            shelf.received = _later(shelf.received, position)
        for account_id, position in (cursors or {}).items():
            shelf = self._shelves[account_id]
            shelf.cursor = _later(shelf.cursor, position)
        self._make_room()
        return set(new)

    async def take(
        self,
        account_id: str,
        limit: int,
        *,
        size: int | None = None,
        skip: Collection[str | None] = (),
    ) -> Page:
        """See `Store.take`."""
        self._check()
        line = self._shelves[account_id].line
        rows: list[Row] = []
        passed = []
        left = math.inf if size is None else size
        while line and len(rows) < limit and left > 0:
            entry = heapq.heappop(line)
            slot = self._waiting(account_id, entry)
            if slot is None:
                continue
            if slot.row.conversation_id in skip:
                passed.append(entry)
                continue
            slot.waits = False
            slot.row = replace(slot.row, taken=True)
            rows.append(slot.row)
            left -= len(slot.row.payload)
        for entry in passed:
            heapq.heappush(line, entry)
        while line and self._waiting(account_id, line[0]) is None:
            heapq.heappop(line)
        return Page(rows, line[0][0] if line else None)

    async def load(self, account_id: str) -> Kept:
        """See `Store.load`."""
        self._check()
        shelf = self._shelves[account_id]
        return Kept(shelf.cursor, shelf.received, shelf.session)

    async def save_session(self, account_id: str, blob: str) -> None:
        """See `Store.save_session`."""
        self._check()
        self._shelves[account_id].session = blob

    async def known(self, account_id: str, keys: Collection[str]) -> Collection[str]:
        """See `Store.known`."""
        self._check()
        return {key for key in keys if self._find((account_id, key)) is not None}

    async def dead_letters(
        self, account_id: str | None = None, *, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, Row]]:
        """See `Store.dead_letters`."""
        self._check()
        found = (
            (slot.place, slot.row)
            for slot in self._dead.values()
            if slot.place > after and account_id in (None, slot.row.account_id)
        )
        return heapq.nsmallest(limit, found, key=lambda numbered: numbered[0])

    async def revive(self, account_id: str, keys: Collection[str]) -> int:
        """See `Store.revive`."""
        self._check()
        revived = 0
        for key in set(keys):
            identity = (account_id, key)
            slot = self._remove(self._dead, identity) or self._remove(self._handled, identity)
            if slot is not None:
                self._put(self._open, slot)
                self._wait(slot, redelivered=slot.row.redelivered + 1, dead=None)
                revived += 1
        return revived

    async def revived(self) -> Collection[str]:
        """Nobody: no other process reaches this store."""
        self._check()
        return ()

    async def sweep(self) -> int:
        """See `Store.sweep`."""
        self._check()
        now, keeps = self._clock(), self._retention
        gone = 0
        for shelf, keep in ((self._handled, keeps.keep), (self._dead, keeps.keep_dead)):
            for identity in _older(((i, slot.changed) for i, slot in shelf.items()), now - keep):
                self._remove(shelf, identity)
                gone += 1
        for identity in _older(self._settled.items(), now - keeps.keep):
            del self._settled[identity], self._posted[identity]
            gone += 1
        return gone

    async def post(self, letter: Posted) -> Posted:
        """See `Store.post`."""
        self._check()
        return self._posted.setdefault((letter.account_id, letter.name), letter)

    async def mark(
        self,
        account_id: str,
        name: str,
        state: PostState,
        *,
        message_id: str | None = None,
        time: int | None = None,
    ) -> None:
        """See `Store.mark`."""
        self._check()
        identity = (account_id, name)
        letter = self._posted.get(identity)
        if letter is None:
            return
        self._posted[identity] = replace(
            letter,
            state=state,
            message_id=letter.message_id if message_id is None else message_id,
            time=letter.time if time is None else time,
        )
        self._settled.pop(identity, None)
        if state not in ("queued", "out"):
            self._settled[identity] = self._clock()

    async def unsent(self, account_id: str) -> Sequence[Posted]:
        """See `Store.unsent`."""
        self._check()
        return [
            letter
            for identity, letter in self._posted.items()
            if letter.account_id == account_id and identity not in self._settled
        ]

    async def settled(self, account_id: str, limit: int) -> Sequence[Posted]:
        """See `Store.settled`."""
        self._check()
        found = (
            letter
            for identity, letter in reversed(self._posted.items())
            if letter.account_id == account_id and identity in self._settled
        )
        return list(islice(found, limit))[::-1]

    async def close(self) -> None:
        """See `Store.close`."""
        self._closed = True

    # --- rows -----------------------------------------------------------------------

    def _check(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")

    def _find(self, identity: Identity) -> _Slot | None:
        return self._open.get(identity) or self._handled.get(identity) or self._dead.get(identity)

    def _put(self, shelf: dict[Identity, _Slot], slot: _Slot) -> None:
        slot.changed = self._clock()
        shelf[_identity(slot.row)] = slot
        self._bytes[shelf is self._handled] += len(slot.row.payload)

    def _remove(self, shelf: dict[Identity, _Slot], identity: Identity) -> _Slot | None:
        slot = shelf.pop(identity, None)
        if slot is not None:
            self._bytes[shelf is self._handled] -= len(slot.row.payload)
        return slot

    def _come(self, row: Row, behind: int | None) -> int | None:
        """Take in a row ``behind`` a new one at that position; the same for what follows it."""
        place = next(self._places)
        slot = self._find(_identity(row))
        if slot is None:
            slot = _Slot(replace(row, follows=False) if row.follows else row, place)
            if row.dead is not None:
                slot.row = replace(slot.row, taken=False)
                self._put(self._dead, slot)
                return row.position
            self._put(self._open, slot)
            if not row.taken:
                self._wait(slot)
            return row.position
        if slot.waits and row.position == behind:
            slot.place = place
            self._wait(slot, position=row.position)
        return behind

    def _wait(self, slot: _Slot, **changes: object) -> None:
        slot.waits = True
        slot.row = row = replace(slot.row, taken=False, **changes)  # type: ignore[arg-type]
        heapq.heappush(self._shelves[row.account_id].line, (row.position, slot.place, row.key))

    def _waiting(self, account_id: str, entry: tuple[int, int, str]) -> _Slot | None:
        """The row that waits at this place of the line, if it still does."""
        position, place, key = entry
        slot = self._open.get((account_id, key))
        if slot is None or not slot.waits:
            return None
        return slot if (slot.row.position, slot.place) == (position, place) else None

    def _end(self, identity: Identity, letter: DeadLetter | None) -> None:
        slot = self._remove(self._open, identity)
        if slot is not None:
            slot.waits = False
            slot.row = replace(slot.row, taken=False, dead=letter)
            self._put(self._handled if letter is None else self._dead, slot)

    # --- bounds ---------------------------------------------------------------------

    def _refuse_past_bounds(self, new: Mapping[Identity, Row], outcomes: Sequence[Outcome]) -> None:
        """Raise `StoreFull` if what is unhandled after a commit would be too much."""
        rows = len(self._open) + len(self._dead) + len(new)
        size = self._bytes[False] + sum(len(row.payload) for row in new.values())
        first = {(each.account_id, each.key): each.letter for each in reversed(outcomes)}
        for identity, letter in first.items():
            slot = self._open.get(identity)
            row = new.get(identity) if slot is None else slot.row
            if letter is None and row is not None and row.dead is None:
                rows -= 1
                size -= len(row.payload)
        if rows > self._retention.max_rows:
            raise self._retention.full("max_rows")
        if size > self._retention.max_bytes:
            raise self._retention.full("max_bytes")

    def _make_room(self) -> None:
        while self._handled and (
            len(self._open) + len(self._dead) + len(self._handled) > self._retention.max_rows
            or sum(self._bytes.values()) > self._retention.max_bytes
        ):
            self._remove(self._handled, next(iter(self._handled)))


def _identity(row: Row) -> Identity:
    return (row.account_id, row.key)


def _later(kept: int | None, position: int) -> int:
    return position if kept is None else max(kept, position)


def _older(dated: Iterable[tuple[Identity, float]], than: float) -> list[Identity]:
    """Names of what is older; ``dated`` has the oldest first."""
    return [name for name, _ in takewhile(lambda each: each[1] <= than, dated)]
