"""What is done to the store from time to time, beside its daily work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from xyfast.logs import logger, say
from xyfast.store import Store

__all__ = ["sweep", "watch"]

log = logger(__name__)


async def sweep(store: Store, every: float) -> None:
    """Let the store forget what is old, every so many seconds, without end."""
    while True:
        await asyncio.sleep(every)
        try:
            gone = 1
            while gone:
                gone = await store.sweep()
                await asyncio.sleep(0)
        except Exception as error:
            say(log, logging.WARNING, "store was not swept", error=error)


async def watch(store: Store, every: float, found: Callable[[Collection[str]], None]) -> None:
    """Look for accounts with messages that another process lets wait again, without end."""
    failed = False
    while True:
        await asyncio.sleep(every)
        try:
            revived = await store.revived()
        except Exception as error:
            if not failed:
                say(log, logging.WARNING, "revived messages were not looked for", error=error)
            failed = True
        else:
            failed = False
            if revived:
                found(revived)
