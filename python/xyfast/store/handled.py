"""The handled rows of a `MemoryStore`, and which of them is forgotten first."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from heapq import heappop, heappush

from xyfast.store.retention import NEAR
from xyfast.store.rows import Row

__all__ = ["Handled", "Identity", "Slot"]

Identity = tuple[str, str]


@dataclass(slots=True)
class Slot:
    """A row; ``waits`` says that it stands in line, ``changed`` when it died or was handled."""

    row: Row
    place: int
    waits: bool = False
    changed: float = 0.0

    @property
    def identity(self) -> Identity:
        """What tells it from all others."""
        return self.row.account_id, self.row.key


class Handled:
    """Handled rows in the order in which they became so; none costs a look at its neighbours.

    A row is near unless it is more than `NEAR` before the position of its account, or that has
    none; the others are far.
    """

    def __init__(self) -> None:
        self._slots: OrderedDict[Identity, Slot] = OrderedDict()
        self._cuts: dict[str, int] = {}  # by account, the lowest position that is near
        self._near: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
        """By account, rows that are near or will be when it has a position, in order of it."""
        self._far: list[tuple[float, int, Identity]] = []  # a heap; some are gone, or near
        self.size = 0  # characters of payload

    def __len__(self) -> int:
        return len(self._slots)

    def is_near(self, row: Row) -> bool:
        """Whether the next look into the server's lists may bring a row again; see `NEAR`."""
        cut = self._cuts.get(row.account_id)
        return cut is not None and row.position >= cut

    def get(self, identity: Identity) -> Slot | None:
        """The row of that name, if it is here."""
        return self._slots.get(identity)

    def add(self, slot: Slot) -> None:
        """A row was handled, at its ``changed``."""
        account_id, key = slot.identity
        self._slots[account_id, key] = slot
        self.size += len(slot.row.payload)
        if slot.row.position >= self._cuts.get(account_id, slot.row.position):
            insort(self._near[account_id], (slot.row.position, slot.place, key))
        if not self.is_near(slot.row):
            self._push(slot)

    def pop(self, identity: Identity) -> Slot | None:
        """Take a row away, if it is here."""
        slot = self._slots.pop(identity, None)
        if slot is not None:
            self.size -= len(slot.row.payload)
            account_id, key = identity
            near, entry = self._near[account_id], (slot.row.position, slot.place, key)
            at = bisect_left(near, entry)
            if near[at : at + 1] == [entry]:
                del near[at]
        return slot

    def advance(self, account_id: str, received: int) -> None:
        """The position of an account is there now."""
        cut = self._cuts[account_id] = received - NEAR
        near = self._near[account_id]
        passed = bisect_left(near, (cut,))
        for _, _, key in near[:passed]:
            self._push(self._slots[account_id, key])
        del near[:passed]

    def first_far(self) -> Slot | None:
        """Of the far rows the one that was handled longest ago."""
        while self._far:
            changed, _, identity = self._far[0]
            slot = self._slots.get(identity)
            if slot is not None and slot.changed == changed and not self.is_near(slot.row):
                return slot
            heappop(self._far)
        return None

    def first(self) -> Slot | None:
        """The row that was handled longest ago."""
        return next(iter(self._slots.values()), None)

    def _push(self, slot: Slot) -> None:
        heappush(self._far, (slot.changed, slot.place, slot.identity))
