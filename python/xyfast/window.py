"""What of the inbox is in memory: a window onto its head, for each account.

The inbox on disk is the queue. A new message goes straight into memory when nothing of its
conversation is on disk and there is room; else it waits on disk, and what is behind is paged
in when there is room again. So order holds, memory is bounded, and a flood in one
conversation or account keeps no other out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Ask", "Window"]

Conversation = str | None


class Ask(NamedTuple):
    """Rows that should be paged in: the first ``limit`` ones, or fewer from ``size`` on.

    ``skip`` are conversations of which enough is in memory; rows beyond ``until`` are held.
    """

    account_id: str
    limit: int
    size: int
    skip: frozenset[Conversation]
    until: int | None


class _View:
    """One account. ``behind`` are conversations with rows on disk, None if it may be any.

    While rows beyond ``until`` are held, ``below`` are those with others on disk.
    """

    __slots__ = ("behind", "below", "bytes", "held", "queued", "rows", "trusted", "until")

    def __init__(self) -> None:
        self.behind: set[Conversation] | None = set()
        self.held: dict[Conversation, int] = {}
        self.rows = 0
        self.bytes = 0
        self.until: int | None = None
        self.below: set[Conversation] | None = None
        self.queued = False  # stands in line for a page
        self.trusted = False  # nothing unknown came to disk since the last ask


class Window:
    """Says what is taken into memory, for all accounts: at most ``rows``, at most ``size``.

    Sizes are characters of payload; one row more than ``size`` may come, however large it
    is. An account may take as much as is still free, so that however many there are, some
    room is left for the next. A conversation takes ``lane`` rows straight; a page brings at
    most ``page``. Of more than ``names`` conversations on disk it is only known that there
    are some. Pure.
    """

    def __init__(
        self, rows: int, size: int, *, lane: int = 16, page: int = 64, names: int = 1000
    ) -> None:
        self._rows = rows
        self._free_rows = rows
        self._free_bytes = size
        self._lane = lane
        self._page = page
        self._names = names
        self._views: dict[str, _View] = {}
        self._line: deque[str] = deque()  # accounts that may want a page

    @property
    def room(self) -> int:
        """Rows that any account could take, even one that holds all that is in memory."""
        return self._free_rows - self._rows // 2

    def held(self, account_id: str) -> int:
        """Rows of an account that are in memory."""
        view = self._views.get(account_id)
        return 0 if view is None else view.rows

    @property
    def wanted(self) -> bool:
        """Whether an account may want a page."""
        return bool(self._line)

    def behind(self, account_id: str) -> None:
        """There may be rows on disk of any conversation: after a start, and when it is told."""
        view = self._view(account_id)
        view.behind = view.below = None
        view.trusted = False
        self._queue(account_id, view)

    def hold(self, account_id: str, until: int) -> None:
        """Page in of an account what stands up to a position, and nothing beyond it.

        Nothing is taken straight until `release`: what comes may not be in order.
        """
        view = self._view(account_id)
        view.until = until
        view.below = None if view.behind is None else set(view.behind)
        self._queue(account_id, view)

    def release(self, account_id: str) -> None:
        """What waits on disk is in order now, and may be paged in."""
        view = self._view(account_id)
        view.until = None
        self._queue(account_id, view)

    def forget(self, account_id: str) -> None:
        """An account is gone; what is still in memory of it is counted until it leaves."""
        view = self._views.get(account_id)
        if view is not None and not view.rows:
            del self._views[account_id]
            if view.queued:
                self._line.remove(account_id)

    def admit(self, account_id: str, conversation: Conversation, size: int) -> bool:
        """Say whether a new row goes into memory; if not it waits on disk, as will what follows.

        Call `leave` for one that was admitted and then turned out to be known, or not stored.
        """
        view = self._view(account_id)
        if (
            view.until is None
            and view.behind is not None
            and conversation not in view.behind
            and view.held.get(conversation, 0) < self._lane
            and view.rows < self._free_rows
            and view.bytes + size <= self._free_bytes
        ):
            self._enter(view, conversation, size)
            return True
        if view.behind is not None:
            view.behind.add(conversation)
            if len(view.behind) > self._names:
                view.behind = None
        self._queue(account_id, view)
        return False

    def leave(self, account_id: str, conversation: Conversation, size: int) -> None:
        """A row is no longer in memory."""
        view = self._views[account_id]
        left = view.held[conversation] - 1
        if left:
            view.held[conversation] = left
        else:
            del view.held[conversation]
        view.rows -= 1
        view.bytes -= size
        self._free_rows += 1
        self._free_bytes += size
        if view.behind is None or view.behind:
            self._queue(account_id, view)

    def ask(self) -> Ask | None:
        """The page that should be read next, if any; tell its outcome with `paged`."""
        for _ in range(len(self._line) if self._free_rows > 0 and self._free_bytes > 0 else 0):
            account_id = self._line.popleft()
            view = self._views[account_id]
            limit = (self._free_rows - view.rows + 1) // 2
            size = (self._free_bytes - view.bytes + 1) // 2
            # A page costs a transaction: not one for every row that has left.
            if limit < min(self._page, max(view.rows, 1)) or size <= 0:
                self._line.append(account_id)
                continue
            skip = self._full(view)
            view.queued = False
            rest = view.behind if view.until is None else view.below
            if rest is not None and rest <= skip:
                continue  # until others may be paged in, or a row has left
            self._queue(account_id, view)
            view.trusted = True
            return Ask(account_id, min(limit, self._page), size, skip, view.until)
        return None

    def paged(self, ask: Ask, rows: Iterable[tuple[Conversation, int]], *, more: bool) -> None:
        """Rows were paged in, each with its size; ``more``: the store has others that wait."""
        view = self._views.get(ask.account_id)
        if view is None:
            return  # the account is gone: it was held, so nothing came
        count = size = 0
        for conversation, length in rows:
            self._enter(view, conversation, length)
            count += 1
            size += length
        if view.trusted and count < ask.limit and size < ask.size:
            if ask.until is None:
                view.behind = set(ask.skip) if more else set()
            elif ask.until == view.until:
                view.below = set(ask.skip)

    def _view(self, account_id: str) -> _View:
        view = self._views.get(account_id)
        if view is None:
            view = self._views[account_id] = _View()
        return view

    def _enter(self, view: _View, conversation: Conversation, size: int) -> None:
        view.held[conversation] = view.held.get(conversation, 0) + 1
        view.rows += 1
        view.bytes += size
        self._free_rows -= 1
        self._free_bytes -= size

    def _queue(self, account_id: str, view: _View) -> None:
        if not view.queued:
            view.queued = True
            self._line.append(account_id)

    def _full(self, view: _View) -> frozenset[Conversation]:
        enough = max(self._lane // 2, 1)
        return frozenset(name for name, count in view.held.items() if count >= enough)
