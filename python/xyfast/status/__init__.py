"""The status page of a client: how it stands, for people and for programs.

Served on loopback where ``Settings.status`` says; `Status` is what ``/status.json`` holds.
"""

from xyfast.status.page import StatusPage
from xyfast.status.shape import (
    AccountStatus,
    DeadLetters,
    DeadStatus,
    GapStatus,
    HeldLetter,
    LatencyStatus,
    MoveStatus,
    QuantileStatus,
    Status,
    Totals,
)

__all__ = [
    "AccountStatus",
    "DeadLetters",
    "DeadStatus",
    "GapStatus",
    "HeldLetter",
    "LatencyStatus",
    "MoveStatus",
    "QuantileStatus",
    "Status",
    "StatusPage",
    "Totals",
]
