"""Order across a reconnect: what comes early waits for what it must not overtake."""

from __future__ import annotations

import itertools
from typing import Generic, TypeVar

__all__ = ["Holdback"]

T = TypeVar("T")


class Holdback(Generic[T]):
    """Items of one account that wait until the server has filled its gap.

    Between the opening of a link and the end of the replay the server mixes live pushes
    with older ones. They are stored and acknowledged at once, but handed on only when the
    replay is through, by their position (``pts``). Past ``most`` items all are let go:
    better out of order than out of memory. Pure.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: dict[str, tuple[int, int]] = {}
        self._items: dict[str, T] = {}
        self._arrivals = itertools.count()
        self._holding = False

    def hold(self) -> None:
        """Keep what is put from now on."""
        self._holding = True

    def put(self, key: str, pts: int, item: T) -> list[T]:
        """Give what may be handed on now: ``item``, or nothing, or all if there is no room."""
        if not self._holding:
            return [item]
        self._items[key] = item
        self._places[key] = pts, next(self._arrivals)
        return self.release() if len(self._items) >= self._most else []

    def again(self, key: str, pts: int) -> None:
        """A held item came once more: among those of its package it has its true place."""
        if key in self._items:
            self._places[key] = pts, next(self._arrivals)

    def release(self) -> list[T]:
        """Give what was held, the lowest position first, and hold no more."""
        self._holding = False
        order = sorted(self._items, key=self._places.__getitem__)
        released = [self._items[key] for key in order]
        self._items.clear()
        self._places.clear()
        return released
