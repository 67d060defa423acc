"""Bots in files, run as users run them: ``xyfast run`` in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from world import ME, OTHER
from xyfast.testing import FakeServer

ROUTER = """
from xyfast import ChatMessage, Router

router = Router()

@router.on(ChatMessage)
async def answer(message: ChatMessage) -> None:
    await message.reply("WORD " + message.text)
"""
CLIENT = ROUTER.replace("Router", "Client").replace("router", "client")


class Ran:
    """A command in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.err = ""
        assert process.stderr is not None
        self._reading = asyncio.ensure_future(self._read(process.stderr))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.err += line.decode()

    async def end(self, *, number: int | None = None) -> int:
        """Its exit code, after a signal if there is one."""
        if number is not None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 60)
        await self._reading
        return code


class Place:
    """A folder with a bot and its configuration."""

    def __init__(self, folder: Path, server: FakeServer) -> None:
        self.folder = folder
        self.server = server
        self.write("me.cookies", server.cookies(ME))
        self.configure()

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path

    def configure(self, more: str = "") -> None:
        self.write(
            "xyfast.toml",
            f"""
            {more}
            [settings]
            url = "{self.server.url}"
            token_url = "{self.server.token_url}"
            grace = 30
            [[accounts]]
            cookies_file = "me.cookies"
            """,
        )

    @asynccontextmanager
    async def ran(self, *options: str, **environ: str) -> AsyncIterator[Ran]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "xyfast", "run", *options),
            cwd=self.folder,
            env={**os.environ, **environ},
            stderr=asyncio.subprocess.PIPE,
        )
        ran = Ran(process)
        try:
            yield ran
        finally:
            if process.returncode is None:
                process.kill()
            await ran.end()

    async def until(self, condition: Callable[[], object]) -> None:
        await self.server.wait(condition, timeout=60.0)

    async def answers(self, text: str, answer: str, account: str = ME) -> None:
        """Ask, and wait until the newest answer is this one."""
        await self.until(lambda: self.server.links(account))
        self.server.push_text(account, text)
        await self.until(lambda: self.sent[-1:] == [answer])

    @property
    def sent(self) -> list[str]:
        return [each.text for account in (ME, OTHER) for each in self.server.ledger(account).sent]
