"""A bot in a process of its own, seen from outside: what it wrote, and what it logged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from world import ME
from xyfast.store import SqliteStore
from xyfast.testing import FakeServer

__all__ = ["Bot", "acquaint"]

PROCESS = Path(__file__).with_name("process.py")
PATIENCE = 60.0
"""Seconds after which something that must happen is taken not to happen."""


class Bot:
    """One account's bot, started again and again on the same store.

    ``options`` go to its process, ``settings`` are those of its client. Whatever still runs at
    the end is killed.
    """

    def __init__(self, server: FakeServer, folder: Path, **settings: Any) -> None:
        self.server = server
        self.folder = folder
        self.store = folder / "x.db"
        self.gate = folder / "gate"
        self._log = folder / "handled.jsonl"
        self._errors = folder / "stderr.txt"
        self._notes: list[dict[str, Any]] = []
        self._read = 0
        self._processes: list[asyncio.subprocess.Process] = []
        self._settings = {
            "url": server.url,
            "token_url": server.token_url,
            "heartbeat": 0.2,
            "heartbeat_timeout": 1.0,
            "backoff_scale": 0.02,
            "token_retry": 0.1,
            "store_retry": 0.05,
            **settings,
        }

    async def __aenter__(self) -> Bot:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def start(self, handler: str = "brief", **options: Any) -> asyncio.subprocess.Process:
        """Start a process whose handlers do what `process.Bot` has a method for."""
        options |= {
            "handler": handler,
            "store": str(self.store),
            "gate": str(self.gate),
            "log": str(self._log),
            "cookies": self.server.cookies(ME),
            "settings": self._settings,
        }
        with self._errors.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(PROCESS), json.dumps(options), stderr=errors
            )
        self._processes.append(process)
        return process

    async def connected(self, handler: str = "brief", **options: Any) -> asyncio.subprocess.Process:
        """Start a process and wait until it has a link."""
        links = len(self.server.ledger(ME).registrations)
        process = await self.start(handler, **options)
        await self.until(lambda: len(self.server.ledger(ME).registrations) > links)
        return process

    async def until(self, condition: Any) -> None:
        """Wait for something that must happen."""
        try:
            await self.server.wait(condition, PATIENCE)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.errors()[-4000:]}") from None

    async def stop(self, process: asyncio.subprocess.Process) -> None:
        """End a process as a supervisor would; it must end well."""
        process.terminate()
        assert await process.wait() == 0, self.errors()

    def errors(self) -> str:
        """What the processes wrote to standard error."""
        return self._errors.read_text() if self._errors.exists() else ""

    def notes(self, what: str | None = None) -> list[dict[str, Any]]:
        """What the processes wrote down, all of it or one kind."""
        with contextlib.suppress(FileNotFoundError), self._log.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._notes.append(json.loads(line))
        return [note for note in self._notes if what in (None, note["what"])]

    def keys(self, what: str = "handled") -> list[str]:
        """The keys of messages, as often as their handlers started or ended."""
        return [note["key"] for note in self.notes(what)]

    def handled(self, keys: Any) -> bool:
        """Whether all of these messages were handled."""
        return set(keys) <= set(self.keys())


async def acquaint(server: FakeServer, path: Path) -> None:
    """Have the account known: a new one is told nothing of what was before its first link."""
    store = SqliteStore(path)
    await store.open()
    await store.commit(received={ME: server.clock() * 1000})
    await store.close()
