"""Requests of one account and the answers that belong to them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from xyfast import requests
from xyfast._core import Frame
from xyfast.errors import NotSent, SendRefused, SendUnknown
from xyfast.transport import Transport

__all__ = ["Answer", "Call", "Calls", "headers_of", "verdict"]


class Answer(NamedTuple):
    """An answer, and its headers and body as JSON gives them."""

    frame: Frame
    headers: Any
    body: Any

    def __repr__(self) -> str:
        return f"Answer({self.frame!r})"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was written to ``link``; ``answer`` gives None if that was lost."""

    link: int
    key: str
    answer: asyncio.Future[Frame | None]
    heard: Callable[[Answer], None] | None


class Calls:
    """Sends requests over whatever link the account has, and pairs them by ``mid``.

    ``timeout`` (seconds) bounds the wait for a link and the wait for the answer, each.
    ``clock`` gives seconds since the epoch.
    """

    def __init__(
        self,
        account_id: str,
        transport: Transport,
        timeout: float,
        *,
        clock: Callable[[], float],
        dice: random.Random,
    ) -> None:
        self.losses = 0
        """Links that were lost."""
        self._account_id = account_id
        self._transport = transport
        self._timeout = timeout
        self._clock = clock
        self._mids = requests.Mids(dice)
        self._link: int | None = None
        self._usable = asyncio.Event()
        self._renewed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting: dict[str, Call] = {}
        self._server: tuple[int, float] | None = None

    @property
    def link(self) -> int | None:
        """The link to write to, if there is one."""
        return self._link

    def use(self, link: int | None) -> None:
        """Send over ``link`` from now on; None: wait for the next one."""
        self._link = link
        if link is None:
            self._usable.clear()
        else:
            self._usable.set()
            self._renewed.set_result(None)
            self._renewed = asyncio.get_running_loop().create_future()

    async def next_link(self, timeout: float) -> None:
        """Wait until another link is there to write to, at most ``timeout`` seconds."""
        await asyncio.wait({self._renewed}, timeout=timeout)

    async def ask(
        self, build: Callable[..., str], *, heard: Callable[[Answer], None] | None = None
    ) -> Answer:
        """Send a request and return its answer; see `write` and `read`.

        Raises `NotSent` too, if no link came in time.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        while (call := self.write(build, heard=heard)) is None:
            try:
                left = deadline - asyncio.get_running_loop().time()
                await asyncio.wait_for(self._usable.wait(), max(left, 0.0))
            except asyncio.TimeoutError:
                raise NotSent(
                    f"account {self._account_id}: no link within {self._timeout:g} s",
                    account_id=self._account_id,
                ) from None
        await self.wait(call)
        return self.read(call)

    def write(
        self, build: Callable[..., str], *, heard: Callable[[Answer], None] | None = None
    ) -> Call | None:
        """Write the request that ``build(mid=...)`` makes, or return None if no link is there.

        ``heard(answer)`` is called for a good answer that can be read, before anything that the
        link tells after it. Every call that was written is to be given to `wait`.
        """
        link = self._link
        if link is None:
            return None
        call = self._write(link, build, heard)
        if call is None:
            self.use(None)  # its end has not been told yet
        return call

    async def wait(self, call: Call, *others: asyncio.Future[Any]) -> None:
        """Wait until the answer is there, its link is lost, time is up or another is done."""
        try:
            await asyncio.wait(
                {call.answer, *others},
                timeout=self._timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            del self._waiting[call.key]

    def read(self, call: Call) -> Answer:
        """Return the answer to a call; raises `SendUnknown` or `SendRefused`.

        The first if none came, or one that cannot be read: it says nothing of what is missing.
        """
        if not call.answer.done():
            raise self._unknown(f"no answer came within {self._timeout:g} s")
        frame = call.answer.result()
        if frame is None:
            raise self._unknown("the link was lost before its answer")
        judged = verdict(frame)
        if judged.ok:
            if (answer := _read(frame)) is None:
                raise self._unknown("its answer cannot be read")
            return answer
        raise SendRefused(
            f"account {self._account_id}: refused with code {judged.code}"
            f" ({judged.error}): {judged.reason or 'no reason given'}",
            account_id=self._account_id,
            code=judged.code,
            reason=judged.reason,
            error=judged.error or "server",
        )

    async def beat(self, link: int) -> bool | None:
        """Send a heartbeat beside the link's own; whether its answer is good, None for none."""
        call = self._write(link, requests.heartbeat)
        if call is None:
            return None
        await self.wait(call)
        frame = call.answer.result() if call.answer.done() else None
        return None if frame is None else verdict(frame).ok

    async def answers(self, link: int) -> None:
        """Wait until all that was asked over a link is answered, or it is over."""
        if waiting := {call.answer for call in self._waiting.values() if call.link == link}:
            await asyncio.wait(waiting)

    def answered(self, frame: Frame) -> None:
        """An answer came; one that nobody waits for only tells the time."""
        self.told(requests.server_time(headers_of(frame)))
        call = self._waiting.get(requests.mid_key(frame.mid or ""))
        if call is None or call.answer.done():
            return
        call.answer.set_result(frame)
        if call.heard is not None and verdict(frame).ok and (answer := _read(frame)) is not None:
            call.heard(answer)

    def lost(self, link: int) -> None:
        """A link is over: what it owes an answer will stay unanswered."""
        self.losses += 1
        if link == self._link:
            self.use(None)
        for call in self._waiting.values():
            if call.link == link and not call.answer.done():
                call.answer.set_result(None)

    def opened(self, server_ms: int | None) -> None:
        """A link is registered, and told the server's time (milliseconds) or not.

        What an earlier one told is forgotten: the machine may have slept since, and the loop's
        clock with it.
        """
        self._server = None
        self.told(server_ms)

    def told(self, server_ms: int | None) -> None:
        """The server's clock showed ``server_ms`` (milliseconds) just now, or nothing."""
        if server_ms is not None:
            self._server = (server_ms, asyncio.get_running_loop().time())

    @property
    def timed(self) -> bool:
        """Whether the last link that was opened has told the server's time."""
        return self._server is not None

    def now_ms(self) -> int:
        """What the server's clock shows (milliseconds); ours, which may be wrong, if none is known.

        Known is what the last link that was opened has told.
        """
        if self._server is None:
            return int(self._clock() * 1000)
        told, at = self._server
        return told + int((asyncio.get_running_loop().time() - at) * 1000)

    def new_mid(self) -> str:
        """An id for a request that no other one of this account has."""
        return self._mids.next(self.now_ms())

    def _write(
        self,
        link: int,
        build: Callable[..., str],
        heard: Callable[[Answer], None] | None = None,
    ) -> Call | None:
        mid = self.new_mid()
        if not self._transport.send(link, build(mid=mid)):
            return None
        call = Call(link, requests.mid_key(mid), asyncio.get_running_loop().create_future(), heard)
        self._waiting[call.key] = call
        return call

    def _unknown(self, why: str) -> SendUnknown:
        return SendUnknown(
            f"account {self._account_id}: the request went out, but {why}; look at the "
            "history before sending it again",
            account_id=self._account_id,
        )


def verdict(frame: Frame) -> requests.Verdict:
    """Judge an answer frame; one that cannot be read by its code alone."""
    answer = _read(frame)
    if answer is None:
        return requests.judge(frame.code, None, None)
    return requests.judge(frame.code, answer.headers, answer.body)


def headers_of(frame: Frame) -> Any:
    """The headers of a frame, as JSON gives them; None if they cannot be read."""
    try:
        return _json(frame.headers)
    except ValueError:
        return None


def _read(frame: Frame) -> Answer | None:
    try:
        return Answer(frame, _json(frame.headers), _json(frame.body))
    except ValueError:
        return None


def _json(text: str | None) -> Any:
    """Raises `ValueError` for what is JSON and too much: numbers without an end, deep nesting."""
    try:
        return None if text is None else json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
