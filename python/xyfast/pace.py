"""Who may send next: token buckets, and the line in front of them. Time is an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Buckets", "Line"]

T = TypeVar("T")

_SWEEP = 64  # buckets before the first look for full ones


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


@dataclass(slots=True)
class _Queue(Generic[T]):
    """One conversation: whose turn it is, and who waits, with their numbers."""

    turn: bool = False
    waiting: deque[tuple[int, T]] = field(default_factory=deque)


class Line(Generic[T]):
    """Items that wait for their turn, by conversation.

    One item of a conversation has its turn at a time, the others follow in the order in
    which they came. Among conversations the item that came first goes first, unless its
    conversation's bucket makes it wait. ``send`` is the rate and burst of all together,
    ``conversation`` those of each conversation.
    """

    def __init__(self, *, send: tuple[float, int], conversation: tuple[float, int]) -> None:
        self._all = Buckets(*send)
        self._each = Buckets(*conversation)
        self._queues: dict[str, _Queue[T]] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    def put(self, conversation: str, item: T, /) -> None:
        """Come last."""
        self._numbers += 1
        queue = self._queues.setdefault(conversation, _Queue())
        queue.waiting.append((self._numbers, item))

    def back(self, conversation: str, item: T, /) -> None:
        """Give the turn up and come first again, before all other conversations too."""
        queue = self._queues[conversation]
        queue.turn = False
        queue.waiting.appendleft((0, item))

    def leave(self, conversation: str, item: T, /) -> None:
        """End: the turn of ``item``, or its waiting."""
        queue = self._queues[conversation]
        for place, (_, waiting) in enumerate(queue.waiting):
            if waiting is item:
                del queue.waiting[place]
                break
        else:
            queue.turn = False
        if not queue.turn and not queue.waiting:
            del self._queues[conversation]

    def take(self, now: float, /) -> T | None:
        """Give the next item its turn, or None if nobody may go at ``now``."""
        if self._all.ready(None) > now:
            return None
        free = [
            (queue.waiting[0][0], conversation)
            for conversation, queue in self._heads()
            if self._each.ready(conversation) <= now
        ]
        if not free:
            return None
        _, conversation = min(free)
        queue = self._queues[conversation]
        queue.turn = True
        self._all.take(None, now)
        self._each.take(conversation, now)
        return queue.waiting.popleft()[1]

    def next(self) -> float | None:
        """The time from which `take` will give somebody a turn; None: not by time alone."""
        ready = [self._each.ready(conversation) for conversation, _ in self._heads()]
        return max(self._all.ready(None), min(ready)) if ready else None

    def _heads(self) -> Iterator[tuple[str, _Queue[T]]]:
        for conversation, queue in self._queues.items():
            if queue.waiting and not queue.turn:
                yield conversation, queue
