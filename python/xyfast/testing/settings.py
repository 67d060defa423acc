"""What the fake server assumes where nobody knows what the platform does."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["OldToken", "Redelivery", "RepeatedUuid", "Replay", "SecondLink", "ServerSettings"]


class Replay(enum.Enum):
    """What an ackDiff from an old position brings."""

    PUSHES = "pushes"
    """The entries after it, as pushes in order."""
    ANSWER = "answer"
    """The entries after it, inside the answer."""
    NOTHING = "nothing"
    """Nothing: only history has them."""


class Redelivery(enum.Enum):
    """When a delivered entry that nobody acked is pushed again."""

    TIMER = "timer"
    """After ``redelivery_after`` seconds, and after the next registration."""
    RECONNECT = "reconnect"
    """After the next registration only."""
    NEVER = "never"
    """Never, except by replay."""


class SecondLink(enum.Enum):
    """Who gets pushes when an account has registered twice."""

    NEWEST = "newest"
    """The newest link alone; the older one lives on in silence."""
    BOTH = "both"
    """Every link gets every push."""
    SHARE = "share"
    """Every push goes to one of them, in turn."""
    KICK = "kick"
    """The newest link; the older one is told by ``/push/kickout``."""


class OldToken(enum.Enum):
    """What becomes of a link whose token expired or was replaced by a newer one."""

    DEAF = "deaf"
    """Heartbeats are answered, nothing is pushed."""
    UNAUTHORISED = "unauthorised"
    """Every request is answered with 401."""
    LIVES = "lives"
    """Nothing changes."""


class RepeatedUuid(enum.Enum):
    """What a send with an already used uuid does."""

    SECOND = "second"
    """It makes a second message."""
    SAME = "same"
    """It is answered like the first one and makes nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSettings:
    """Every assumption of the fake server that a live platform may contradict."""

    registration_time: bool = True
    """Whether the answer to ``/reg`` tells the server's time."""
    registered_as: str | None = None
    """Another ``reg-uid`` than the account's for the answer to ``/reg``."""
    greeting: bool = True
    """Whether an empty ``/s/vulcan`` follows the answer to ``/reg``."""
    push_before_ack_diff: bool = True
    """Whether pushes come before the link's first ackDiff."""
    replay: Replay = Replay.PUSHES
    """What an ackDiff from an old position brings."""
    kept: int = 500
    """Entries kept for replay."""
    tells_too_long: bool = True
    """Whether a gap longer than that is answered with ``syncExtraType`` 1, not a part of it."""
    kept_for: float = 7 * 86_400.0
    """Seconds that an entry is kept for replay."""
    package_size: int = 32
    """Most entries in one package of a replay or redelivery."""
    state_compensates: bool = False
    """Whether the answer of getState holds the unacknowledged entries."""
    redelivery: Redelivery = Redelivery.TIMER
    """When a delivered entry that nobody acked is pushed again."""
    redelivery_after: float = 30.0
    """Seconds without an ack after which `Redelivery.TIMER` pushes again."""
    echo_before_answer: bool = False
    """Whether the echo of a send precedes its answer."""
    repeated_uuid: RepeatedUuid = RepeatedUuid.SECOND
    """What a send with an already used uuid does."""
    same_device: SecondLink = SecondLink.NEWEST
    """Who gets pushes when a second link has the device id of the first."""
    other_device: SecondLink = SecondLink.SHARE
    """Who gets pushes when a second link has another device id."""
    old_token: OldToken = OldToken.DEAF
    """What becomes of a link whose token expired or was replaced for its device."""
    heartbeat_timeout: float | None = 60.0
    """Seconds without a heartbeat after which the server closes, or None for never."""
    history_inclusive: bool = False
    """Whether a page of history starts at the cursor instead of before it."""
    page_splits: bool = False
    """Whether a page of a list may end between two items of one millisecond."""
    quiet_time: float = 0.0
    """Seconds after ``/reg`` in which requests are refused by flow control."""
    link_life: float | None = None
    """Seconds after which the server closes a link with 1000, or None for never."""
    recall_pushes: bool = True
    """Whether a recalled message is told by a push."""
    token_life: float = 86_400.0
    """Seconds for which an access token registers links."""
    signing_life: float = 7_200.0
    """Seconds for which the cookie ``_m_h5_tk`` signs calls."""
    slow: float = 2.0
    """Seconds that a slow answer takes."""
