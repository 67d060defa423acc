"""What the store keeps of a durable message, and when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from xyfast.errors import SendRefused, SendUnknown, StoreError, XyfastError
from xyfast.logs import logger, say
from xyfast.messages import Sent
from xyfast.outbox.letters import Letter
from xyfast.store import Posted, Store

__all__ = ["Durable"]

log = logger(__name__)

_PAUSE = 1.0  # seconds until a store that failed is tried again


class Durable:
    """Durable messages in the store: before they are written, when they are, and their end."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def settle(self, letter: Letter, deliver: Callable[[Letter], Awaitable[Sent]]) -> Sent:
        """Deliver and record.

        Raises `SendRefused`, `SendUnknown` if it will never be known, and `StoreError` if it is
        not kept.
        """
        if not letter.kept:
            letter.post = await self._keep(letter.post)
        post = letter.post
        if post.state == "sent":  # asked for by this name before
            return Sent(message_id=post.message_id, uuid=post.uuid, time=post.time)
        if post.state == "refused":
            raise SendRefused(
                f"account {post.account_id}: what was sent by this name was refused before",
                account_id=post.account_id,
            )
        if post.state == "unknown":
            raise letter.unknown("what was sent by this name was never confirmed")
        try:
            sent = await deliver(letter)
        except SendRefused as error:
            say(log, logging.WARNING, "refused", account=post.account_id, reason=error.error)
            await self._mark(letter, replace(letter.post, state="refused"), error)
            raise
        except SendUnknown as error:
            say(log, logging.WARNING, "never confirmed", account=post.account_id, reason=error)
            await self._mark(letter, replace(letter.post, state="unknown"), error)
            raise
        end = replace(letter.post, state="sent", message_id=sent.message_id, time=sent.time)
        await self._mark(letter, end, sent)
        return sent

    async def mark_out(self, letter: Letter, now: int) -> None:
        """Record that a message is about to be written, at the server's time ``now`` (ms)."""
        await self._mark(letter, replace(letter.post, state="out", time=now))

    async def _keep(self, post: Posted) -> Posted:
        try:
            return await self._store.post(post)
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(f"the store raised {type(error).__name__}") from error

    async def _mark(
        self, letter: Letter, post: Posted, told: Sent | XyfastError | None = None
    ) -> None:
        """Record a state, however long the store fails; nobody waits longer for an outcome."""
        complained = False
        while True:
            try:
                await self._store.mark(
                    post.account_id,
                    post.name,
                    post.state,
                    message_id=post.message_id,
                    time=post.time,
                )
            except Exception as error:  # of whatever store: the message is sent, or is not
                if not complained:
                    reason = error if isinstance(error, XyfastError) else type(error).__name__
                    say(
                        log,
                        logging.ERROR,
                        "not recorded yet",
                        account=post.account_id,
                        reason=reason,
                    )
                complained = True
                if told is not None and not letter.outcome.done():
                    letter.outcome.set_result(told)
                await asyncio.sleep(_PAUSE)
            else:
                letter.post = post
                return
