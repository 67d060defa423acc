"""The push channel of one account: which link gets what, what is acked, what comes again."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from xyfast.testing import samples
from xyfast.testing.faults import Fault
from xyfast.testing.link import Link
from xyfast.testing.platform import AccountState, Grant, Platform
from xyfast.testing.samples import Sample, compact
from xyfast.testing.settings import Redelivery, Replay, SecondLink

__all__ = ["APP_KEY", "Entry", "Missed", "Seat", "SyncChannel"]

APP_KEY = "444e9908a51d1cb236a27862abc769c9"
BURST = 4
"""Packages that the reordering fault turns round at a time."""
BURST_WAIT = 0.05

T = TypeVar("T")
_pts = attrgetter("pts")


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """One pushed entry with its place in the account's stream."""

    pts: int
    id: str
    created: int
    sample: Sample


@dataclass(frozen=True, slots=True)
class Missed:
    """What lies between a client's position and now."""

    entries: tuple[Entry, ...]
    too_long: bool = False
    """Whether entries after the position are no longer kept."""


class Package(NamedTuple):
    """Entries on their way to one link."""

    mid: str
    entries: tuple[Entry, ...]
    text: str


@dataclass(eq=False, slots=True)
class Seat:
    """One registered link and the packages written to it."""

    link: Link
    grant: Grant
    sid: str
    ua: str
    since: float
    """Loop time of the registration."""
    tokens_then: int
    """How many tokens the platform had issued at the registration."""
    synced: bool = False
    """Whether the link has sent an ackDiff."""
    kicked: bool = False
    outstanding: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    """Entries by the mid of the package that waits for its ack."""
    acked: set[str] = field(default_factory=set)
    waiting: list[Package] = field(default_factory=list)
    """Packages that the reordering fault holds back."""

    @property
    def account(self) -> AccountState:
        """The account that the link is registered for."""
        return self.grant.account

    def headers(self, mid: str) -> dict[str, str]:
        """Return the headers of a push to this link."""
        return {"app-key": APP_KEY, "mid": mid, "ua": self.ua, "sid": self.sid}


