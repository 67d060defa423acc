"""How far all that the server has pushed to an account is stored: its position."""

from __future__ import annotations

import logging
from collections.abc import Callable

from xyfast.calls import Calls
from xyfast.logs import logger, say
from xyfast.store import Kept, Store

__all__ = ["Position", "believable"]

log = logger(__name__)

_AHEAD = 3_600_000  # milliseconds that a position may be ahead of the time in its frame
_FAR_AHEAD = 86_400_000  # the same for what we take for the server's clock, which may be ours


def believable(pts: int, told_ms: int | None, now_ms: int) -> bool:
    """Whether a position (microseconds) can be true, beside a time in its frame or else now.

    One far in the future would make everything up to it count as received.
    """
    most = now_ms + _FAR_AHEAD if told_ms is None else told_ms + _AHEAD
    return pts <= most * 1000


class Position:
    """That of one account, and where the account began; ``begun`` is called when that is known.

    ``announced`` gives the lowest time (milliseconds) of a message that is announced and not here
    yet, ``unkept`` says whether a gap was told that is not kept yet.
    """

    def __init__(
        self,
        account_id: str,
        calls: Calls,
        store: Store,
        *,
        begun: Callable[[], None],
        announced: Callable[[], int | None],
        unkept: Callable[[], bool],
    ) -> None:
        self.received: int | None = None
        """The position (microseconds) up to which everything is stored. How far all is handled
        is not kept: what waits for its handlers is in the inbox (`Kept.handled`)."""
        self.began: int | None = None
        """When the account was first registered (milliseconds): older messages are not ours."""
        self._account_id = account_id
        self._calls = calls
        self._store = store
        self._begun = begun
        self._announced = announced
        self._unkept = unkept
        self._incredible = False

    def load(self, kept: Kept, began: int | None) -> None:
        """Take up what is stored."""
        self.received, self.began = kept.received, began

    def begin(self, position: int, time: int) -> None:
        """The account is new: the server will bring nothing from before."""
        self.began = time
        self.rise(position)
        self._begun()

    def counted(self, position: int) -> int | None:
        """What counts of a position up to which everything is stored: what is announced is not.

        None while a gap is not kept: after a crash nobody would know of it.
        """
        if self._unkept():
            return None
        announced = self._announced()
        return position if announced is None else min(position, announced * 1000)

    def rise(self, position: int | None) -> None:
        """Everything up to there is stored; it never falls."""
        if position is not None:
            self.received = max(position, self.received or 0)

    async def keep(self) -> None:
        """Store it; raises whatever the store does."""
        if self.received is not None:
            await self._store.commit(received={self._account_id: self.received})

    def believes(self, pts: int, told_ms: int | None) -> bool:
        """Whether a position is `believable` by now."""
        if believable(pts, told_ms, self._calls.now_ms()):
            self._incredible = False
            return True
        if not self._incredible:  # a server that goes on with it is told of once
            say(
                log,
                logging.WARNING,
                "position is far in the future, not counted",
                account=self._account_id,
                position=pts,
            )
        self._incredible = True
        return False
