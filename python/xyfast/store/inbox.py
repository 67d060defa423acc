"""The inbox in SQL: what `SqliteStore` does on its thread."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Any

from xyfast.store.accounts import Accounts
from xyfast.store.order import Stretch, stand_anew, stretches
from xyfast.store.retention import LONGER, NEAR, Lost, Retention
from xyfast.store.rows import DeadLetter, Depth, Outcome, Page, Row
from xyfast.store.schema import DEAD, HANDLED, TAKEN, WAITING
from xyfast.store.values import from_text, to_integer, to_text

__all__ = ["Inbox"]

_COLUMNS = "key, payload, position, conversation, arrived, redelivered, reason, offset"
_EVER = 2**62
_ENDED = "FROM inbox WHERE state = {} AND state >= 4"  # the second for the index
_FAR = (
    f"position < ifnull((SELECT received FROM account WHERE id = inbox.account), {_EVER}) - {NEAR}"
)
_LAST = 2**63 - 1  # position


class Inbox:
    """Table ``inbox`` of one connection; ``now`` gives ms since 1970.

    With ``shared`` another process owns the file; the owner alone adds and removes rows.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        accounts: Accounts,
        retention: Retention,
        now: Callable[[], int],
        *,
        shared: bool,
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._retention = retention
        self._now = now
        self._shared = shared
        self._page_size = self._number("PRAGMA page_size")
        self._place = 1 + self._number("SELECT ifnull(max(place), 0) FROM inbox")
        self.lost = Lost()
        self.total = 0 if shared else self._number("SELECT count(*) FROM inbox")

    def recover(self) -> None:
        """What an earlier run had taken waits again."""
        with self._accounts.transaction():
            self._db.execute(
                f"UPDATE inbox SET state = {WAITING}, redelivered = redelivered + 1"
                f" WHERE state = {TAKEN} AND state < 4"
            )

    def commit(
        self,
        rows: Sequence[Row],
        outcomes: Sequence[Outcome],
        received: Mapping[str, int],
    ) -> Collection[tuple[str, str]]:
        """See `Store.commit`."""
        with self._accounts.transaction():
            new = self._add(rows) if rows else []
            if outcomes:
                self._end(outcomes)
            if received:
                self._accounts.advance(received)
            forgotten, letters = self._make_room(self.total + len(new)) if new else (0, 0)
        self.total += len(new) - forgotten - letters
        self.lost.add(letters)
        return new

    def take(
        self,
        account_id: str,
        limit: int,
        size: int | None,
        skip: Collection[str | None],
        until: int | None,
    ) -> Page:
        """See `Store.take`."""
        account, db = self._accounts.find(account_id), self._db
        line = f"FROM inbox WHERE state = {WAITING} AND state < 4 AND account = ?"
        names = [to_text(name) for name in skip if name is not None]
        free = f"conversation NOT IN ({', '.join('?' * len(names))})"
        free += " AND conversation IS NOT NULL" if None in skip else " OR conversation IS NULL"
        with self._accounts.transaction():
            found = db.execute(
                f"SELECT place, {_COLUMNS} {line} AND position <= ? AND ({free})"
                " ORDER BY position, place LIMIT ?",
                (account, _LAST if until is None else to_integer(until), *names, limit),
            )
            places, rows = [], []
            left = math.inf if size is None else size
            for place, *facts in found:
                row = _row(account_id, facts, taken=True)
                places.append((place,))
                rows.append(row)
                left -= len(row.payload)
                if left <= 0:
                    break
            found.close()
            db.executemany(f"UPDATE inbox SET state = {TAKEN} WHERE place = ?", places)
            first = db.execute(
                f"SELECT position {line} ORDER BY position LIMIT 1", (account,)
            ).fetchone()
        return Page(rows, None if first is None else first[0])

    def untake(self, identities: Collection[tuple[str, str]], *, begun: bool) -> None:
        """See `Store.untake`."""
        with self._accounts.transaction():
            self._db.executemany(
                f"UPDATE inbox SET state = {WAITING}, redelivered = redelivered + {int(begun)}"
                f" WHERE account = ? AND key = ? AND state = {TAKEN}",
                [(self._accounts.find(account_id), to_text(key)) for account_id, key in identities],
            )

    def known(self, account_id: str, keys: Collection[str]) -> Collection[str]:
        """See `Store.known`."""
        account, db = self._accounts.find(account_id), self._db
        find = "SELECT 1 FROM inbox WHERE account = ? AND key = ?"
        return {key for key in keys if db.execute(find, (account, to_text(key))).fetchone()}

    def dead_letters(
        self, account_id: str | None, after: int, limit: int
    ) -> Sequence[tuple[int, Row]]:
        """See `Store.dead_letters`."""
        whose = () if account_id is None else (self._accounts.find(account_id),)
        # With a plus, or SQLite would look through all rows of the account.
        found = self._db.execute(
            f"SELECT place, account.account, {_COLUMNS} FROM inbox"
            " JOIN account ON account.id = inbox.account"
            f" WHERE place IN (SELECT place FROM inbox WHERE state = {DEAD}"
            f" AND place > ? {'AND +account = ?' if whose else ''} ORDER BY place LIMIT ?)"
            " ORDER BY place",
            (after, *whose, limit),
        )
        return [(place, _row(from_text(name), facts)) for place, name, *facts in found]

    def depth(self) -> Mapping[str, Depth]:
        """See `Store.depth`."""
        counts: dict[str, list[int]] = {}
        # A search of an index for each state, which holds all that is asked for.
        for state, place in ((WAITING, 0), (TAKEN, 0), (DEAD, 1)):
            side = "state >= 4" if state == DEAD else "state < 4"
            found = self._db.execute(
                "SELECT account.account, each.count FROM (SELECT account, count(*) AS count"
                f" FROM inbox WHERE state = {state} AND {side} GROUP BY account) AS each"
                " JOIN account ON account.id = each.account"
            )
            for name, count_of in found:
                counts.setdefault(from_text(name), [0, 0])[place] += count_of
        return {name: Depth(*both) for name, both in counts.items()}

    def handled(
        self, account_id: str, after: tuple[int, int], until: int, limit: int
    ) -> Sequence[tuple[tuple[int, int], Row]]:
        """See `SqliteStore.handled`."""
        found = self._db.execute(
            f"SELECT changed, place, {_COLUMNS} FROM inbox"
            f" WHERE state = {HANDLED} AND state >= 4 AND account = ?"
            " AND (changed, place) > (?, ?) AND changed < ? ORDER BY changed, place LIMIT ?",
            (self._accounts.find(account_id), *after, until, limit),
        )
        return [((changed, place), _row(account_id, facts)) for changed, place, *facts in found]

    def revive(self, account_id: str, keys: Collection[str]) -> int:
        """See `Store.revive`."""
        account = self._accounts.find(account_id)
        if account is None or not keys:
            return 0
        with self._accounts.transaction():
            revived = self._db.executemany(
                f"UPDATE inbox SET state = {WAITING}, redelivered = redelivered + 1,"
                " reason = NULL, offset = NULL WHERE account = ? AND key = ? AND state >= 4",
                [(account, to_text(key)) for key in keys],
            ).rowcount
            if self._shared and revived:
                self._accounts.note_revived(account)
        return revived

    def drop(self, account_id: str, keys: Collection[str]) -> int:
        """See `SqliteStore.drop`."""
        account = self._accounts.find(account_id)
        with self._accounts.transaction():
            return self._db.executemany(
                f"UPDATE inbox SET state = {HANDLED}, changed = ?, reason = NULL, offset = NULL"
                f" WHERE account = ? AND key = ? AND state = {DEAD}",
                [(self._now(), account, to_text(key)) for key in keys],
            ).rowcount

    # --- within a transaction -----------------------------------------------------------

    def _add(self, rows: Sequence[Row]) -> list[tuple[str, str]]:
        db, now, first = self._db, self._now(), self._place
        ids = {name: self._accounts.make(name) for name in {row.account_id for row in rows}}
        before = db.total_changes
        db.executemany(
            f"INSERT INTO inbox (place, account, state, changed, {_COLUMNS})"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, key) DO NOTHING",
            [
                (
                    place,
                    ids[row.account_id],
                    DEAD if row.dead is not None else TAKEN if row.taken else WAITING,
                    now,
                    to_text(row.key),
                    to_text(row.payload),
                    to_integer(row.position),
                    to_text(row.conversation_id),
                    to_integer(row.arrived),
                    row.redelivered,
                    *_why(row.dead),
                )
                for place, row in zip(count(first), rows)
            ],
        )
        if db.total_changes - before == len(rows):
            self._place += len(rows)
            return [(row.account_id, row.key) for row in rows]
        added = {p for (p,) in db.execute("SELECT place FROM inbox WHERE place >= ?", (first,))}
        self._place += len(rows)
        for stretch in stretches(rows, {place - first for place in added}):
            self._stand_anew(ids[stretch.account_id], stretch)
        return [(r.account_id, r.key) for place, r in zip(count(first), rows) if place in added]

    def _stand_anew(self, account: int, stretch: Stretch) -> None:
        """Let what waits at the position of a stretch stand as that says."""
        db, position = self._db, to_integer(stretch.position)
        one = f"WHERE account = ? AND key = ? AND state = {WAITING}"
        members = [(position, account, to_text(key)) for key in stretch.keys]
        db.executemany(f"UPDATE inbox SET position = ? {one}", members)
        line = f"state = {WAITING} AND state < 4 AND account = ? AND position = ?"
        line += " AND conversation IS ?"
        here = (account, position, to_text(stretch.conversation_id))
        places = {
            key: place
            for key in stretch.keys
            for (place,) in db.execute(
                f"SELECT place FROM inbox WHERE {line} AND key = ?", (*here, to_text(key))
            )
        }

        def behind(place: int, most: int) -> list[str]:
            keys = db.execute(
                f"SELECT key FROM inbox WHERE {line} AND place >= ? ORDER BY place LIMIT ?",
                (*here, place, most),
            )
            return [from_text(key) for (key,) in keys]

        keys = stand_anew(stretch, places, behind)
        anew = [(place, account, to_text(key)) for place, key in zip(count(self._place), keys)]
        db.executemany(f"UPDATE inbox SET place = ? {one}", anew)
        self._place += len(anew)

    def _end(self, outcomes: Sequence[Outcome]) -> None:
        now = self._now()
        self._db.executemany(
            "UPDATE inbox SET state = ?, changed = ?, reason = ?, offset = ?"
            " WHERE account = ? AND key = ? AND state < 4",
            [
                (
                    HANDLED if letter is None else DEAD,
                    now,
                    *_why(letter),
                    self._accounts.find(account_id),
                    to_text(key),
                )
                for account_id, key, letter in outcomes
            ],
        )

    def sweep(self, now: int, most: int) -> int:
        """Forget what was kept for long enough; ``total`` is left to the caller."""
        keeps, gone = self._retention, 0
        for state, keep in ((HANDLED, keeps.keep), (DEAD, keeps.keep_dead)):
            before = now - int(keep * 1000)
            gone += self._db.execute(
                f"DELETE FROM inbox WHERE place IN (SELECT place {_ENDED.format(state)}"
                f" AND changed <= ? AND ({_FAR} OR changed <= ?) ORDER BY changed LIMIT ?)",
                (before, before - int(LONGER * 1000), most - gone),
            ).rowcount
        return gone

    def _make_room(self, total: int) -> tuple[int, int]:
        """Forget messages while a bound is passed: how many handled ones, and dead letters."""
        bounds, forgotten, letters = self._retention, 0, 0
        while True:
            left = total - forgotten - letters
            too_many, too_large = left - bounds.max_rows, self._too_large(left)
            if too_many <= 0 and too_large <= 0:
                return forgotten, letters
            most = max(too_many, too_large) + bounds.extra(left)
            handled, settled = self._forget_oldest(most, settled=too_many <= 0)
            dead = 0 if handled or settled else self._forget_dead(left, most)
            if not handled and not settled and not dead:
                raise bounds.full("max_rows" if too_many > 0 else "max_bytes")
            forgotten += handled
            letters += dead

    def _too_large(self, rows: int) -> int:
        """How many of so many messages, and of those of the outbox, take too many bytes."""
        pages = self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")
        used, most = pages * self._page_size, self._retention.max_bytes
        if used <= most:
            return 0
        rows += self._number("SELECT count(*) FROM outbox WHERE settled IS NOT NULL")
        return -(-(used - most) * rows // used)

    def _forget_oldest(self, most: int, *, settled: bool) -> tuple[int, int]:
        """Forget what was handled longest ago, and of the outbox what was ``settled`` then.

        How many of both; those near go last.
        """
        near = self._now() - NEAR // 1000
        for which, since in ((f" AND {_FAR}", near), ("", _EVER)):
            query = f"SELECT changed, place, NULL {_ENDED.format(HANDLED)}{which}"
            if settled:
                query += f" UNION ALL SELECT settled, NULL, id FROM outbox WHERE settled < {since}"
            found = self._db.execute(f"{query} ORDER BY 1 LIMIT ?", (most,)).fetchall()
            if found:
                rows = [(place,) for _, place, _ in found if place is not None]
                posts = [(number,) for _, _, number in found if number is not None]
                self._db.executemany("DELETE FROM inbox WHERE place = ?", rows)
                self._db.executemany("DELETE FROM outbox WHERE id = ?", posts)
                return len(rows), len(posts)
        return 0, 0

    def _forget_dead(self, rows: int, most: int) -> int:
        """Forget the oldest dead letters of so many rows, none of which is handled."""
        dead = self._number(f"SELECT count(*) FROM inbox WHERE state = {DEAD}")
        return self._db.execute(
            "DELETE FROM inbox WHERE place IN"
            f" (SELECT place FROM inbox WHERE state = {DEAD} ORDER BY place LIMIT ?)",
            (min(self._retention.spare(dead, rows - dead), most),),
        ).rowcount

    def _number(self, sql: str) -> int:
        (value,) = self._db.execute(sql).fetchone()
        return int(value)


def _why(letter: DeadLetter | None) -> tuple[str | bytes | None, int | None]:
    return (None, None) if letter is None else (to_text(letter.reason), letter.offset)


def _row(account_id: str, facts: Sequence[Any], *, taken: bool = False) -> Row:
    key, payload, position, conversation, arrived, redelivered, reason, offset = facts
    return Row(
        account_id=account_id,
        key=from_text(key),
        payload=from_text(payload),
        position=position,
        conversation_id=None if conversation is None else from_text(conversation),
        arrived=arrived,
        dead=None if reason is None else DeadLetter(reason=from_text(reason), offset=offset),
        taken=taken,
        redelivered=redelivered,
    )
