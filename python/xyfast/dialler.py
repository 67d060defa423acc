"""The dials of one account: each goes out when it is its turn at the gate of the endpoint."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from xyfast._core import Closed
from xyfast.events import Dial
from xyfast.gates import SharedGate, Turn
from xyfast.troubles import LINKS

__all__ = ["Dialler"]

_BROKEN = range(500, 600)  # answers to a handshake by which a server says that it cannot


class Dialler:
    """Waits in ``gate``, has ``go`` dial, and tells the gate what became of it.

    While the account is to have no link its next dial waits here.
    """

    def __init__(self, gate: SharedGate, go: Callable[[Dial], None]) -> None:
        self._gate = gate
        self._go = go
        self._turns: dict[int, Turn] = {}  # of links whose dials are not over
        self._stalled = False
        self._postponed: Dial | None = None

    def dial(self, action: Dial) -> None:
        """Dial when it is this account's turn; an endpoint that is up has it at once."""
        if self._stalled:
            self._postponed = action
            return
        turn = self._turns[action.link] = Turn(self._gate, partial(self._turn, action))
        turn.ask()

    def stall(self, stalled: bool) -> None:
        """Dial nothing from now on, or go on with what was to be dialled last."""
        self._stalled = stalled
        if not stalled and (action := self._postponed) is not None:
            self._postponed = None
            self.dial(action)

    def drop(self, link: int) -> None:
        """A dial will not go out, or ended in a way that says nothing of the endpoint."""
        if self._postponed is not None and self._postponed.link == link:
            self._postponed = None
        if (turn := self._turns.pop(link, None)) is not None:
            turn.leave()

    def close(self) -> None:
        """Wait for nothing any more."""
        for link in list(self._turns):
            self.drop(link)

    def opened(self, link: int) -> None:
        """A dial has ended in a link that is registered."""
        if (turn := self._turns.pop(link, None)) is not None:
            turn.reached()

    def closed(self, event: Closed) -> bool:
        """A link is over: one that was never open says something of its endpoint.

        Returns whether this one never was.
        """
        turn = self._turns.pop(event.link, None)
        if turn is None:
            return False
        if event.answer is not None:
            turn.reached()  # a refusal is one account's
        elif event.trouble in ("link", "network") or (
            event.trouble == "refused" and event.code in _BROKEN
        ):
            turn.missed(LINKS[event.trouble].backoff)
        else:
            turn.leave()  # a proxy, or this machine, says nothing of the endpoint
        return True

    def _turn(self, action: Dial) -> None:
        if self._stalled:
            self.drop(action.link)
            self._postponed = action
        else:
            self._go(action)
