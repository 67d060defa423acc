"""The accounts of an SQLite store, and its transactions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from xyfast.store.rows import Kept, Standing, cursor
from xyfast.store.schema import DEAD, TAKEN, WAITING, transaction
from xyfast.store.values import from_text, to_integer, to_text

__all__ = ["Accounts"]

# A search of the index for each state: one for both would read all rows that wait.
_LOWEST = (
    "(SELECT position FROM inbox WHERE state = {} AND state < 4 AND inbox.account = account.id"
    " ORDER BY position LIMIT 1)"
)
_LOAD = (
    f"SELECT received, {_LOWEST.format(WAITING)}, {_LOWEST.format(TAKEN)}, session"
    " FROM account WHERE account = ?"
)
# A search of an index for each, however many messages have been handled. With a plus, since
# SQLite would rather look through all rows of an account for its dead letters.
_COUNT = (
    "(SELECT count(*) FROM inbox WHERE state = {} AND state < 4 AND inbox.account = account.id)"
)
_ALL = (
    f"SELECT account.account, received, {_COUNT.format(WAITING)}, {_COUNT.format(TAKEN)},"
    f" {_LOWEST.format(WAITING)}, {_LOWEST.format(TAKEN)}, ifnull(dead, 0),"
    " (SELECT count(*) FROM outbox WHERE settled IS NULL AND outbox.account = account.id),"
    " session FROM account"
    f" LEFT JOIN (SELECT account, count(*) AS dead FROM inbox WHERE state = {DEAD}"
    " GROUP BY +account) AS letters ON letters.account = account.id ORDER BY account.account"
)


class Accounts:
    """Table ``account`` of one connection. Rows of other tables name accounts by number."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._ids: dict[str, int] = {}
        self._seen: int | None = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `schema.transaction`; numbers that were given within are forgotten with it."""
        try:
            with transaction(self._db):
                yield
        except BaseException:
            self._ids.clear()
            raise

    def find(self, account_id: str) -> int | None:
        """The number of an account, None for one that the file does not know."""
        number = self._ids.get(account_id)
        if number is None:
            found = self._db.execute(
                "SELECT id FROM account WHERE account = ?", (to_text(account_id),)
            ).fetchone()
            if found is None:
                return None
            number = self._ids[account_id] = int(found[0])
        return number

    def make(self, account_id: str) -> int:
        """The number of an account, which is added if it is new; within a transaction."""
        number = self.find(account_id)
        if number is None:
            done = self._db.execute(
                "INSERT INTO account (account) VALUES (?)", (to_text(account_id),)
            )
            assert done.lastrowid is not None
            number = self._ids[account_id] = done.lastrowid
        return number

    def advance(self, received: Mapping[str, int]) -> None:
        """Move positions on, never back; within a transaction."""
        self._db.executemany(
            "UPDATE account SET received = max(ifnull(received, ?), ?) WHERE id = ?",
            [
                (place := to_integer(position), place, self.make(account_id))
                for account_id, position in received.items()
            ],
        )

    def load(self, account_id: str) -> Kept:
        """See `Store.load`."""
        found = self._db.execute(_LOAD, (to_text(account_id),)).fetchone()
        if found is None:
            return Kept(None, None, None)
        received, *lowest, session = found
        return Kept(
            received, _handled(received, lowest), None if session is None else from_text(session)
        )

    def standings(self) -> list[Standing]:
        """See `SqliteStore.accounts`."""
        return [
            Standing(
                account_id=from_text(name),
                received=received,
                handled=_handled(received, lowest),
                waiting=waiting + taken,
                dead=dead,
                unsent=unsent,
                saved=None if session is None else _saved(from_text(session)),
            )
            for name, received, waiting, taken, *lowest, dead, unsent, session in self._db.execute(
                _ALL
            )
        ]

    def save_session(self, account_id: str, blob: str) -> None:
        """See `Store.save_session`."""
        with self.transaction():
            self._db.execute(
                "UPDATE account SET session = ? WHERE id = ?",
                (to_text(blob), self.make(account_id)),
            )

    def note_revived(self, account: int) -> None:
        """Leave the owner of the file a note; within a transaction."""
        self._db.execute("UPDATE account SET revived = 1 WHERE id = ?", (account,))

    def revived(self) -> Collection[str]:
        """See `Store.revived`."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version == self._seen:
            return ()
        with self.transaction():
            found = self._db.execute("SELECT account FROM account WHERE revived").fetchall()
            if found:
                self._db.execute("UPDATE account SET revived = 0 WHERE revived")
        self._seen = version
        return [from_text(name) for (name,) in found]


def _handled(received: int | None, lowest: list[int | None]) -> int | None:
    """See `Kept.handled`; ``lowest`` are the first positions that wait and are taken, if any."""
    return cursor(received, [each for each in lowest if each is not None])


def _saved(session: str) -> int | None:
    """When a session was saved, as a client notes it; one of an older version did not."""
    try:
        saved = json.loads(session).get("saved")
    except (ValueError, AttributeError):
        return None
    return saved if isinstance(saved, int) else None
