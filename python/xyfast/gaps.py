"""Gaps of one account: kept, and told until their handlers have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from xyfast.dispatch import Delivery
from xyfast.instrumentation import GapFound, Hooks
from xyfast.messages import Gap

__all__ = ["Gaps"]

_MOST = 1000  # that are kept one by one


class Gaps:
    """Those whose handlers have not ended, by conversation and reason.

    ``deliver`` gives them to handlers, ``changed`` asks for them to be saved. One for which
    handlers have a gap already widens that, which is told again when they have ended: what is
    kept and waits is bounded, whatever the server announces.
    """

    def __init__(
        self,
        deliver: Callable[[Sequence[Delivery]], None],
        changed: Callable[[], None],
        hooks: Hooks,
    ) -> None:
        self._deliver = deliver
        self._changed = changed
        self._hooks = hooks
        self._open: dict[tuple[str | None, str], Gap] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._open)

    def load(self, saved: Iterable[dict[str, Any]]) -> None:
        """Take up what an earlier run left: see `saved`."""
        self._open.clear()
        for gap in saved:
            self._merge(Gap(**gap))

    def saved(self) -> list[dict[str, Any]]:
        """All of them, as JSON can hold them."""
        return [asdict(gap) for gap in self._open.values()]

    def tell(self, gaps: Sequence[Gap]) -> None:
        """Keep gaps, and give them to handlers: again after a restart, until these have ended."""
        if gaps:
            for gap in gaps:
                self._hooks(GapFound(gap.account_id, gap.start, gap.end, gap.reason))
            fresh = [gap for gap in map(self._merge, gaps) if gap is not None]
            self._changed()
            self._deliver([Delivery(gap) for gap in fresh])

    def tell_again(self) -> None:
        """Give handlers the gaps that an earlier run left."""
        self._deliver([Delivery(gap) for gap in self._open.values()])

    def told(self, gap: Gap) -> None:
        """The handlers of a gap have ended; maybe of one that an earlier driver has told."""
        kept = self._open.get(_kind(gap))
        if kept is None:
            return
        if kept == gap:
            del self._open[_kind(gap)]
            self._changed()
        else:
            self._deliver([Delivery(kept)])

    def _merge(self, gap: Gap) -> Gap | None:
        """Keep a gap; returns it unless it has widened one that is kept already."""
        if len(self._open) >= _MOST and _kind(gap) not in self._open:
            gap = replace(gap, conversation_id=None, reason="too many gaps to tell them apart")
        kept = self._open.setdefault(_kind(gap), gap)
        if kept is gap:
            return gap
        start, end = min(kept.start, gap.start), max(kept.end, gap.end)
        self._open[_kind(gap)] = replace(kept, start=start, end=end)
        return None


def _kind(gap: Gap) -> tuple[str | None, str]:
    return gap.conversation_id, gap.reason
