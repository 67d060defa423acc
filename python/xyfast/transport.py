"""Links as the client sees them: a protocol, and the Rust module behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from xyfast._core import Closed, Frame, Invalid, Links, Opened, check_roots
from xyfast.config import Settings
from xyfast.errors import ConfigError
from xyfast.events import Dial

__all__ = ["LinkEvent", "RustTransport", "Transport", "read_roots"]

LinkEvent = Opened | Frame | Invalid | Closed
"""What a link tells: registered, a frame, a frame that is none, over."""

_BURST = 256  # events taken from the mailbox at once, so that the event loop can breathe


class Transport(Protocol):
    """Opens links, writes to them, and tells what they tell."""

    def start(self, sink: Callable[[Sequence[LinkEvent]], None]) -> None:
        """Call ``sink`` from the running event loop with every batch of events."""
        ...

    def dial(
        self, policy: Dial, headers: Sequence[tuple[str, str]], register: str, proxy: str | None
    ) -> None:
        """Open link ``policy.link`` and register it with the frame ``register``.

        ``proxy`` is the URL of what it goes through, None for the straight way. Answers with
        exactly one `Opened` or `Closed`; every link ends in one `Closed`.
        """
        ...

    def ack(self, frames: Sequence[Frame]) -> int:
        """Acknowledge pushes to their links; returns how many acks were written."""
        ...

    def send(self, link: int, text: str) -> bool:
        """Write one text frame; False if the link is not open."""
        ...

    def stats(self, link: int) -> Mapping[str, float] | None:
        """The counters of a link that is open: ``rtt``, ``beats`` and ``good`` of `Links.stats`.

        None if it is not open, or nothing is known.
        """
        ...

    def close(self, link: int) -> None:
        """Close a link with code 1000; nothing happens if it is over."""
        ...

    def pause(self) -> None:
        """Leave further events where they are, within the mailbox's bounds."""
        ...

    def resume(self) -> None:
        """Undo `pause`."""
        ...

    def stop(self) -> None:
        """End all links at once and tell nothing more."""
        ...


class RustTransport:
    """`Links` of the Rust module, watched by the running event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._roots = read_roots(settings)
        self._links = Links()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sink: Callable[[Sequence[LinkEvent]], None] = lambda events: None
        self._paused = False

    def start(self, sink: Callable[[Sequence[LinkEvent]], None]) -> None:
        """See `Transport.start`."""
        self._loop = asyncio.get_running_loop()
        self._sink = sink
        self._loop.add_reader(self._links.fileno(), self._readable)

    def dial(
        self,
        policy: Dial,
        headers: Sequence[tuple[str, str]],
        register: str | None,
        proxy: str | None,
    ) -> None:
        """See `Transport.dial`; without ``register`` the link shakes hands and closes itself."""
        settings = self._settings
        self._links.dial(
            policy.link,
            settings.url,
            headers=headers,
            register=register,
            heartbeat=policy.heartbeat,
            timeout=policy.timeout,
            misses=policy.misses,
            open_timeout=settings.open_timeout,
            close_timeout=settings.close_timeout,
            max_message=settings.max_message,
            max_frame=settings.max_frame,
            max_pushes=settings.mailbox_frames,
            max_bytes=settings.mailbox_bytes,
            allow_plain=settings.allow_plain,
            roots=self._roots,
            proxy=proxy,
        )

    def ack(self, frames: Sequence[Frame]) -> int:
        """See `Transport.ack`."""
        return self._links.ack(frames)

    def send(self, link: int, text: str) -> bool:
        """See `Transport.send`."""
        return self._links.send(link, text)

    def stats(self, link: int) -> Mapping[str, float] | None:
        """See `Transport.stats`."""
        return self._links.stats(link)

    def close(self, link: int) -> None:
        """See `Transport.close`."""
        self._links.close(link)

    def pause(self) -> None:
        """See `Transport.pause`."""
        if self._loop is not None and not self._paused:
            self._paused = True
            self._loop.remove_reader(self._links.fileno())

    def resume(self) -> None:
        """See `Transport.resume`."""
        if self._loop is not None and self._paused:
            self._paused = False
            self._loop.add_reader(self._links.fileno(), self._readable)

    def stop(self) -> None:
        """See `Transport.stop`."""
        if self._loop is not None:
            self._loop.remove_reader(self._links.fileno())
            self._loop = None
        self._links.shutdown()

    def _readable(self) -> None:
        # Heartbeats' answers, and half of a frame, are reason to turn and nothing to tell.
        if events := self._links.drain(_BURST):
            self._sink(events)


def read_roots(settings: Settings) -> str | None:
    """Read the PEM text of `Settings.roots`; raises `ConfigError` if it is of no use."""
    if settings.roots is None:
        return None
    try:
        pem = Path(settings.roots).read_text("utf-8")
        check_roots(pem)
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        why = "is not PEM, which is a text"
    except ConfigError as error:
        why = str(error)
    else:
        return pem
    raise ConfigError(f"Settings.roots {settings.roots!r} {why}")
