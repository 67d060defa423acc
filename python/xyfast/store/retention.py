"""How long a store remembers, and how much it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xyfast.errors import StoreFull

__all__ = ["Retention"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The bounds of a store, in time and in size.

    Past a bound of size the messages handled longest ago are forgotten early, some at a
    time, within `Store.commit`; one of them that the server sends again would be new. When
    the others alone exceed the bound, `Store.commit` raises `StoreFull`.
    """

    keep: float = 7 * 86_400.0
    """Seconds for which a handled message, or one that was sent, is remembered."""
    keep_dead: float = 30 * 86_400.0
    """Seconds for which a dead letter is kept."""
    max_rows: int = 1_000_000
    """Messages in the inbox."""
    max_bytes: int = 1024**3
    """Bytes that the store uses."""
    max_outbox: int = 10_000
    """Messages in the outbox that have no outcome; past it `Store.post` raises `StoreFull`."""
    max_outbox_bytes: int = 16 * 1024**2
    """Characters of their content; past it `Store.post` raises `StoreFull`."""

    def check_outbox(self, letters: int, size: int) -> None:
        """Raise `StoreFull` if so many messages, of so many characters, wait to go out."""
        for bound, used in (("max_outbox", letters), ("max_outbox_bytes", size)):
            if used > getattr(self, bound):
                raise StoreFull(
                    f"the outbox is full: what waits to go out is more than its {bound} of "
                    f"{getattr(self, bound)}; wait until some of it is sent, or raise "
                    f"Retention.{bound}"
                )

    def full(self, bound: Literal["max_rows", "max_bytes"]) -> StoreFull:
        """The error to raise when unhandled messages and dead letters exceed a bound."""
        unit = "messages" if bound == "max_rows" else "bytes"
        return StoreFull(
            f"the inbox is full: unhandled messages and dead letters take its {bound} of "
            f"{getattr(self, bound)} {unit}; let the handlers catch up, revive dead letters, "
            f"or raise Retention.{bound}"
        )
