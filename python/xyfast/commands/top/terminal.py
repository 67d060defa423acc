"""A terminal as a screen: drawn over as a whole, asked for keys, left as it was."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import socket
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

from xyfast.commands.shared import painted
from xyfast.commands.top.text import Line

__all__ = ["Terminal", "paint"]

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# The other screen, without a cursor, and with lines that do not flow over into the next one:
# what terminals disagree about, how wide it is, stays in its line.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
_REST = 0.05  # seconds in which the rest of a key comes
_SIZE = 80, 24


class Terminal:
    """Standard input and output, which are a terminal, while it is entered.

    However it is left, the terminal is as it was before, also while the process is stopped by
    Ctrl-Z. Signals that end a process are noted in ``ended``.
    """

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._before: list[Any] = []
        self._stop = False
        self._signals: dict[int, Any] = {}
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self.ended: signal.Signals | None = None

    def __enter__(self) -> Terminal:
        self._heard, self._waker = socket.socketpair()
        for each in (self._heard, self._waker):
            each.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in (*_ENDS, signal.SIGTSTP, signal.SIGWINCH):
            self._signals[number] = signal.signal(number, self._signalled)
        try:
            self._show()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        columns, lines = os.get_terminal_size(self._out)
        return columns or _SIZE[0], lines or _SIZE[1]

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines and nothing else; each is as wide as the terminal at most."""
        # What is behind a line goes first: after its last column the cursor still stands in it.
        drawn = [
            f"\x1b[{row};1H\x1b[{'J' if row == len(lines) else '2K'}{paint(line)}"
            for row, line in enumerate(lines, 1)
        ]
        try:
            self._write("".join(drawn))
        except OSError:  # the terminal is gone
            self.ended = signal.SIGHUP

    def wait(self, seconds: float | None) -> str:
        """What was typed, as soon as there is something, a signal came or `wake` was called."""
        found, _, _ = select.select([self._in, self._heard], [], [], seconds)
        if self._heard in found:
            with contextlib.suppress(BlockingIOError):
                self._heard.recv(4096)
        if self._stop:
            self._pause()
        return self._read() if self._in in found else ""

    def wake(self) -> None:
        """End `wait`; for other threads."""
        with contextlib.suppress(OSError):  # it is full, or closed
            self._waker.send(b"\0")

    def _read(self) -> str:
        data = os.read(self._in, 4096)
        if not data:
            self.ended = signal.SIGHUP
        elif data.endswith(b"\x1b") and select.select([self._in], [], [], _REST)[0]:
            data += os.read(self._in, 4096)
        return self._text.decode(data)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTSTP:
            self._stop = True
        elif number != signal.SIGWINCH:
            self.ended = signal.Signals(number)

    def _pause(self) -> None:
        self._hide()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._stop = False
        self._show()

    def _show(self) -> None:
        self._before = termios.tcgetattr(self._in)
        tty.setcbreak(self._in)
        self._write(_ENTER)

    def _hide(self) -> None:
        with contextlib.suppress(OSError):
            self._write(_LEAVE)
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)

    def _close(self) -> None:
        if self._before:
            self._hide()
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        self._heard.close()
        self._waker.close()

    def _write(self, text: str) -> None:
        data = text.encode(sys.stdout.encoding, "replace")
        while data:
            data = data[os.write(self._out, data) :]


def paint(line: Line) -> str:
    """A line with its colours, where people see them."""
    return "".join(text if colour is None else painted(text, colour) for text, colour in line)
