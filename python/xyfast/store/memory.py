"""An inbox and outbox that live as long as the process."""

from __future__ import annotations

import math
import time as clocks
from bisect import bisect_left, insort
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count, islice, takewhile

from xyfast.errors import StoreError
from xyfast.store.handled import Handled, Identity, Slot
from xyfast.store.order import Stretch, stand_anew, stretches
from xyfast.store.queue import Queue
from xyfast.store.retention import LONGER, NEAR, Lost, Patient, Retention
from xyfast.store.rows import DeadLetter, Depth, Kept, Outcome, Page, Posted, PostState, Row, cursor

__all__ = ["MemoryStore"]

_SMALL = Retention(max_rows=100_000, max_bytes=64 * 1024**2)
_SWEEP = 1000  # most rows of a kind that a sweep forgets


@dataclass(slots=True)
class _Shelf:
    """What is kept of one account; ``open`` are its rows in `MemoryStore._open`, by key."""

    received: int | None = None
    session: str | None = None
    open: dict[str, Slot] = field(default_factory=dict)
    queue: Queue = field(default_factory=Queue)


class MemoryStore:
    """Keeps everything in dicts: for tests, and for bots that may forget across a restart.

    ``retention`` bounds it; bytes are counted as characters of payload, and of the content
    of messages that were sent. ``clock`` gives
    seconds since 1970, ``steady`` seconds that nobody sets. What was kept is there again
    after `close` and `open`.
    """

    def __init__(
        self,
        retention: Retention = _SMALL,
        *,
        clock: Callable[[], float] = clocks.time,
        steady: Callable[[], float] = clocks.monotonic,
    ) -> None:
        self._retention = retention
        self._clock = clock
        self._patient = Patient(clock, steady)
        self._shelves: defaultdict[str, _Shelf] = defaultdict(_Shelf)
        self._places = count(1)
        # A row is in one of these; dead ones in the order in which they became so.
        self._open: dict[Identity, Slot] = {}
        self._dead: dict[Identity, Slot] = {}
        self._handled = Handled()
        self._numbers: list[tuple[int, Identity]] = []  # of the dead ones, in order
        self._size = 0  # of rows that are not handled
        self._lost = Lost()
        self._posted: dict[Identity, Posted] = {}
        self._settled: OrderedDict[Identity, float] = OrderedDict()
        self._settled_size = self._unsent_size = 0
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
    ) -> Collection[Identity]:
        """See `Store.commit`."""
        self._check()
        new: dict[Identity, Row] = {}
        for row in rows:
            if self._find(_identity(row)) is None:
                new.setdefault(_identity(row), row)
        letters = self._letters_to_go(new, outcomes) if new else 0
        came = {number for number, row in enumerate(rows) if self._come(row)}
        for stretch in stretches(rows, came):
            self._stand_anew(stretch)
        for account_id, key, letter in outcomes:
            self._end((account_id, key), letter)
        for account_id, position in (received or {}).items():
            shelf = self._shelves[account_id]
            before = shelf.received
            shelf.received = position if before is None else max(before, position)
            self._handled.advance(account_id, shelf.received)
        for _, identity in self._numbers[:letters]:
            self._remove_dead(identity)
        self._lost.add(letters)
        self._make_room()
        return set(new)

    async def take(
        self,
        account_id: str,
        limit: int,
        *,
        size: int | None = None,
        skip: Collection[str | None] = (),
        until: int | None = None,
    ) -> Page:
        """See `Store.take`."""
        self._check()
        queue = self._shelves[account_id].queue
        rows: list[Row] = []
        passed = []
        left = math.inf if size is None else size
        while len(rows) < limit and left > 0 and (head := queue.first()) is not None:
            if until is not None and head.position > until:
                break
            if head.conversation_id in skip:
                passed.append(queue.pass_over())
                continue
            slot = self._open[account_id, queue.pop()]
            slot.waits = False
            slot.row = replace(slot.row, taken=True)
            rows.append(slot.row)
            left -= len(slot.row.payload)
        queue.put_back(passed)
        first = queue.first()
        return Page(rows, None if first is None else first.position)

    async def untake(self, identities: Collection[Identity], *, begun: bool = False) -> None:
        """See `Store.untake`."""
        self._check()
        for identity in identities:
            slot = self._open.get(identity)
            if slot is not None and not slot.waits:
                self._wait(slot, redelivered=slot.row.redelivered + begun)

    async def load(self, account_id: str) -> Kept:
        """See `Store.load`."""
        self._check()
        shelf = self._shelves[account_id]
        handled = cursor(shelf.received, (slot.row.position for slot in shelf.open.values()))
        return Kept(shelf.received, handled, shelf.session)

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
        first = bisect_left(self._numbers, (after + 1,))
        found = (
            (place, self._dead[identity].row)
            for place, identity in islice(self._numbers, first, None)
            if account_id in (None, identity[0])
        )
        return list(islice(found, limit))

    async def depth(self) -> Mapping[str, Depth]:
        """See `Store.depth`."""
        self._check()
        dead = Counter(account_id for account_id, _ in self._dead)
        unhandled = {name: len(shelf.open) for name, shelf in self._shelves.items() if shelf.open}
        accounts = unhandled.keys() | dead.keys()
        return {each: Depth(unhandled.get(each, 0), dead[each]) for each in accounts}

    async def revive(self, account_id: str, keys: Collection[str]) -> int:
        """See `Store.revive`."""
        self._check()
        revived = 0
        for key in set(keys):
            identity = (account_id, key)
            slot = self._remove_dead(identity) or self._handled.pop(identity)
            if slot is not None:
                self._put(slot)
                self._size += len(slot.row.payload)
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
        now, keeps = self._patient.now(), self._retention
        gone = 0
        for first, keep in (
            (self._handled.first_far, keeps.keep),
            (self._handled.first, keeps.keep + LONGER),
        ):
            while gone < _SWEEP and (slot := first()) and slot.changed <= now - keep:
                self._handled.pop(slot.identity)
                gone += 1
        longer = now - keeps.keep_dead - LONGER
        dead = (
            (identity, slot.changed)
            for identity, slot in self._dead.items()
            if slot.changed <= longer or not self._handled.is_near(slot.row)
        )
        for identity in list(islice(_older(dead, now - keeps.keep_dead), _SWEEP - gone)):
            self._remove_dead(identity)
            gone += 1
        letters = list(islice(_older(self._settled.items(), now - keeps.keep), _SWEEP))
        for identity in letters:
            self._forget_settled(identity)
        return gone + len(letters)

    async def post(self, letter: Posted) -> Posted:
        """See `Store.post`."""
        self._check()
        identity = (letter.account_id, letter.name)
        if identity not in self._posted:
            size = self._unsent_size + len(letter.content)
            self._retention.check_outbox(len(self._posted) - len(self._settled) + 1, size)
            self._posted[identity] = letter
            self._unsent_size = size
        return self._posted[identity]

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
        size = len(letter.content)
        if self._settled.pop(identity, None) is None:
            self._unsent_size -= size
        else:
            self._settled_size -= size
        if state in ("queued", "out"):
            self._unsent_size += size
        else:
            self._settled_size += size
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

    def _find(self, identity: Identity) -> Slot | None:
        return self._open.get(identity) or self._handled.get(identity) or self._dead.get(identity)

    def _bury(self, slot: Slot) -> None:
        slot.changed = self._clock()
        self._dead[slot.identity] = slot
        insort(self._numbers, (slot.place, slot.identity))
        self._size += len(slot.row.payload)

    def _remove_dead(self, identity: Identity) -> Slot | None:
        slot = self._dead.pop(identity, None)
        if slot is not None:
            self._size -= len(slot.row.payload)
            del self._numbers[bisect_left(self._numbers, (slot.place, identity))]
        return slot

    def _come(self, row: Row) -> bool:
        """Take in a row, and say whether it is new."""
        place = next(self._places)
        if self._find(_identity(row)) is not None:
            return False
        slot = Slot(replace(row, follows=False) if row.follows else row, place)
        if row.dead is not None:
            slot.row = replace(slot.row, taken=False)
            self._bury(slot)
        else:
            self._put(slot)
            self._size += len(row.payload)
            if not row.taken:
                self._wait(slot)
        return True

    def _stand_anew(self, stretch: Stretch) -> None:
        """Let what waits at the position of a stretch stand as that says."""
        shelf, position, places = self._shelves[stretch.account_id], stretch.position, {}
        for key in stretch.keys:
            if (slot := shelf.open.get(key)) is not None and slot.waits:
                if slot.row.position != position:
                    self._wait(slot, position=position)
                if slot.row.conversation_id == stretch.conversation_id:
                    places[key] = slot.place
        line = partial(shelf.queue.behind, stretch.conversation_id, position)
        for key in stand_anew(stretch, places, line):
            self._leave(slot := shelf.open[key])
            slot.place = next(self._places)
            self._wait(slot)

    def _put(self, slot: Slot) -> None:
        account_id, key = slot.identity
        self._open[account_id, key] = self._shelves[account_id].open[key] = slot

    def _wait(self, slot: Slot, **changes: object) -> None:
        self._leave(slot)
        slot.waits = True
        slot.row = row = replace(slot.row, taken=False, **changes)  # type: ignore[arg-type]
        self._shelves[row.account_id].queue.push(row, slot.place)

    def _leave(self, slot: Slot) -> None:
        if slot.waits:
            self._shelves[slot.row.account_id].queue.remove(slot.row, slot.place)
            slot.waits = False

    def _end(self, identity: Identity, letter: DeadLetter | None) -> None:
        slot = self._open.pop(identity, None)
        if slot is None:
            return
        account_id, key = identity
        del self._shelves[account_id].open[key]
        self._size -= len(slot.row.payload)
        self._leave(slot)
        slot.row = replace(slot.row, taken=False, dead=letter)
        if letter is None:
            slot.changed = self._clock()
            self._handled.add(slot)
        else:
            self._bury(slot)

    # --- bounds ---------------------------------------------------------------------

    def _letters_to_go(self, new: Mapping[Identity, Row], outcomes: Sequence[Outcome]) -> int:
        """How many dead letters must go after a commit; `StoreFull` if that is not enough."""
        bounds = self._retention
        number = len(self._open) + len(self._dead) + len(new)
        size = self._size + sum(len(row.payload) for row in new.values())
        dying = []
        for identity, letter in {each[:2]: each.letter for each in reversed(outcomes)}.items():
            slot = self._open.get(identity)
            row = new.get(identity) if slot is None else slot.row
            if row is None or row.dead is not None:
                continue
            if letter is None:
                number -= 1
                size -= len(row.payload)
            else:
                dying.append(identity)
        if number <= bounds.max_rows and size <= bounds.max_bytes:
            return 0
        dead = [*self._dead, *dying, *(i for i, row in new.items() if row.dead is not None)]
        spare, go = bounds.spare(len(dead), number - len(dead)), 0
        lengths = self._lengths(dead, new)
        while number - go > bounds.max_rows or size > bounds.max_bytes:
            if go == spare:
                raise bounds.full("max_rows" if number - go > bounds.max_rows else "max_bytes")
            size -= lengths[go]
            go += 1
        return min(go + bounds.extra(number), spare)

    def _lengths(self, dead: Iterable[Identity], new: Mapping[Identity, Row]) -> list[int]:
        """Lengths of payloads in the order of the numbers that the letters have or will have."""
        numbered = []
        coming = {identity: at for at, identity in enumerate(new)}
        for identity in dead:
            slot = self._find(identity)
            if slot is None:
                numbered.append((math.inf, coming[identity], len(new[identity].payload)))
            else:
                numbered.append((slot.place, 0, len(slot.row.payload)))
        return [length for _, _, length in sorted(numbered)]

    def _make_room(self) -> None:
        bounds = self._retention
        while True:
            rows = len(self._open) + len(self._dead) + len(self._handled)
            size = self._size + self._handled.size + self._settled_size
            if rows <= bounds.max_rows and size <= bounds.max_bytes:
                return
            if not self._forget_oldest(letters=rows <= bounds.max_rows):
                return

    def _forget_oldest(self, *, letters: bool) -> bool:
        """Forget the handled row, or settled letter, that ended first; those near go last."""
        identity, settled = next(iter(self._settled.items()), (None, math.inf))
        near = self._clock() - NEAR / 1e6
        for slot, since in ((self._handled.first_far(), near), (self._handled.first(), math.inf)):
            changed = math.inf if slot is None else slot.changed
            if letters and identity is not None and settled < min(changed, since):
                self._forget_settled(identity)
                return True
            if slot is not None:
                self._handled.pop(slot.identity)
                return True
        return False

    def _forget_settled(self, identity: Identity) -> None:
        del self._settled[identity]
        self._settled_size -= len(self._posted.pop(identity).content)


def _identity(row: Row) -> Identity:
    return (row.account_id, row.key)


def _older(dated: Iterable[tuple[Identity, float]], than: float) -> Iterator[Identity]:
    """Names of what is older; ``dated`` has the oldest first."""
    return (name for name, _ in takewhile(lambda each: each[1] <= than, dated))
