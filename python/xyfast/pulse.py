"""The heartbeats of one account's links, counted for observers."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from xyfast._core import Closed
from xyfast.transport import Transport

__all__ = ["Beat", "Pulse"]


class Beat(NamedTuple):
    """Heartbeats and good answers since the last time, and how the link of now is.

    ``age`` are the seconds since its registration, ``round_trip`` those of its last heartbeat.
    """

    beats: int
    good: int
    age: float | None = None
    round_trip: float | None = None


class _Told:
    """A registered link, and what was told of it."""

    __slots__ = ("beats", "good", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.beats = 0
        self.good = 0

    def tell(self, beats: int, good: int) -> tuple[int, int]:
        """What is new."""
        new = beats - self.beats, good - self.good
        self.beats, self.good = beats, good
        return new


class Pulse:
    """Tells each heartbeat once, whether its link lives or has ended meanwhile."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._links: dict[int, _Told] = {}

    def opened(self, link: int) -> None:
        """A link is registered."""
        self._links[link] = _Told(self._now())

    def closed(self, event: Closed) -> Beat:
        """A link is over; what is left to tell of it."""
        told = self._links.pop(event.link, None)
        if told is None:
            return Beat(0, 0)
        return Beat(*told.tell(event.beats, event.good), age=self._now() - told.since)

    def look(self, current: int | None) -> Beat:
        """What is new of all links, and how ``current`` is."""
        beats = good = 0
        age = round_trip = None
        for link, told in self._links.items():
            stats = self._transport.stats(link)
            if stats is not None:
                new = told.tell(int(stats["beats"]), int(stats["good"]))
                beats, good = beats + new[0], good + new[1]
            if link == current:
                age = self._now() - told.since
                round_trip = None if stats is None else stats["rtt"]
        return Beat(beats, good, age, round_trip)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
