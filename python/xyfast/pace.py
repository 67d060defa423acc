"""Who may send next: token buckets, and the line in front of them. Time is an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

__all__ = ["Buckets", "Line"]

T = TypeVar("T")

_SWEEP = 64  # buckets, or names of heads, before the first look for those to forget


class Buckets:
    """Token buckets by name: each lets ``burst`` through at once and ``rate`` a second.

    In no time of t seconds does a bucket let more than ``burst + rate * t`` through. What is
    kept of a bucket is the time at which it will be full again. A full one equals a new one
    and is forgotten, so memory follows what was taken lately, not how many names there were.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._interval = 1 / rate
        self._burst = burst
        self._full: dict[Hashable, float] = {}
        self._sweep_at = _SWEEP

    def __len__(self) -> int:
        return len(self._full)

    def ready(self, name: Hashable, /) -> float:
        """The time from which there is a token in the bucket ``name``."""
        full = self._full.get(name)
        return float("-inf") if full is None else full - (self._burst - 1) * self._interval

    def take(self, name: Hashable, now: float, /) -> None:
        """Take a token; only after `ready`."""
        self._full[name] = max(now, self._full.get(name, now)) + self._interval
        if len(self._full) >= self._sweep_at:
            self._full = {name: full for name, full in self._full.items() if full > now}
            self._sweep_at = max(_SWEEP, 2 * len(self._full))


Order = tuple[int, int]
"""A place in line: 0 for who was in turn before, 1 for all others; then the order of coming."""


@dataclass(slots=True)
class _Queue(Generic[T]):
    """One conversation: whose turn it is, and who waits, with their places in line."""

    turn: bool = False
    waiting: deque[tuple[Order, T]] = field(default_factory=deque)

    @property
    def head(self) -> Order | None:
        """The place of who is next, None while somebody has the turn or nobody waits."""
        return self.waiting[0][0] if self.waiting and not self.turn else None


class Line(Generic[T]):
    """Items that wait for their turn, by conversation.

    One item of a conversation has its turn at a time, the others follow in the order in
    which they came. Among conversations the item that came first goes first, unless its
    conversation's bucket makes it wait. ``send`` is the rate and burst of all together,
    ``conversation`` those of each conversation. No step looks at all conversations.
    """

    def __init__(self, *, send: tuple[float, int], conversation: tuple[float, int]) -> None:
        self._all = Buckets(*send)
        self._each = Buckets(*conversation)
        self._queues: dict[str, _Queue[T]] = {}
        self._came = 0
        # Heads of conversations: those whose buckets may make them wait until a time, and
        # those of which that time has come, by place. Both may name heads that are gone.
        self._later: list[tuple[float, Order, str]] = []
        self._ready: list[tuple[Order, str]] = []

    def __len__(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    def put(self, conversation: str, item: T, /) -> None:
        """Come last."""
        self._came += 1
        queue = self._queues.setdefault(conversation, _Queue())
        queue.waiting.append(((1, self._came), item))
        if len(queue.waiting) == 1:
            self._stand(conversation, queue)

    def back(self, conversation: str, item: T, /) -> None:
        """Give the turn up and come first again, before all other conversations too."""
        self._came += 1
        queue = self._queues[conversation]
        queue.turn = False
        queue.waiting.appendleft(((0, self._came), item))
        self._stand(conversation, queue)

    def leave(self, conversation: str, item: T, /) -> None:
        """End: the turn of ``item``, or its waiting."""
        queue = self._queues[conversation]
        before = queue.head
        for place, (_, waiting) in enumerate(queue.waiting):
            if waiting is item:
                del queue.waiting[place]
                break
        else:
            queue.turn = False
        if queue.head != before:
            self._stand(conversation, queue)
        if not queue.turn and not queue.waiting:
            del self._queues[conversation]

    def take(self, now: float, /) -> T | None:
        """Give the next item its turn, or None if nobody may go at ``now``."""
        if self._all.ready(None) > now:
            return None
        while self._later and self._later[0][0] <= now:
            _, head, conversation = heappop(self._later)
            heappush(self._ready, (head, conversation))
        self._pass_over()
        if not self._ready:
            return None
        _, conversation = heappop(self._ready)
        queue = self._queues[conversation]
        queue.turn = True
        self._all.take(None, now)
        self._each.take(conversation, now)
        return queue.waiting.popleft()[1]

    def next(self) -> float | None:
        """The time from which `take` will give somebody a turn; None: not by time alone."""
        self._pass_over()
        if self._ready:
            return self._all.ready(None)
        return max(self._all.ready(None), self._later[0][0]) if self._later else None

    def _stand(self, conversation: str, queue: _Queue[T]) -> None:
        """Name the head of a conversation, if it has one."""
        if (head := queue.head) is None:
            return
        heappush(self._later, (self._each.ready(conversation), head, conversation))
        if len(self._later) + len(self._ready) > 2 * len(self._queues) + _SWEEP:
            self._later = [each for each in self._later if self._stands(*each[1:])]
            self._ready = [each for each in self._ready if self._stands(*each)]
            heapify(self._later)
            heapify(self._ready)

    def _stands(self, head: Order, conversation: str) -> bool:
        queue = self._queues.get(conversation)
        return queue is not None and queue.head == head

    def _pass_over(self) -> None:
        """Forget the first names as long as their heads are gone."""
        while self._ready and not self._stands(*self._ready[0]):
            heappop(self._ready)
        while self._later and not self._stands(*self._later[0][1:]):
            heappop(self._later)
