"""A fake server, clients that are pointed at it, and buyers who write to them."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from xyfast.account import Account
from xyfast.arguments import must_be
from xyfast.client import Client
from xyfast.config import Settings
from xyfast.dispatch import Router
from xyfast.errors import StateError
from xyfast.events import State
from xyfast.instrumentation import Fact, Finished, Hook, Recovered
from xyfast.logs import words_shown
from xyfast.testing.buyer import Buyer
from xyfast.testing.server import FakeServer

__all__ = ["Kit", "fast_settings"]

ACCOUNT = "9000000000001"
PATIENCE = 10.0
"""Seconds that are waited for what should happen at once."""


def fast_settings(server: FakeServer, **changes: Any) -> Settings:
    """Give the settings of a client of ``server`` whose waits are short; ``changes`` are fields.

    Sends are not held back, and links that die are noticed within a second. All else is as by
    default. Raises as `Settings` does.
    """
    values: dict[str, Any] = {
        "url": server.url,
        "token_url": server.token_url,
        "heartbeat": 0.2,
        "heartbeat_timeout": 1.0,
        "backoff_scale": 0.02,
        "token_retry": 0.1,
        "replay_wait": 0.1,
        "open_timeout": 5.0,
        "close_timeout": 1.0,
        "request_timeout": 5.0,
        "send_rate": 1000.0,
        "conversation_rate": 1000.0,
        "history_delay": 0.1,
        "grace": 5.0,
        "retry_wait": 0.01,
    }
    return Settings(**{**values, **changes})


class Kit:
    """What a test of a bot needs; ``server`` is started and closed with it.

    ::

        async with Kit() as kit:
            await kit.start(router)
            assert await kit.buyer().ask("在吗") == "在的"

    ``folder`` is where stores are kept, by default one that is removed at the end. All of it
    belongs to the event loop in which the kit was entered. While it is, the log and the reasons
    of dead letters have the words of what handlers raise.
    """

    def __init__(
        self, server: FakeServer | None = None, *, folder: str | Path | None = None
    ) -> None:
        self.server = FakeServer([ACCOUNT]) if server is None else server
        """The fake server: faults, the ledger, pushes of any kind."""
        self.facts: list[Fact] = []
        """What all clients have told their observers, in order."""
        self._folder = None if folder is None else Path(folder)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ends = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Kit:
        self._loop = asyncio.get_running_loop()
        self._ends.enter_context(words_shown())
        if self._folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="xyfast-kit-")
            self._folder = Path(self._ends.enter_context(temporary))
        await self._ends.enter_async_context(self.server)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._ends.aclose()

    @property
    def store(self) -> Path:
        """The file in which clients keep what they are not told to keep elsewhere."""
        self.check()
        assert self._folder is not None
        return self._folder / "xyfast.db"

    async def start(
        self,
        bot: Router | Callable[[Client], object] | None = None,
        /,
        *,
        accounts: Sequence[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        hooks: Iterable[Hook] = (),
        wait: bool = True,
        **options: Any,
    ) -> Client:
        """Start a client of the server, with its ``accounts`` (by default all of them).

        ``bot`` is a Router with the bot's handlers, or a function that registers them: it is
        given the client before that has accounts. ``settings`` changes `fast_settings`;
        ``options`` are those of `Client`, with `store` where none is named, so that a client that
        is started after another was closed is its next run. Returns once the accounts are
        connected and have caught up; with ``wait=False`` at once, for faults that keep them from
        it. The kit closes what is still running at its end. Raises `ConfigError` for another
        ``bot``, what `Client` and `Client.add` raise, and `TimeoutError`.
        """
        self.check()
        if bot is not None and not callable(bot):
            must_be(Router, "a Router, or a function that is given the Client,", bot=bot)
        caught_up: set[str] = set()

        def watch(fact: Fact) -> None:
            self.facts.append(fact)
            if isinstance(fact, Recovered):
                caught_up.add(fact.account_id)

        options.setdefault("store", self.store)
        if isinstance(bot, Router):
            options["router"] = bot
        client = Client(
            settings=fast_settings(self.server, **(settings or {})),
            hooks=[watch, *hooks],
            **options,
        )
        if callable(bot):
            bot(client)
        await self._ends.enter_async_context(client)
        names = self.server.accounts if accounts is None else accounts
        for name in names:
            await client.add(Account.from_cookies(self.server.cookies(name)))

        def ready() -> bool:
            states = [client.state(name) for name in names]
            return caught_up.issuperset(names) and set(states) <= {State.CONNECTED}

        if wait:
            await self.until(ready)
        return client

    def buyer(self, account: str | None = None, /) -> Buyer:
        """Give a buyer who has a conversation of their own with an account, by default the first.

        What the buyer does reaches the account's clients; what they answer, the buyer.
        """
        self.check()
        return Buyer(self.server, account or self.server.accounts[0], self.until)

    async def handled(self, key: str, /, *, timeout: float = PATIENCE) -> str | None:
        """Wait until the handlers of a message have ended, after all their tries.

        ``key`` is what the methods of `Buyer` return. Returns why it became a dead letter, or
        None if none of them failed. Raises `TimeoutError`.
        """

        def ends() -> list[Finished]:
            return [fact for fact in self.facts if isinstance(fact, Finished) and fact.key == key]

        await self.until(ends, timeout=timeout)
        return ends()[-1].failed

    async def until(self, condition: Callable[[], object], /, *, timeout: float = PATIENCE) -> None:
        """Wait until ``condition()`` is true, as `FakeServer.wait` does.

        Raises `TimeoutError`, which names the dead letters of the kit's clients, since these are
        often the reason.
        """
        self.check()
        try:
            await self.server.wait(condition, timeout)
        except TimeoutError as error:
            failed = [
                fact.failed
                for fact in self.facts
                if isinstance(fact, Finished) and fact.failed is not None
            ]
            if not failed:
                raise
            raise TimeoutError(f"{error}; dead letters: {', '.join(failed)}") from None

    def check(self) -> None:
        """Raise `StateError` unless this is called where the kit can work."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise StateError("the kit is for async tests: no event loop is running") from None
        if self._loop is None:
            raise StateError("the kit was not entered: async with Kit() as kit")
        if loop is not self._loop:
            raise StateError(
                "the kit was entered in another event loop than the test runs in; give "
                "pytest-asyncio one loop scope for both (asyncio_default_fixture_loop_scope "
                "and asyncio_default_test_loop_scope)"
            )
