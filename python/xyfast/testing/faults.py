"""What can go wrong: standing faults, and scripted plans for demonstrations."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xyfast.testing.server import FakeServer

__all__ = ["PLANS", "Fault", "Plan", "PlanRun"]


class Fault(enum.Enum):
    """Something that goes wrong for as long as it is switched on."""

    DUPLICATE = "duplicate"
    """Every package is pushed twice."""
    BAD_PAYLOAD = "bad-payload"
    """An undecodable entry stands in every package, base64 and MessagePack in turn."""
    REORDERED = "reordered"
    """Entries within a package, and packages of a burst, come backwards."""
    DEAF = "deaf"
    """Nothing is pushed; requests and heartbeats are answered."""
    TRICKLE = "trickle"
    """Frames come in pieces of a few bytes."""
    UNAUTHORISED = "unauthorised"
    """Every request on a link is answered with 401, and nothing is pushed."""
    HEARTBEAT_UNANSWERED = "heartbeat-unanswered"
    """Heartbeats are taken and not answered."""
    MUTE = "mute"
    """Heartbeats are answered, all other requests are neither carried out nor answered."""
    POSITION_UNANSWERED = "position-unanswered"
    """What ackDiff and getState ask for is neither done nor answered."""
    POSITION_REFUSED = "position-refused"
    """ackDiff and getState are answered with 400."""
    SLOW_HANDSHAKE = "slow-handshake"
    """The WebSocket handshake is answered late."""
    SLOW_REGISTRATION = "slow-registration"
    """``/reg`` is answered late."""
    REGISTRATION_REFUSED = "registration-refused"
    """``/reg`` is answered with 401 whatever the token."""
    REGISTRATION_LIMITED = "registration-limited"
    """``/reg`` is answered with ``connect limit``."""
    FLOW_CONTROL = "flow-control"
    """Requests are answered with 400600001."""
    LISTS_THROTTLED = "lists-throttled"
    """Lists of conversations and messages are answered with 400600001."""
    SEND_REFUSED = "send-refused"
    """Sends are answered with 200 and a reason."""
    SEND_BUSY = "send-busy"
    """Sends are answered with 500, ``system is error``."""
    SEND_UNANSWERED = "send-unanswered"
    """Sends are carried out, their answers never come."""
    SEND_LOST = "send-lost"
    """Sends are neither carried out nor answered."""
    SIGNATURE_STALE = "signature-stale"
    """HTTP calls: the signing cookie is always too old."""
    SESSION_EXPIRED = "session-expired"
    """HTTP calls: the login is over, until the next `FakeServer.log_in`."""
    RISK_CONTROL = "risk-control"
    """HTTP calls: a human is asked for, until the next `FakeServer.log_in`."""
    TRAFFIC_LIMIT = "traffic-limit"
    """HTTP calls: too many requests."""
    HTTP_ERROR = "http-error"
    """HTTP calls are answered with 502 and no JSON."""
    HTTP_DROPPED = "http-dropped"
    """HTTP connections are reset instead of an answer."""
    HTTP_SLOW = "http-slow"
    """HTTP calls are answered late."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A named script: standing faults, and an action that comes back."""

    name: str
    summary: str
    faults: tuple[Fault, ...] = ()
    action: Callable[[FakeServer, str], None] | None = None


def _plans() -> Iterable[Plan]:
    yield Plan("none", "nothing goes wrong")
    yield Plan(
        "reset",
        "the link is cut by RST in the middle of a burst",
        action=lambda server, account: server.reset(account),
    )
    yield Plan(
        "close",
        "the link is closed with 1000",
        action=lambda server, account: server.close_links(account),
    )
    yield Plan(
        "half-open",
        "the link falls silent and its socket stays open",
        action=lambda server, account: server.half_open(account),
    )
    yield Plan("duplicate", "every package comes twice", faults=(Fault.DUPLICATE,))
    yield Plan(
        "bad-payload",
        "an entry that cannot be decoded stands beside the good ones",
        faults=(Fault.BAD_PAYLOAD,),
    )


PLANS: dict[str, Plan] = {plan.name: plan for plan in _plans()}
"""The scripted plans by name."""


class PlanRun:
    """Counts pushes and says when a plan's action is due; the same seed, the same moments."""

    def __init__(self, plan: Plan, every: int, seed: int) -> None:
        self.plan = plan
        self._every = every
        self._dice = random.Random(seed)
        self._left = self._interval()

    def due(self) -> bool:
        """Count one push and return whether the action follows it."""
        if self.plan.action is None:
            return False
        self._left -= 1
        if self._left:
            return False
        self._left = self._interval()
        return True

    def _interval(self) -> int:
        return self._dice.randint(max(1, self._every // 2), max(1, self._every * 3 // 2))
