"""How one account gets in: its cookies, the tokens that they give, and new cookies by the user."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from xyfast.account import Account, format_cookies, make_device_id
from xyfast.config import Settings
from xyfast.errors import ConfigError, LoginRequired, StateError, TokenError
from xyfast.events import AskCredentials, Event, NewCredentials, TokenFailed, TokenReady
from xyfast.gates import SharedGate, Turn
from xyfast.logs import logger, say
from xyfast.secret import Secret, reveal
from xyfast.tasks import Spawn
from xyfast.tokens import Token, TokenProvider
from xyfast.troubles import LINKS, TOKENS, Remedy, Row, raised

__all__ = ["CredentialSource", "Login"]

log = logger(__name__)

_TRIES = 5  # HTTP calls that a token may take


class CredentialSource(Protocol):
    """The user's hook for new credentials."""

    async def credentials(
        self, account: Account, reason: str, *, human: bool, url: str | None
    ) -> Account | None:
        """Give the account with new cookies, or None if there are none yet.

        Called once when dials have failed too often (``human`` false), and once when the
        platform waits for a human (``human`` true), who may find what to do at ``url``.
        `Client.replace_credentials` does the same at any later time.
        """
        ...


class Login:
    """The account as it is by now, and its token.

    ``gate`` is where token calls wait for their turn, ``feed`` tells the session what came of
    one, ``changed`` asks for cookies to be saved, ``trouble`` logs, ``spawn`` starts a task that
    its owner awaits or cancels.
    """

    def __init__(
        self,
        account: Account,
        settings: Settings,
        tokens: TokenProvider,
        source: CredentialSource | None,
        gate: SharedGate,
        *,
        feed: Callable[[Event], None],
        changed: Callable[[], None],
        trouble: Callable[[Row, str], None],
        spawn: Spawn,
    ) -> None:
        self.account = account
        self.token: Token | None = None
        self._settings = settings
        self._tokens = tokens
        self._source = source
        self._gate = gate
        self._feed = feed
        self._changed = changed
        self._trouble = trouble
        self._spawn = spawn
        self._given = _digest(account)
        self._fetching: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._ask_after = 0.0

    def load(self, saved: dict[str, Any], dice: random.Random) -> None:
        """Take up what an earlier run left: device id, and cookies unless the user gave others."""
        if saved.get("given") == self._given:
            self.account = replace(self.account, cookies=saved["cookies"])
        device_id = self.account.device_id or Secret(
            saved.get("device_id") or make_device_id(self.account.id, dice)
        )
        self.account = replace(self.account, device_id=device_id)

    def saved(self) -> dict[str, Any]:
        """What the next run takes up, as JSON can hold it: a secret."""
        account = self.account
        return {
            "device_id": reveal(account.device_id),
            "cookies": {name: value.reveal() for name, value in account.cookies.items()},
            "given": self._given,
        }

    # --- tokens ---------------------------------------------------------------------

    def fetch(self) -> None:
        """Get a token with the cookies of now; `TokenReady` or `TokenFailed` is fed."""
        self.give_up()
        self._fetching = self._spawn(self._fetch())

    def give_up(self) -> None:
        """Nobody waits for a token any more."""
        if self._fetching is not None:
            self._fetching.cancel()
            self._fetching = None

    async def _fetch(self) -> None:
        bound = _TRIES * self._settings.token_timeout
        async with self._gate.turn() as turn:
            event: Event
            try:
                call = self._tokens.token(self.account, self._keep)
                token = await asyncio.wait_for(call, bound)
                event = TokenReady(token.lifetime)
            except asyncio.TimeoutError:
                event = self._failed(turn, LINKS["network"], f"no token within {bound:g} s")
            except (Exception, asyncio.CancelledError) as error:
                if self._fetching is not asyncio.current_task():
                    return  # it is we who gave it up
                row, reason = raised(error), str(error)
                if not isinstance(error, (TokenError, ConfigError)):  # its words may hold secrets
                    account_id, sentence = self.account.id, "token provider raised"
                    reason = f"the {sentence} {type(error).__name__}"
                    say(log, logging.ERROR, sentence, error=error, account=account_id)
                url, told = None, reason
                if isinstance(error, LoginRequired):  # the change of state tells its words
                    url, told = error.url, error.code or reason
                event = self._failed(turn, row, reason, url, told)
            else:
                turn.reached()
                self.token = token
        self._feed(event)

    def _failed(
        self, turn: Turn, row: Row, reason: str, url: str | None = None, told: str | None = None
    ) -> TokenFailed:
        if row is LINKS["network"]:
            turn.missed(row.backoff)
        elif row.name in TOKENS:
            turn.reached()
        self._trouble(row, told or reason)
        return TokenFailed(reason, row.backoff, human=row.remedy is Remedy.HUMAN, url=url)

    def _keep(self, account: Account) -> None:
        self.account = account
        self._changed()

    # --- cookies --------------------------------------------------------------------

    def ask(self, action: AskCredentials) -> None:
        """Ask the user's hook for new cookies, unless it is being asked."""
        if self._asking is None or self._asking.done():
            self._asking = self._spawn(self._ask(action))

    async def _ask(self, action: AskCredentials) -> None:
        """An answer that comes too soon after the last one waits."""
        if self._source is None:
            return
        try:
            account = await self._source.credentials(
                self.account, action.reason, human=action.human, url=action.url
            )
        except Exception as error:
            account_id = self.account.id
            say(log, logging.ERROR, "credential source raised", error=error, account=account_id)
            return
        if account is None or _digest(account) == self._given:
            return  # nothing new: the platform would say the same again
        now = asyncio.get_running_loop().time
        await asyncio.sleep(self._ask_after - now())
        self._ask_after = now() + self._settings.token_retry
        self.replace(account)

    def replace(self, account: Account) -> None:
        """Go on with new cookies; device id and proxy stay unless there are others."""
        kept = self.account
        if account.id != kept.id:
            raise StateError(f"credentials of {account.id} given for {kept.id}")
        self._given = _digest(account)
        device_id, proxy = account.device_id or kept.device_id, account.proxy or kept.proxy
        self._keep(replace(account, device_id=device_id, proxy=proxy))
        self._feed(NewCredentials())


def _digest(account: Account) -> str:
    """Tells whether the user gave other cookies than last time."""
    return hashlib.blake2b(format_cookies(account.cookies).encode(), digest_size=16).hexdigest()
