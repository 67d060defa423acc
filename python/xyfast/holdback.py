"""Order across a reconnect: what comes early waits for what it must not overtake."""

from __future__ import annotations

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
        self._held: list[tuple[int, T]] = []
        self._holding = False

    def hold(self) -> None:
        """Keep what is put from now on."""
        self._holding = True

    def put(self, pts: int, item: T) -> list[T]:
        """Give what may be handed on now, ``item`` or nothing, or all if there is no room."""
        if not self._holding:
            return [item]
        self._held.append((pts, item))
        return self.release() if len(self._held) >= self._most else []

    def release(self) -> list[T]:
        """Give what was held, the lowest position first, and hold no more."""
        self._holding = False
        held, self._held = self._held, []
        held.sort(key=lambda pair: pair[0])
        return [item for _, item in held]
