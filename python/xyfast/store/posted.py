"""The outbox in SQL: what `SqliteStore` does on its thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from xyfast.store.accounts import Accounts
from xyfast.store.retention import Retention
from xyfast.store.rows import Posted, PostState
from xyfast.store.values import from_text, to_integer, to_text

__all__ = ["Outbox"]

_COLUMNS = "name, conversation, peer, content, uuid, created, state, message, time"


class Outbox:
    """Table ``outbox`` of one connection; ``now`` gives ms since 1970."""

    def __init__(
        self,
        db: sqlite3.Connection,
        accounts: Accounts,
        retention: Retention,
        now: Callable[[], int],
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._retention = retention
        self._now = now
        self._counted: tuple[int, int] | None = None

    def post(self, letter: Posted) -> Posted:
        """See `Store.post`."""
        letters, size = self._waiting()
        with self._accounts.transaction():
            account = self._accounts.make(letter.account_id)
            added = self._db.execute(
                f"INSERT INTO outbox (account, {_COLUMNS}, settled)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, name) DO NOTHING",
                (
                    account,
                    to_text(letter.name),
                    to_text(letter.conversation_id),
                    to_text(letter.peer_id),
                    to_text(letter.content),
                    to_text(letter.uuid),
                    to_integer(letter.created),
                    letter.state,
                    to_text(letter.message_id),
                    to_integer(letter.time),
                    self._settled(letter.state),
                ),
            ).rowcount
            if added and self._settled(letter.state) is None:
                letters, size = letters + 1, size + len(letter.content)
                self._retention.check_outbox(letters, size)
            kept = self._db.execute(
                f"SELECT {_COLUMNS} FROM outbox WHERE account = ? AND name = ?",
                (account, to_text(letter.name)),
            ).fetchone()
        self._counted = letters, size
        return _posted(letter.account_id, kept)

    def mark(
        self,
        account_id: str,
        name: str,
        state: PostState,
        message_id: str | None,
        time: int | None,
    ) -> None:
        """See `Store.mark`."""
        letters, size = self._waiting()
        place = self._accounts.find(account_id), to_text(name)
        with self._accounts.transaction():
            found = self._db.execute(
                "SELECT settled IS NULL, content FROM outbox WHERE account = ? AND name = ?", place
            ).fetchone()
            if found is None:
                return
            change = (self._settled(state) is None) - found[0]
            letters, size = letters + change, size + change * len(from_text(found[1]))
            self._db.execute(
                "UPDATE outbox SET state = ?, settled = ?, message = ifnull(?, message),"
                " time = ifnull(?, time) WHERE account = ? AND name = ?",
                (
                    state,
                    self._settled(state),
                    to_text(message_id),
                    to_integer(time),
                    *place,
                ),
            )
        self._counted = letters, size

    def unsent(self, account_id: str) -> Sequence[Posted]:
        """See `Store.unsent`."""
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM outbox WHERE account = ? AND settled IS NULL ORDER BY id",
            (self._accounts.find(account_id),),
        )
        return [_posted(account_id, facts) for facts in found]

    def settled(self, account_id: str, limit: int) -> Sequence[Posted]:
        """See `Store.settled`."""
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM outbox WHERE account = ? AND settled IS NOT NULL"
            " ORDER BY id DESC LIMIT ?",
            (self._accounts.find(account_id), limit),
        ).fetchall()
        return [_posted(account_id, facts) for facts in reversed(found)]

    def waiting(self) -> Sequence[tuple[int, Posted]]:
        """See `SqliteStore.waiting`."""
        found = self._db.execute(
            f"SELECT outbox.id, account.account, {_COLUMNS} FROM outbox JOIN account"
            " ON account.id = outbox.account WHERE settled IS NULL ORDER BY outbox.id"
        )
        return [(number, _posted(from_text(account), facts)) for number, account, *facts in found]

    def withdraw(self, account_id: str, names: Sequence[str]) -> int:
        """See `SqliteStore.withdraw`."""
        account = self._accounts.find(account_id)
        with self._accounts.transaction():
            withdrawn = self._db.executemany(
                "UPDATE outbox SET state = 'refused', settled = ?"
                " WHERE account = ? AND name = ? AND settled IS NULL",
                [(self._now(), account, to_text(name)) for name in names],
            ).rowcount
        self._counted = None
        return withdrawn

    def sweep(self, now: int, most: int) -> int:
        """Forget what was settled long enough ago; within a transaction."""
        return self._db.execute(
            "DELETE FROM outbox WHERE id IN"
            " (SELECT id FROM outbox WHERE settled <= ? ORDER BY settled LIMIT ?)",
            (now - int(self._retention.keep * 1000), most),
        ).rowcount

    def _waiting(self) -> tuple[int, int]:
        """How many messages have no outcome, and the characters of their content."""
        if self._counted is None:
            found = self._db.execute("SELECT content FROM outbox WHERE settled IS NULL")
            sizes = [len(from_text(content)) for (content,) in found]
            self._counted = len(sizes), sum(sizes)
        return self._counted

    def _settled(self, state: PostState) -> int | None:
        return None if state in ("queued", "out") else self._now()


def _posted(account_id: str, facts: Sequence[Any]) -> Posted:
    name, conversation, peer, content, uuid, created, state, message, time = facts
    return Posted(
        account_id=account_id,
        name=from_text(name),
        conversation_id=from_text(conversation),
        peer_id=from_text(peer),
        content=from_text(content),
        uuid=from_text(uuid),
        created=created,
        state=state,
        message_id=None if message is None else from_text(message),
        time=time,
    )
