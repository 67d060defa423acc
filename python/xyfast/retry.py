"""Back-off: how long to wait before a request, and at most before a dial, is tried again.

Policy is data plus one function. The wait itself is uniform in [0, bound], rolled by the
session, so that a crowd spreads out.
"""

from __future__ import annotations

import enum

__all__ = ["LONGEST_PAUSE", "PAUSES", "Trouble", "bound"]

PAUSES = (2.0, 4.0, 6.0)
"""Seconds between tries of a request, as the web page's clients wait on flow control."""

LONGEST_PAUSE = 60.0
"""Seconds, where another link may help, or time."""


class Trouble(enum.Enum):
    """Why a dial or link ended: seconds per failure in a row, and the most seconds."""

    LINK = (3.0, 15.0)
    """An open link was lost: reset, closed, no heartbeat answered."""
    NETWORK = (10.0, 60.0)
    """The server was not reached: refused, timeout, DNS, a proxy that is down."""
    OTHER = (5.0, 30.0)
    """Anything else: refused registration, no token, broken protocol."""
    LOCAL = (1.0, 10.0)
    """This machine lacks something for now: descriptors, memory. Nobody was asked."""


def bound(trouble: Trouble, failures: int) -> float:
    """Most seconds to wait after so many failures in a row (counted from 1)."""
    step, cap = trouble.value
    return min(step * max(failures, 1), cap)
