"""Inbox and outbox in one SQLite file, on a thread of its own."""

from __future__ import annotations

import os
import sqlite3
import time as clocks
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from xyfast.errors import StoreError
from xyfast.store.accounts import Accounts
from xyfast.store.inbox import Inbox
from xyfast.store.lock import Lock
from xyfast.store.posted import Outbox
from xyfast.store.retention import Patient, Retention
from xyfast.store.rows import (
    Depth,
    Kept,
    Outcome,
    Page,
    Posted,
    PostState,
    Row,
    Standing,
)
from xyfast.store.schema import connect
from xyfast.store.worker import Worker

__all__ = ["SqliteStore"]

T = TypeVar("T")

_SWEEP = 1000  # most rows of a table that a sweep deletes: some ms of the thread


class _Open(NamedTuple):
    """What there is while the file is open; belongs to the thread."""

    db: sqlite3.Connection
    lock: Lock | None
    accounts: Accounts
    inbox: Inbox
    outbox: Outbox


class SqliteStore:
    """Everything in one file: survives a crash of the process and of the machine.

    A write-ahead log with ``synchronous="full"``; ``"normal"`` is faster and survives a
    crash of the process, but may lose the last moments when the machine crashes. The file
    and what SQLite puts beside it have mode 0600, since it holds session material and
    message texts. All statements run on one thread; a caller that is cancelled does not
    stop its call half-way, which is carried out all the same.

    One process at a time owns the file, by a lock on ``<path>.lock``. With ``shared=True``
    the file is opened beside its owner, to look at accounts, dead letters, handled messages and
    what waits to go out, to revive messages and to drop dead letters, and without an owner to
    `withdraw` what waits; other calls raise `StoreError`. ``retention`` bounds
    the file; to its ``max_bytes`` of pages in use comes the write-ahead log, some MiB.
    ``clock`` gives seconds since 1970, ``steady`` seconds that nobody sets.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        retention: Retention | None = None,
        *,
        synchronous: Literal["full", "normal"] = "full",
        shared: bool = False,
        clock: Callable[[], float] = clocks.time,
        steady: Callable[[], float] = clocks.monotonic,
    ) -> None:
        self._path = Path(path)
        self._retention = retention or Retention()
        self._synchronous = synchronous
        self._shared = shared
        self._clock = clock
        self._patient = Patient(clock, steady)
        self._worker: Worker | None = None
        self._open_file: _Open | None = None

    async def open(self) -> None:
        """Open or make the file; one of an older version is brought up to date.

        Raises `StoreError` if it is no inbox, of a newer version, damaged, or owned by
        another process. A file that cannot be read is left as it is.
        """
        if self._worker is not None:
            raise StoreError(f"the store {self._path} is open already")
        self._worker = Worker("xyfast-store")
        try:
            await self._run(self._open)
        except BaseException:
            await self.close()
            raise

    async def commit(
        self,
        rows: Sequence[Row] = (),
        outcomes: Sequence[Outcome] = (),
        *,
        received: Mapping[str, int] | None = None,
    ) -> Collection[tuple[str, str]]:
        """See `Store.commit`."""
        # Copies, since a caller that is cancelled does not wait for the thread.
        parts = tuple(rows), tuple(outcomes), dict(received or {})
        return await self._own(lambda file: file.inbox.commit(*parts))

    async def take(
        self,
        account_id: str,
        limit: int,
        *,
        size: int | None = None,
        skip: Collection[str | None] = (),
        until: int | None = None,
    ) -> Page:
        """See `Store.take`."""
        passed = frozenset(skip)
        return await self._own(lambda file: file.inbox.take(account_id, limit, size, passed, until))

    async def untake(self, identities: Collection[tuple[str, str]], *, begun: bool = False) -> None:
        """See `Store.untake`."""
        rows = tuple(identities)
        await self._own(lambda file: file.inbox.untake(rows, begun=begun))

    async def load(self, account_id: str) -> Kept:
        """See `Store.load`."""
        return await self._own(lambda file: file.accounts.load(account_id))

    async def accounts(self) -> Sequence[Standing]:
        """How each account is, by id."""
        return await self._use(lambda file: file.accounts.standings())

    async def save_session(self, account_id: str, blob: str) -> None:
        """See `Store.save_session`."""
        await self._own(lambda file: file.accounts.save_session(account_id, blob))

    async def known(self, account_id: str, keys: Collection[str]) -> Collection[str]:
        """See `Store.known`."""
        return await self._own(lambda file: file.inbox.known(account_id, keys))

    async def dead_letters(
        self, account_id: str | None = None, *, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, Row]]:
        """See `Store.dead_letters`."""
        return await self._use(lambda file: file.inbox.dead_letters(account_id, after, limit))

    async def depth(self) -> Mapping[str, Depth]:
        """See `Store.depth`."""
        return await self._use(lambda file: file.inbox.depth())

    async def handled(
        self, account_id: str, *, after: tuple[int, int], until: int, limit: int = 100
    ) -> Sequence[tuple[tuple[int, int], Row]]:
        """Handled messages of an account with their marks, those handled longest ago first.

        A mark is the time at which a message was handled (ms since 1970, our clock) and its
        number. ``after`` is the last mark seen, ``(time, 0)`` to begin at a time; those
        handled at ``until`` or later are left out.
        """
        return await self._use(lambda file: file.inbox.handled(account_id, after, until, limit))

    async def revive(self, account_id: str, keys: Collection[str]) -> int:
        """See `Store.revive`."""
        return await self._use(lambda file: file.inbox.revive(account_id, keys))

    async def drop(self, account_id: str, keys: Collection[str]) -> int:
        """Count dead letters as handled now; returns how many there were.

        They stay known, can be revived until `Retention.keep` is over, and are among the
        first to go when room is needed.
        """
        names = tuple(keys)
        return await self._use(lambda file: file.inbox.drop(account_id, names))

    async def revived(self) -> Collection[str]:
        """See `Store.revived`."""
        return await self._own(lambda file: file.accounts.revived())

    async def sweep(self) -> int:
        """See `Store.sweep`; a call forgets at most 1 000 messages and as many letters."""
        return await self._own(self._sweep)

    async def post(self, letter: Posted) -> Posted:
        """See `Store.post`."""
        return await self._own(lambda file: file.outbox.post(letter))

    async def mark(
        self,
        account_id: str,
        name: str,
        state: PostState,
        *,
        message_id: str | None = None,
        time: int | None = None,
    ) -> None:
        """See `Store.mark`."""
        await self._own(lambda file: file.outbox.mark(account_id, name, state, message_id, time))

    async def unsent(self, account_id: str) -> Sequence[Posted]:
        """See `Store.unsent`."""
        return await self._own(lambda file: file.outbox.unsent(account_id))

    async def settled(self, account_id: str, limit: int) -> Sequence[Posted]:
        """See `Store.settled`."""
        return await self._own(lambda file: file.outbox.settled(account_id, limit))

    async def waiting(self) -> Sequence[tuple[int, Posted]]:
        """Messages of all accounts that have not gone out, with their numbers, in their order."""
        return await self._use(lambda file: file.outbox.waiting())

    async def withdraw(self, account_id: str, names: Collection[str]) -> int:
        """Let messages never go out, as if they had been refused; returns how many there were.

        Raises `StoreError` while another process owns the file: it would send them.
        """
        chosen = tuple(names)
        return await self._use(lambda file: self._withdraw(file, account_id, chosen))

    async def close(self) -> None:
        """Carry out what was asked for before, close the file and end the thread."""
        worker = self._worker
        if worker is not None and worker.ours:
            self._worker = None
            await self._told(worker.end(self._close))

    # --- the thread -----------------------------------------------------------------

    async def _own(self, work: Callable[[_Open], T]) -> T:
        if self._shared:
            raise StoreError(
                f"the store {self._path} is opened beside its owner: this call is not for guests"
            )
        return await self._use(work)

    async def _use(self, work: Callable[[_Open], T]) -> T:
        return await self._run(lambda: work(self._file()))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._worker is None:
            raise StoreError(f"the store {self._path} is not open")
        if not self._worker.ours:
            raise StoreError(f"the store {self._path} was opened before a fork: it is its parent's")
        return await self._told(self._worker.run(work))

    async def _told(self, work: Awaitable[T]) -> T:
        """Await work; what it raises is told as `StoreError`."""
        try:
            return await work
        except BlockingIOError:
            raise StoreError(
                f"the store {self._path} is in use by another process or store; stop that one or "
                "give another path"
            ) from None
        except OSError as error:
            raise StoreError(
                f"the store {self._path} cannot be opened ({error.strerror}); its folder must "
                "exist and be writable"
            ) from None
        except sqlite3.Error as error:
            raise StoreError(self._explain(error)) from None

    def _explain(self, error: sqlite3.Error) -> str:
        text = str(error)
        if "not a database" in text or "malformed" in text:
            return (
                f"the store {self._path} cannot be read ({text}); keep a copy and try "
                f"`sqlite3 {self._path} .recover`, or give another path"
            )
        if "locked" in text:
            return f"the store {self._path} is in use by another process ({text}); stop that one"
        if "unable to open" in text or "readonly" in text:
            return (
                f"the store {self._path} cannot be opened ({text}); it and its folder must be "
                "writable"
            )
        if "full" in text:
            return f"the store {self._path} cannot grow ({text}); make room on the disk"
        return f"the store {self._path} failed: {text}"

    def _open(self) -> None:
        if self._path.exists() and not self._path.is_file():
            raise StoreError(f"the store {self._path} is not a file; give the path of one")
        lock = None if self._shared else self._lock()
        try:
            self._open_file = self._attach(lock)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    def _attach(self, lock: Lock | None) -> _Open:
        db = connect(self._path, synchronous=self._synchronous, shared=self._shared)
        try:
            accounts = Accounts(db)
            inbox = Inbox(db, accounts, self._retention, self._now, shared=self._shared)
            outbox = Outbox(db, accounts, self._retention, self._now)
            if not self._shared:
                inbox.recover()
            return _Open(db, lock, accounts, inbox, outbox)
        except BaseException:
            db.close()
            raise

    def _file(self) -> _Open:
        if self._open_file is None:
            raise StoreError(f"the store {self._path} is not open")
        return self._open_file

    def _close(self) -> None:
        file, self._open_file = self._open_file, None
        if file is None:
            return
        try:
            file.db.close()
        finally:
            if file.lock is not None:
                file.lock.release()

    def _withdraw(self, file: _Open, account_id: str, names: Sequence[str]) -> int:
        lock = self._lock() if self._shared else None
        try:
            return file.outbox.withdraw(account_id, names)
        finally:
            if lock is not None:
                lock.release()

    def _lock(self) -> Lock:
        return Lock(f"{os.path.realpath(self._path)}.lock")

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _sweep(self, file: _Open) -> int:
        now = int(self._patient.now() * 1000)
        with file.accounts.transaction():
            messages, letters = file.inbox.sweep(now, _SWEEP), file.outbox.sweep(now, _SWEEP)
        file.inbox.total -= messages
        return messages + letters
