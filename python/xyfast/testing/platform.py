"""What the fake platform knows: its accounts, their logins, tokens and conversations."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from xyfast.testing.faults import Fault
from xyfast.testing.ledger import Changes, Ledger
from xyfast.testing.samples import Message
from xyfast.testing.settings import OldToken, ServerSettings

__all__ = ["AccountState", "Conversation", "Grant", "Platform", "page"]

T = TypeVar("T")

_IDS = 1_000_000  # message ids from one seed to the next


@dataclass(eq=False, slots=True)
class Grant:
    """What an access token allows: one device of one account, until a time in ms."""

    account: AccountState
    device_id: str
    expires: int


@dataclass(slots=True)
class Conversation:
    """One conversation of one account, its messages oldest first."""

    id: str
    peer: str
    item: str
    created: int
    messages: list[Message] = field(default_factory=list)
    unread: int = 0

    @property
    def modified(self) -> int:
        """Milliseconds of the last change."""
        return self.messages[-1].time if self.messages else self.created


def page(
    newest_first: Iterable[T], time: Callable[[T], int], *, before: int, limit: int, splits: bool
) -> tuple[list[T], bool]:
    """Return the items before a time and whether more follow.

    Unless it ``splits``, a page never ends between two items of one millisecond: a cursor
    before which the next one begins could not come back to the second of them.
    """
    taken: list[T] = []
    for item in newest_first:
        if time(item) >= before:
            continue
        if len(taken) >= limit and (splits or time(item) != time(taken[-1])):
            return taken, True
        taken.append(item)
    return taken, False


class AccountState:
    """One account as the platform sees it."""

    def __init__(self, id: str, settings: ServerSettings, clock: Callable[[], int]) -> None:  # noqa: A002
        self.id = id
        self.ledger = Ledger()
        self.faults: set[Fault] = set()
        self.conversations: dict[str, Conversation] = {}
        self.uuids: dict[str, str] = {}
        """Message id by the uuid of the send that made it."""
        self.signing: dict[str, int] = {}
        """Expiry in ms by the part of ``_m_h5_tk`` that signs."""
        self._settings = settings
        self._clock = clock
        self._signings = itertools.count(1)
        self._logins = itertools.count(1)
        self.log_in()

    def log_in(self) -> None:
        """Begin a new login: the cookies of the one before are worth nothing."""
        self.login = f"synthetic-login-{self.id}-{next(self._logins)}"

    def new_signing_cookie(self) -> str:
        """Return a fresh value for ``_m_h5_tk``."""
        seed = f"{self.id}:{next(self._signings)}"
        token = hashlib.md5(seed.encode(), usedforsecurity=False).hexdigest()
        expires = self._clock() + int(self._settings.signing_life * 1000)
        self.signing[token] = expires
        return f"{token}_{expires}"

    def signs(self, token: str) -> bool:
        """Return whether ``token`` may sign calls now."""
        return self.signing.get(token, 0) > self._clock()

    def cookies(self) -> str:
        """Return a cookie string of the present login."""
        signing = self.new_signing_cookie()
        return (
            f"unb={self.id}; cookie2={self.login}; _m_h5_tk={signing}; "
            f"_m_h5_tk_enc={signing[:32]}; sgcookie=synthetic; cna=synthetic"
        )

    def conversation(self, id: str, peer: str, item: str = "800000000031") -> Conversation:  # noqa: A002
        """Return the conversation with this id, made if it is new."""
        found = self.conversations.get(id)
        if found is None:
            found = Conversation(id, peer, item, self._clock())
            self.conversations[id] = found
        return found

    def remember(self, message: Message) -> None:
        """Put a message into the history."""
        conversation = self.conversation(message.conversation, message.peer, message.item)
        conversation.messages.append(message)
        if message.sender != self.id:
            conversation.unread += 1

    def find(self, message_id: str) -> Message | None:
        """Return the message with this id, or None."""
        for conversation in self.conversations.values():
            for message in reversed(conversation.messages):
                if message.id == message_id:
                    return message
        return None

    def forget(self, message: Message) -> None:
        """Take a message out of the history."""
        self.conversations[message.conversation].messages.remove(message)


class Platform:
    """What the HTTP side and the WebSocket side share.

    Message ids follow from ``seed``: a bot that has met another platform would take them for
    those of old messages.
    """

    def __init__(
        self,
        accounts: Sequence[str],
        settings: ServerSettings,
        clock: Callable[[], int],
        seed: int = 0,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.changes = Changes()
        self.faults: set[Fault] = set()
        self.accounts = {name: AccountState(name, settings, clock) for name in accounts}
        self.tokens_issued = 0
        self._grants: dict[str, Grant] = {}
        self._newest: dict[tuple[str, str], int] = {}
        self._messages = itertools.count(5_000_000_000_001 + seed * _IDS)
        self._conversations = itertools.count(70_000_100_001)

    def has(self, fault: Fault, account: AccountState | None = None) -> bool:
        """Return whether a fault is on for everybody or for this account."""
        return fault in self.faults or (account is not None and fault in account.faults)

    def new_message_id(self) -> str:
        """Return a PNM id that was not used before."""
        return f"{next(self._messages)}.PNM"

    def new_conversation_id(self) -> str:
        """Return a conversation id that was not used before."""
        return str(next(self._conversations))

    def issue_token(self, account: AccountState, device_id: str) -> str:
        """Return a new access token; links that its device has already are stale now."""
        # Characters that url-encoding changes show who forgets to decode, or does it twice.
        self.tokens_issued += 1
        token = f"synthetic+{account.id}/{self.tokens_issued}=="
        expires = self.clock() + int(self.settings.token_life * 1000)
        self._grants[token] = Grant(account, device_id, expires)
        self._newest[account.id, device_id] = self.tokens_issued
        return token

    def grant(self, token: str) -> Grant | None:
        """Return what a token allows or allowed, or None if it was never issued."""
        return self._grants.get(token)

    def valid(self, grant: Grant) -> bool:
        """Return whether a token still registers links."""
        return grant.expires > self.clock()

    def expire_tokens(self, account: AccountState) -> None:
        """Make every access token of an account worthless."""
        for grant in self._grants.values():
            if grant.account is account:
                grant.expires = 0

    def stale(self, grant: Grant, tokens_then: int) -> bool:
        """Return whether a link, registered after so many tokens, has lost its session."""
        if self.settings.old_token is OldToken.LIVES:
            return False
        newest = self._newest[grant.account.id, grant.device_id]
        return newest > tokens_then or not self.valid(grant)
