"""A fake of the platform for tests: real sockets, a ledger, and faults on demand."""

from __future__ import annotations

try:
    import h11 as _h11
    import websockets as _websockets
except ImportError as error:
    raise ImportError(
        f'xyfast.testing needs {error.name}: pip install "xyfast[testing]"', name=error.name
    ) from error

from xyfast.testing import samples
from xyfast.testing.buyer import Buyer
from xyfast.testing.faults import PLANS, Fault, Plan
from xyfast.testing.kit import Kit, fast_settings
from xyfast.testing.ledger import Call, Ledger, Registration, Sent
from xyfast.testing.recorded import play
from xyfast.testing.samples import Message, Sample
from xyfast.testing.server import FakeServer
from xyfast.testing.settings import (
    OldToken,
    Redelivery,
    RepeatedUuid,
    Replay,
    SecondLink,
    ServerSettings,
)

__all__ = [
    "PLANS",
    "Buyer",
    "Call",
    "FakeServer",
    "Fault",
    "Kit",
    "Ledger",
    "Message",
    "OldToken",
    "Plan",
    "Redelivery",
    "Registration",
    "RepeatedUuid",
    "Replay",
    "Sample",
    "SecondLink",
    "Sent",
    "ServerSettings",
    "fast_settings",
    "play",
    "samples",
]
del _h11, _websockets
