"""What became of a message without an answer: an echo says so, or the history."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from xyfast import envelope, requests
from xyfast.calls import Calls
from xyfast.config import Settings
from xyfast.errors import RequestError, SendRefused
from xyfast.outbox.letters import Letter, Out
from xyfast.retry import growing
from xyfast.tasks import Spawn

__all__ = ["Lookup"]


class Lookup:
    """Finds the messages of one account that are out; ``spawn`` is that of its `Outbox`."""

    def __init__(
        self,
        account_id: str,
        calls: Calls,
        out: Out,
        settings: Settings,
        *,
        spawn: Spawn,
    ) -> None:
        self._account_id = account_id
        self._calls = calls
        self._out = out
        self._settings = settings
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()

    async def find(self, letter: Letter) -> None:
        """Find a message without an answer in the history, or in an echo.

        Asked twice, since nobody knows how soon history shows what was sent. Raises
        `NotSent` if it is surely not there, `SendUnknown` if the history cannot be read.
        """
        assert letter.wrote is not None
        rest = letter.wrote + self._settings.history_delay - self._loop.time()
        for _ in range(2):
            await asyncio.wait({letter.sent}, timeout=max(rest, 0.0))
            if not letter.sent.done():
                await self._read_history(letter)
            if letter.sent.done():
                return
            rest = self._settings.history_delay
        raise letter.not_sent("the server has not taken it")

    async def _read_history(self, letter: Letter) -> None:
        """Read history until a message is found or surely missing; a durable one has time.

        Raises `SendUnknown`.
        """
        timeout = None if letter.durable else self._settings.request_timeout
        reading = self._spawn(self._search(letter))
        either: set[asyncio.Future[Any]] = {reading, letter.sent}
        try:
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if letter.sent.done():
                return
            if not reading.done():
                raise letter.unknown("no answer came; look at the history before sending it again")
            if (never := reading.result()) is not None:
                raise letter.unknown(f"no answer came, and its history {never}")
        finally:
            reading.cancel()

    async def _search(self, letter: Letter) -> str | None:
        """Offer to `Out.claims` what was said since the message was first written.

        Returns why the server will never tell, if so.
        """
        skew = int(self._settings.clock_skew * 1000)
        cursor, pauses = requests.NEWEST, growing(self._settings.backoff_scale)
        while True:
            build = partial(requests.history, letter.lane, cursor=cursor)
            try:
                body = (await self._calls.ask(build)).body
            except SendRefused as error:
                if error.error == "rejected":
                    return "is refused"
                body = None
            except RequestError:
                body = None
            if not isinstance(body, dict):
                await self._calls.next_link(next(pauses))
                continue
            page = envelope.history(body, self._account_id)
            for facts in page:
                self._out.claims(facts)
            times = [facts.time_ms for facts in page if facts.time_ms is not None]
            assert letter.since is not None
            older = requests.older(body, cursor)
            if letter.sent.done() or older is None or min(times, default=0) < letter.since - skew:
                return None
            if older == cursor:
                return "does not go on"
            cursor = older
