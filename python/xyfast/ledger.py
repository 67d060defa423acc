"""How far an account has got in the server's stream."""

from __future__ import annotations

__all__ = ["Ledger"]


class Ledger:
    """``received`` is the position up to which everything is stored; None before the first.

    Positions are the server's, in microseconds. It only ever rises. How far all is *handled*
    is not kept: what waits for its handlers is in the inbox.
    """

    def __init__(self, received: int | None = None) -> None:
        self.received = received

    def stored(self, pts: int | None) -> None:
        """All up to ``pts`` is stored; None for a push that says nothing about it."""
        if pts is not None and (self.received is None or pts > self.received):
            self.received = pts
