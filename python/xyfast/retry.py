"""Back-off: the most seconds an account waits before it dials again, by class of trouble.

Policy is data plus one function. The wait itself is uniform in [0, bound], rolled by the
session, so that a crowd spreads out.
"""

from __future__ import annotations

import enum

__all__ = ["Trouble", "bound"]


class Trouble(enum.Enum):
    """Why a dial or link ended: seconds per failure in a row, and the most seconds."""

    LINK = (3.0, 15.0)
    """An open link was lost: reset, closed, no heartbeat answered."""
    NETWORK = (10.0, 60.0)
    """The server was not reached: refused, timeout, DNS, TLS."""
    OTHER = (5.0, 30.0)
    """Anything else: refused registration, no token, broken protocol."""


def bound(trouble: Trouble, failures: int) -> float:
    """Most seconds to wait after so many failures in a row (counted from 1)."""
    step, cap = trouble.value
    return min(step * max(failures, 1), cap)
