"""Commands of ours on a terminal: what it shows, and how it is left."""

from __future__ import annotations

import asyncio
import codecs
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

PATIENCE = 30.0  # seconds within which whatever is not stuck has happened

_MAIN = "from xyfast.__main__ import main; sys.exit(main(sys.argv[1:]))"
# The terminal becomes that of the process: Ctrl-C and other sizes are signals to it.
_BEGIN = "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
_PIECE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|([^\x1b]+)")


class Terminal:
    """A terminal with a command on it."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._master, self._slave = pty.openpty()
        self.resize(*size)
        self.before = self.modes()
        self.written = ""
        """All that it was sent."""
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._news = asyncio.Event()
        self.process: asyncio.subprocess.Process

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def modes(self) -> Any:
        return termios.tcgetattr(self._slave)

    async def start(self, *arguments: str, program: str, **environ: str) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _BEGIN + program, *arguments),
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", **environ},
        )
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def _read(self) -> None:
        self.written += self._text.decode(os.read(self._master, 65536))
        self._news.set()

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    @property
    def screen(self) -> list[str]:
        """The lines that it shows, without colours; only what we draw is understood."""
        rows: dict[int, str] = {}
        row = 1
        for value, kind, text in _PIECE.findall(self.written):
            if kind == "H":
                row = int(value.split(";")[0])
            elif kind == "J":
                rows = {at: line for at, line in rows.items() if at < row}
            elif kind == "K":
                rows[row] = ""
            elif text:
                rows[row] = rows.get(row, "") + text
            elif value in ("?1049h", "?1049l"):
                rows = {}
        return [rows.get(at, "") for at in range(1, max(rows, default=0) + 1)]

    async def until(self, wanted: Callable[[Terminal], object]) -> None:
        """Wait until something is true of it."""

        async def wait() -> None:
            while not wanted(self):
                self._news.clear()
                await self._news.wait()

        try:
            await asyncio.wait_for(wait(), PATIENCE)
        except asyncio.TimeoutError:
            raise AssertionError("\n".join(self.screen)) from None

    async def shows(self, *words: str) -> None:
        """Wait until all of that is on the screen."""
        await self.until(lambda self: all(word in "\n".join(self.screen) for word in words))

    async def end(self) -> int:
        """The exit code, when it has ended by itself."""
        code = await asyncio.wait_for(self.process.wait(), PATIENCE)
        os.write(self._slave, b"\0")  # when this has been read, so has all that it wrote
        await self.until(lambda self: self.written.endswith("\0"))
        self.written = self.written[:-1]
        return code

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        os.close(self._master)
        os.close(self._slave)


@asynccontextmanager
async def on_terminal(
    *arguments: str, size: tuple[int, int] = (100, 40), program: str = _MAIN, **environ: str
) -> AsyncIterator[Terminal]:
    """``xyfast`` with these arguments, on a terminal of so many columns and lines."""
    terminal = Terminal(size)
    await terminal.start(*arguments, program=program, **environ)
    try:
        yield terminal
    finally:
        await terminal.close()
