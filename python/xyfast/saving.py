"""What an account needs to go on, saved whenever it changes, however long the store fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from xyfast.logs import complain, logger
from xyfast.tasks import Spawn

__all__ = ["Saving"]

log = logger(__name__)


class Saving:
    """Saves session material as it is by then, one try at a time.

    ``save()`` does it and may raise whatever a store does, ``retry`` are the seconds until it is
    tried again, ``spawn`` starts a task that its owner awaits or cancels.
    """

    def __init__(
        self,
        account_id: str,
        save: Callable[[], Awaitable[None]],
        *,
        retry: float,
        spawn: Spawn,
    ) -> None:
        self._account_id = account_id
        self._save = save
        self._retry = retry
        self._spawn = spawn
        self._task: asyncio.Task[None] | None = None
        self._due = False

    @property
    def unsaved(self) -> bool:
        """Whether something has changed and is not saved."""
        return self._task is not None and not self._task.done()

    def begin(self) -> None:
        """Something has changed."""
        self._due = True
        if not self.unsaved:
            self._task = self._spawn(self._run())

    async def wait(self) -> None:
        """Wait until all that has changed is saved."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def end(self) -> None:
        """Try for the last time: the tasks of the account are over."""
        try:
            await self._save()
        except Exception as error:
            sentence = "session material not saved"
            complain(log, logging.ERROR, sentence, self._account_id, error)

    async def _run(self) -> None:
        told = False
        while self._due:
            self._due = False
            try:
                await self._save()
            except Exception as error:
                self._due = True
                if not told:
                    sentence = "session material not saved yet"
                    complain(log, logging.WARNING, sentence, self._account_id, error)
                told = True
                await asyncio.sleep(self._retry)