class SyncChannel:
    """Pushes to an account's links, and remembers what it must push again."""

    def __init__(self, account: AccountState, platform: Platform) -> None:
        self.account = account
        self.seats: list[Seat] = []
        """Registered links, oldest first."""
        self.position = platform.clock() * 1000
        """The newest ``pts``, µs."""
        self._platform = platform
        self._settings = platform.settings
        self._ledger = account.ledger
        self._loop = asyncio.get_running_loop()
        self._kept: deque[Entry] = deque()
        self._forgotten = 0
        self._unacked: dict[Entry, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._turns = itertools.count()
        self._mids = itertools.count(1)
        self._packages = 0

    # Links

    def register(self, seat: Seat) -> None:
        """Take a link that has just been told that it is registered."""
        for old in self.seats:
            same = old.grant.device_id == seat.grant.device_id
            policy = self._settings.same_device if same else self._settings.other_device
            if policy is SecondLink.KICK:
                self.kick(old)
        self.seats.append(seat)
        if self._settings.greeting and not self._platform.has(Fault.DEAF, self.account):
            self._push_to(seat, (), lwp="/s/vulcan")
        if self._settings.push_before_ack_diff:
            self._redeliver_to(seat)

    def leave(self, seat: Seat) -> None:
        """Forget a link that is gone; what it did not ack stays unacked."""
        self.seats.remove(seat)

    def kick(self, seat: Seat, lwp: str = "/push/kickout") -> None:
        """Tell a link that it is kicked; it gets no push after that."""
        seat.kicked = True
        frame = {"headers": seat.headers(self._mid()), "lwp": lwp, "body": {}}
        seat.link.send_text(compact(frame))

    def stop(self) -> None:
        """Push nothing again."""
        if self._timer is not None:
            self._timer.cancel()

    # Pushes

    def push(self, batch: Sequence[Sample], lwp: str = "/s/sync") -> list[Entry]:
        """Give entries their place in the stream and push them as one package."""
        now = self._platform.clock()
        entries = []
        for sample in batch:
            self.position = max(self.position + 1, now * 1000)
            id_ = sample.id or f"entry-{self.position}"
            entries.append(Entry(self.position, id_, now, sample))
        self._kept.extend(entries)
        self._evict()
        for seat in self._targets():
            self._push_to(seat, entries, lwp=lwp)
        return entries

    def announce_gap(self) -> None:
        """Tell the links that the gap is too long to replay."""
        for seat in self._targets():
            self._push_to(seat, (), extra_type=1)

    def ack(self, seat: Seat, mid: str) -> None:
        """Take a client's ack of a package."""
        entries = seat.outstanding.pop(mid, None)
        if entries is None:
            self._ledger.repeated_acks += mid in seat.acked
            return
        seat.acked.add(mid)
        self._ledger.acks += 1
        self._confirm(entries)

    def confirm_up_to(self, seat: Seat, pts: int) -> Missed:
        """Take a client's position and return what it misses."""
        seat.synced = True
        self._evict()
        self._confirm([entry for entry in self._unacked if entry.pts <= pts])
        ledger = self._ledger
        behind = {entry.id for entry in self._kept if entry.pts <= pts}
        ledger.skipped |= behind - ledger.delivered.keys()
        if pts < self._forgotten and self._settings.tells_too_long:
            return Missed((), too_long=True)
        missed: set[Entry] = set()
        if self._settings.replay is not Replay.NOTHING:
            missed |= {entry for entry in self._kept if entry.pts > pts}
        if not self._settings.push_before_ack_diff and self._redelivers:
            missed |= self._unacked.keys()
        missed.difference_update(*seat.outstanding.values())
        return Missed(tuple(sorted(missed, key=_pts)))

    def replay(self, seat: Seat, missed: Missed) -> None:
        """Push what a client misses, in order, if its link hears."""
        if not self._hears(seat):
            return
        if missed.too_long:
            self._push_to(seat, (), extra_type=1)
        self._push_packages(seat, missed.entries)

    def carry(self, seat: Seat, mid: str, entries: Sequence[Entry]) -> dict[str, Any]:
        """Return a package for the body of the answer ``mid``, counted as delivered."""
        self._mark_delivered(seat, mid, tuple(entries))
        return self._package(entries, more=False)

    def uncertain(self) -> list[Entry]:
        """Return the kept entries that nobody has acked or passed over."""
        self._evict()
        known = self._ledger.acked | self._ledger.skipped
        return [entry for entry in self._kept if entry.id not in known]

    # Inside

    @property
    def _redelivers(self) -> bool:
        return self._settings.redelivery is not Redelivery.NEVER

    def _mid(self) -> str:
        return f"{next(self._mids):08x} 0"

    def _hears(self, seat: Seat) -> bool:
        return (
            seat.link.open
            and not seat.kicked
            and (seat.synced or self._settings.push_before_ack_diff)
            and not self._platform.has(Fault.DEAF, self.account)
            and not self._platform.has(Fault.UNAUTHORISED, self.account)
            and not self._platform.stale(seat.grant, seat.tokens_then)
        )

    def _targets(self) -> list[Seat]:
        """Choose the links that the next push goes to."""
        devices: dict[str, list[Seat]] = {}
        for seat in filter(self._hears, self.seats):
            device = seat.grant.device_id
            devices[device] = [*devices.pop(device, []), seat]  # the newest stands last
        turn = next(self._turns)
        chosen = [_choose(seats, self._settings.same_device, turn) for seats in devices.values()]
        chosen = _choose(chosen, self._settings.other_device, turn)
        return [seat for seats in chosen for seat in seats]

    def _push_packages(self, seat: Seat, entries: Sequence[Entry]) -> None:
        for chunk, last in _chunks(entries, self._settings.package_size):
            self._push_to(seat, chunk, more=not last)

    def _push_to(
        self,
        seat: Seat,
        entries: Sequence[Entry],
        *,
        lwp: str = "/s/sync",
        more: bool = False,
        extra_type: int | None = None,
    ) -> None:
        mid = self._mid()
        body: dict[str, Any] = {"syncPushPackage": self._package(entries, more=more)}
        if extra_type is not None:
            body["syncExtraType"] = {"type": extra_type}
        text = compact({"headers": seat.headers(mid), "lwp": lwp, "body": body})
        package = Package(mid, tuple(entries), text)
        if not self._platform.has(Fault.REORDERED, self.account):
            self._write(seat, package)
            return
        seat.waiting.append(package)
        if len(seat.waiting) == 1:
            seat.link.later(BURST_WAIT, self._write_waiting, seat)
        elif len(seat.waiting) >= BURST:
            self._write_waiting(seat)

    def _write_waiting(self, seat: Seat) -> None:
        waiting, seat.waiting = seat.waiting, []
        for package in reversed(waiting):
            self._write(seat, package)

    def _write(self, seat: Seat, package: Package) -> None:
        twice = package.entries and self._platform.has(Fault.DUPLICATE, self.account)
        for _ in range(2 if twice else 1):
            if seat.link.send_text(package.text):
                self._mark_delivered(seat, package.mid, package.entries)

    def _package(self, entries: Sequence[Entry], *, more: bool) -> dict[str, Any]:
        batch = [entry.sample for entry in entries]
        if self._platform.has(Fault.REORDERED, self.account):
            batch.reverse()
        if batch and self._platform.has(Fault.BAD_PAYLOAD, self.account):
            bad = (samples.bad_base64, samples.bad_msgpack)[self._packages % 2]()
            batch.insert(len(batch) // 2, bad)
        self._packages += 1
        start = self._packages * 100
        return {
            "maxHighPts": 0,
            "startSeq": start,
            "endSeq": start + len(batch),
            "minCreateTime": 0,
            "data": [
                {
                    "bizType": sample.object_type // 1000,
                    "data": sample.payload,
                    "objectType": sample.object_type,
                    "streamId": f"1_{start + index:09d}",
                }
                for index, sample in enumerate(batch)
            ],
            "maxPts": max((entry.pts for entry in entries), default=self.position),
            "hasMore": int(more),
            "timestamp": self._platform.clock(),
        }

    def _mark_delivered(self, seat: Seat, mid: str, entries: tuple[Entry, ...]) -> None:
        seat.outstanding[mid] = entries
        for entry in entries:
            self._ledger.delivered[entry.id] += 1
        self._put_off(entries)
        self._platform.changes.notify()

    def _put_off(self, entries: Sequence[Entry]) -> None:
        """Hold entries until acked, and count the time of their redelivery from now."""
        now = self._loop.time()
        for entry in entries:
            self._unacked.pop(entry, None)
            self._unacked[entry] = now
        self._arm()

    def _confirm(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._unacked.pop(entry, None)
            self._ledger.acked.add(entry.id)

    def _redeliver_to(self, seat: Seat) -> None:
        if self._redelivers and self._hears(seat):
            self._push_packages(seat, sorted(self._unacked, key=_pts))

    def _arm(self) -> None:
        if self._settings.redelivery is not Redelivery.TIMER or self._timer is not None:
            return
        for since in self._unacked.values():  # the first is the oldest
            due = since + self._settings.redelivery_after
            self._timer = self._loop.call_at(due, self._redeliver_due)
            return

    def _redeliver_due(self) -> None:
        self._timer = None
        limit = self._loop.time() - self._settings.redelivery_after + 0.001
        due = sorted((e for e, since in self._unacked.items() if since <= limit), key=_pts)
        for seat in self._targets() if due else []:
            self._push_packages(seat, due)
        self._put_off(due)  # where nobody hears, the same again after the same time

    def _evict(self) -> None:
        oldest = self._platform.clock() - int(self._settings.kept_for * 1000)
        kept = self._kept
        while kept and (len(kept) > self._settings.kept or kept[0].created < oldest):
            self._forgotten = kept.popleft().pts


def _choose(items: list[T], policy: SecondLink, turn: int) -> list[T]:
    if policy is SecondLink.BOTH or len(items) < 2:
        return items
    if policy is SecondLink.SHARE:
        return [items[turn % len(items)]]
    return items[-1:]


def _chunks(entries: Sequence[T], size: int) -> Iterator[tuple[Sequence[T], bool]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size], start + size >= len(entries)
