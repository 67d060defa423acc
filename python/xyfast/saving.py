"""What an account needs to go on: where it is, and how it is saved however long that fails."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from xyfast.errors import StoreError
from xyfast.logs import complain, logger
from xyfast.secret import Secret
from xyfast.store import Kept, SecretStore, Store
from xyfast.tasks import Spawn

__all__ = ["Saving", "SessionMaterial"]

log = logger(__name__)


class SessionMaterial:
    """What is secret of an account and what is not, in ``secrets`` and ``store``.

    Without ``secrets`` all of it is in the store; what is there when they are given moves over
    with the first save.
    """

    def __init__(self, account_id: str, store: Store, secrets: SecretStore | None) -> None:
        self._account_id = account_id
        self._store = store
        self._secrets = secrets
        self._kept: Secret | None = None

    async def load(self) -> tuple[Kept, dict[str, Any]]:
        """What the store keeps of the account, and what was saved last.

        Raises `StoreError`.
        """
        kept = await self._store.load(self._account_id)
        saved = {} if kept.session is None else self._read(kept.session)
        if self._secrets is not None:
            self._kept = await self._secrets.load(self._account_id)
            if self._kept is not None:
                # What the store has of it, a later run without ``secrets`` has left.
                saved = self._read(self._kept.reveal()) | saved
        return kept, saved

    async def save_secret(self, secret: dict[str, Any]) -> None:
        """Save in ``secrets``, if there are any, what has changed of it; raises `StoreError`."""
        if self._secrets is None:
            return
        material = Secret(json.dumps(secret), parts=())
        if material != self._kept:
            await self._secrets.save(self._account_id, material)
            self._kept = material

    async def save_rest(self, secret: dict[str, Any], rest: dict[str, Any]) -> None:
        """Save in the store what is not secret, and without ``secrets`` what is.

        What the store held of secrets is gone then: the first time comes after `save_secret`.
        Raises `StoreError`.
        """
        both = secret | rest if self._secrets is None else rest
        await self._store.save_session(self._account_id, json.dumps(both))

    def _read(self, text: str) -> dict[str, Any]:
        try:
            saved: dict[str, Any] = json.loads(text)
        except ValueError:  # which holds the text
            raise StoreError(
                f"the session material of account {self._account_id} is damaged"
            ) from None
        return saved


class Saving:
    """Saves what one place keeps of an account as it is by then, one try at a time.

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
