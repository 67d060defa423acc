"""Between the client and a store of somebody else's: whatever a call raises is its failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

from xyfast.errors import StoreError
from xyfast.store.material import FileSecretStore, SecretStore
from xyfast.store.memory import MemoryStore
from xyfast.store.rows import Store
from xyfast.store.sealed import EncryptedSecretStore
from xyfast.store.sqlite import SqliteStore

__all__ = ["guarded"]

S = TypeVar("S", bound=Store | SecretStore)


def guarded(store: S) -> S:
    """Give a store that raises `StoreError` where ``store`` raises what is no `Exception`.

    Where something within it was cancelled, a store raises `asyncio.CancelledError` as though
    its caller were; that, or an exception group, would end the task that has called. What
    ends the program is passed on. Our own stores are given back as they are.
    """
    if type(store) in (MemoryStore, SqliteStore, FileSecretStore, EncryptedSecretStore):
        return store
    return cast("S", _Guarded(store))


class _Guarded:
    def __init__(self, store: Store | SecretStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        verb = getattr(self._store, name)

        async def run(*arguments: Any, **options: Any) -> Any:
            return await verb(*arguments, **options)

        async def call(*arguments: Any, **options: Any) -> Any:
            return await _alone(run(*arguments, **options), name)

        return call


async def _alone(work: Coroutine[Any, Any, Any], name: str) -> Any:
    """Await work in a task of its own: its cancellation is another one than ours."""
    task = asyncio.get_running_loop().create_task(work)
    ours: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as reached:
            ours = reached
            task.cancel()
    if ours is not None:
        if not task.cancelled():
            task.exception()  # else asyncio logs it, with whatever its words are
        raise ours
    if task.cancelled():
        raise StoreError(f"{name} was cancelled within the store")
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, (Exception, KeyboardInterrupt, SystemExit)):
        raise error
    raise StoreError(f"{name} raised {type(error).__name__}") from error
