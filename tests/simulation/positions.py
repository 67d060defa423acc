"""What an account's positions promise: none passes a message that is missing without notice."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter

from simulation.network import Wire
from simulation.server import Pushed, SimServer
from xyfast.messages import Gap
from xyfast.store import Kept

__all__ = ["Place", "Positions", "covers"]

Place = tuple[int | None, Wire | None]
"""The position that an account has in memory, and the link whose pushes count for it."""

_NOWHERE: Place = (None, None)


class Positions:
    """Looks after the positions of all accounts: in the store, in memory, told to the server.

    A message that a position passes is stored, or lies in a gap that is kept or was told. No
    client can know of what the server withheld from the very link over which positions count,
    after that had told it the position, and while it gave it what follows: that alone may be
    passed, and is found in the lists later. ``rows`` are all messages that were committed,
    ``gaps`` those that handlers were told of, ``place`` says where an account is in memory.
    """

    def __init__(
        self,
        server: SimServer,
        rows: Mapping[tuple[str, str], str],
        gaps: Collection[Gap],
        must: Callable[..., None],
    ) -> None:
        self.told: defaultdict[str, list[int]] = defaultdict(list)
        """What the server was told by ackDiff, by account."""
        self.begun: dict[str, int] = {}
        """Where an account that is new has begun."""
        self.place: Callable[[str], Place] = lambda account: _NOWHERE
        self._server = server
        self._rows = rows
        self._gaps = gaps
        self._must = must
        self._stored: dict[str, int] = {}
        self._kept: dict[str, list[Gap]] = {}
        self._passed: Counter[str] = Counter()  # entries of the server's stream, by account
        self._before: dict[str, Place] = {}
        self._in_hand: defaultdict[str, dict[str, int]] = defaultdict(dict)  # not durable yet
        self._furthest: Counter[str] = Counter()  # position that has come or is kept

    def born(self, place: Callable[[str], Place]) -> None:
        """A process starts: what only memory knew is forgotten."""
        self.place = place
        self._before.clear()
        self._in_hand.clear()
        for account, position in self._stored.items():
            entries = self._server.pushed[account]
            self._passed[account] = bisect_right(entries, position, key=attrgetter("pts"))

    def came(self, pushed: Pushed) -> None:
        """From now on no position that is told must pass it before it is durable.

        What was mislaid, or told as missing, may be passed already when it comes.
        """
        account, furthest = pushed.account, self._furthest[pushed.account]
        if pushed.pts > furthest or not (pushed.mislaid or self._told(pushed)):
            self._in_hand[account][pushed.id] = pushed.pts
        self._furthest[account] = max(furthest, pushed.pts)

    def committed(self, account: str, position: int) -> None:
        """A commit has brought a position."""
        self.begun.setdefault(account, position)
        self._furthest[account] = max(self._furthest[account], position)

    def kept(self, account: str, kept: Kept, place: Place, unhandled: Sequence[int]) -> None:
        """What the store has of an account after a call that began at that ``place``.

        ``unhandled`` are the positions of what waits or is taken.
        """
        if kept.session is not None:
            self._kept[account] = [Gap(**gap) for gap in json.loads(kept.session)["gaps"]]
        if kept.received is None:
            self._must(kept.handled is None, "no cursor without a position", account)
            return
        assert kept.handled is not None
        lowest = min(unhandled, default=kept.received + 1)
        self._must(kept.handled < lowest, "cursor < lowest unhandled", account, kept.handled)
        self._must(kept.handled <= kept.received, "cursor <= position", account, kept.handled)
        self._stored[account] = kept.received
        self._pass(account, kept.received, place[1])

    def asked(self, account: str, position: int) -> None:
        """The server is told a position, and takes all up to it for acknowledged."""
        self.told[account].append(position)
        if account not in self._stored:  # else a restart goes on from there
            self.begun[account] = position
        for key, pts in self._in_hand[account].items():
            durable = (account, key) in self._rows or self._told(self._server.by_id[account, key])
            self._must(pts > position or durable, "acked <= durable", pts)
        self._pass(account, position)

    def step(self) -> None:
        """Look at the positions in memory."""
        for account in self._stored:
            place = self.place(account)
            before = self._before.get(account, _NOWHERE)
            self._before[account] = place
            if place[0] is not None:
                self._pass(account, place[0], place[1], before[1])

    def _pass(self, account: str, position: int, *links: Wire | None) -> None:
        entries, begun = self._server.pushed[account], self.begun[account]
        for pushed in entries[self._passed[account] :]:
            if pushed.pts > position:
                break
            self._passed[account] += 1
            if pushed.message is None or pushed.pts <= begun:
                continue
            here = (account, pushed.id) in self._rows or self._told(pushed)
            withheld = any(link in pushed.withheld for link in links if link is not None)
            self._must(here or withheld, "a position passes nothing that is missing", pushed.id)

    def _told(self, pushed: Pushed) -> bool:
        """Whether a message lies in a gap that is kept or that handlers were told of."""
        gaps = (*self._kept.get(pushed.account, ()), *self._gaps)
        return any(covers(gap, pushed) for gap in gaps)


def covers(gap: Gap, pushed: Pushed) -> bool:
    """Whether a message lies in a gap."""
    assert pushed.message is not None
    return (
        gap.account_id == pushed.account
        and gap.start <= pushed.message.time <= gap.end
        and gap.conversation_id in (None, pushed.message.conversation)
    )
