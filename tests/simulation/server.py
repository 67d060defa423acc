"""The platform: the fake server's own parts, without its sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xyfast.account import Account
from xyfast.errors import LoginRequired, TokenError
from xyfast.secret import reveal
from xyfast.testing import ServerSettings, samples
from xyfast.testing.faults import Fault
from xyfast.testing.platform import Platform
from xyfast.testing.samples import Message, Sample
from xyfast.testing.service import Service
from xyfast.testing.sync import Entry, Seat
from xyfast.tokens import Token

__all__ = ["Pushed", "SimServer", "SimTokens"]

EPOCH_MS = 1_767_225_600_000


@dataclass(eq=False, slots=True)
class Pushed:
    """One entry that the server has put into an account's stream."""

    account: str
    id: str
    pts: int
    payload: str
    message: Message | None
    """The chat message, None for a mark or hint."""
    mislaid: bool = False
    """Whether dead links alone were given it while there was another one: it may be late."""
    withheld: frozenset[Any] = frozenset()
    """Links that had told their position by then, and were not given it."""


class SimServer:
    """Platform and service, driven by calls; ``pushed`` holds every entry in its order."""

    def __init__(self, accounts: Sequence[str], settings: ServerSettings) -> None:
        loop = asyncio.get_running_loop()
        self.platform = Platform(accounts, settings, lambda: EPOCH_MS + int(loop.time() * 1000))
        self.service = Service(self.platform)
        self.pushed: dict[str, list[Pushed]] = {account: [] for account in accounts}
        self.by_payload: dict[str, Pushed] = {}
        self.by_id: dict[tuple[str, str], Pushed] = {}
        for account in accounts:
            self._watch_channel(account)

    def message(
        self, account: str, text: str, conversation: str, *, own: bool = False, age_ms: int = 0
    ) -> Message:
        """Make a chat message; ``own`` was typed by the account's owner elsewhere."""
        peer = f"91{conversation}"
        return Message(
            id=self.platform.new_message_id(),
            conversation=conversation,
            sender=account if own else peer,
            peer=peer,
            time=self.platform.clock() - age_ms,
            content=samples.text_content(text),
        )

    def push(self, account: str, entries: Sequence[Message | Sample]) -> None:
        """Push one package; messages are in the history from now on."""
        state = self.platform.accounts[account]
        batch = []
        for entry in entries:
            if isinstance(entry, Message):
                state.remember(entry)
                entry = samples.chat(entry)
            batch.append(entry)
        channel = self.service.channels[account]
        state.ledger.pushed.extend(pushed.id for pushed in channel.push(batch))

    def fault(self, account: str, fault: Fault, on: bool = True) -> None:
        """Switch a standing fault of an account on or off."""
        faults = self.platform.accounts[account].faults
        (faults.add if on else faults.discard)(fault)

    def _watch_channel(self, account: str) -> None:
        channel = self.service.channels[account]
        push, targets = channel.push, channel._targets
        chosen: list[Seat] = []

        def choosing() -> list[Seat]:
            chosen[:] = targets()
            return chosen

        def watched(batch: Sequence[Sample], lwp: str = "/s/sync") -> list[Entry]:
            position = channel.position
            notes = []
            for sample in batch:  # noted before a link can hear of them
                position = max(position + 1, self.platform.clock() * 1000)
                id_ = sample.id or f"entry-{position}"
                note = Pushed(account, id_, position, sample.payload, sample.message)
                self.pushed[account].append(note)
                self.by_id[account, id_] = note
                self.by_payload[sample.payload] = note
                notes.append(note)
            entries = push(batch, lwp)
            withheld = {seat.link for seat in channel.seats if seat.synced and seat not in chosen}
            hearing = [seat for seat in channel.seats if channel._hears(seat)]
            if chosen and all(map(_dead, chosen)) and not all(map(_dead, hearing)):
                for note in notes:
                    note.mislaid = True
            for note in notes:
                note.withheld = frozenset(withheld)
            return entries

        channel.push = watched  # type: ignore[method-assign]
        channel._targets = choosing  # type: ignore[method-assign]


def _dead(seat: Seat) -> bool:
    """Whether nothing that is pushed to a link arrives; the server does not know."""
    wire: Any = seat.link
    return bool(wire.frozen or wire.over or wire.zombie)


class SimTokens:
    """The HTTP side: tokens of the platform, after a while, unless something is wrong.

    ``trouble`` holds, by account, ``"network"``, ``"busy"``, ``"slow"`` or ``"human"``.
    """

    def __init__(
        self, server: SimServer, dice: random.Random, alive: Callable[[], bool], trouble: Any
    ) -> None:
        self._server = server
        self._dice = dice
        self._alive = alive
        self._trouble = trouble

    async def token(self, account: Account, keep: Callable[[Account], None], /) -> Token:
        """See `TokenProvider.token`."""
        trouble = self._trouble.get(account.id)
        await asyncio.sleep(30.0 if trouble == "slow" else self._dice.random() * 0.5)
        if trouble == "network":
            raise TokenError("token call failed: refused", "network")
        if trouble == "busy":
            raise TokenError("token call refused: FAIL_SYS_TRAFFIC_LIMIT", "FAIL_SYS_TRAFFIC_LIMIT")
        state = self._server.platform.accounts[account.id]
        if trouble == "human" or reveal(account.cookies.get("cookie2")) != state.login:
            raise LoginRequired("the platform asks for a human", "FAIL_SYS_USER_VALIDATE")
        assert account.device_id is not None
        value = self._server.platform.issue_token(state, account.device_id.reveal())
        if self._dice.random() < 0.3:
            cookies = {**account.cookies, "_m_h5_tk": state.new_signing_cookie()}
            keep(Account(cookies, account.device_id, account.user_agent, account.name))
        return Token(value, self._server.platform.settings.token_life)
