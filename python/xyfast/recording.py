"""What links bring, written to a file that the fake server can play back.

A recording is a text file in UTF-8, one JSON object a line. Version 1::

    {"recording": 1, "texts": false}
    {"at": 0.4, "account": "9000000000001", "time": 1767225601000, "lwp": "/s/sync",
     "entries": [{"type": 40000, "tree": {...}}, {"type": 370000, "json": {...}},
                 {"type": 40000, "bad": "msgpack"}]}
    {"at": 2.0, "account": "9000000000001", "time": 1767225603000, "gap": true}
    {"at": 9.5, "account": "9000000000001", "closed": 1000}
    {"at": 9.9, "account": "9000000000001", "kick": "/push/kickout"}

The first line says the version, and whether texts were kept; every run that wrote to the file
began with one. ``at`` is in seconds since then, ``time`` the server's, in milliseconds. Of an
entry ``tree`` was MessagePack and ``json`` was JSON; of one that could not be decoded only the
step that failed is kept. Nothing else of a frame is: no headers, and of answers only the
packages that they carry.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from xyfast._core import Closed, Frame, Opened
from xyfast.disguise import Disguise, compact
from xyfast.errors import ConfigError
from xyfast.events import Dial
from xyfast.logs import logger, say
from xyfast.reading import at, identifier, mapping, number
from xyfast.transport import LinkEvent, Transport

__all__ = ["VERSION", "Recorder"]

log = logger(__name__)

VERSION = 1
_HALVES = "backslashreplace"
_LWP = re.compile(r"/(s|push)(/[A-Za-z_]{1,32}){1,2}")


class Recorder:
    """A transport that writes down what another one brings.

    ::

        settings = Settings()
        recorder = Recorder("traffic.jsonl", RustTransport(settings))
        client = Client(store="xyfast.db", settings=settings, transport=recorder)

    Ids, names and, unless ``texts`` is true, what people wrote have stand-ins in the file, which
    is made with mode 0600 and added to if it is there. At ``most`` bytes, and when it cannot be
    written, recording ends with a line in the log; the client goes on. Raises `ConfigError` when
    the client starts if the file cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        transport: Transport,
        /,
        *,
        texts: bool = False,
        most: int = 64 * 1024 * 1024,
    ) -> None:
        self._path = path
        self._transport = transport
        self._texts = texts
        self._most = most
        self._disguise = Disguise(texts=texts)
        self._owners: dict[int, str] = {}
        self._file: TextIO | None = None
        self._began = 0.0
        self._sink: Callable[[Sequence[LinkEvent]], None] = lambda events: None

    def start(self, sink: Callable[[Sequence[LinkEvent]], None]) -> None:
        """See `Transport.start`."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            path = os.fspath(self._path)
            raise ConfigError(f"recording {path!r} cannot be opened: {error.strerror}") from None
        # A peer may have written half a surrogate pair; its escape is JSON.
        self._file = open(descriptor, "w", encoding="utf-8", errors=_HALVES)  # noqa: SIM115
        self._began = time.monotonic()
        self._sink = sink
        self._write([{"recording": VERSION, "texts": self._texts}])
        self._transport.start(self._taken)

    def dial(
        self, policy: Dial, headers: Sequence[tuple[str, str]], register: str, proxy: str | None
    ) -> None:
        """See `Transport.dial`."""
        self._transport.dial(policy, headers, register, proxy)

    def ack(self, frames: Sequence[Frame]) -> int:
        """See `Transport.ack`."""
        return self._transport.ack(frames)

    def send(self, link: int, text: str) -> bool:
        """See `Transport.send`."""
        return self._transport.send(link, text)

    def stats(self, link: int) -> Mapping[str, float] | None:
        """See `Transport.stats`."""
        return self._transport.stats(link)

    def close(self, link: int) -> None:
        """See `Transport.close`."""
        self._transport.close(link)

    def pause(self) -> None:
        """See `Transport.pause`."""
        self._transport.pause()

    def resume(self) -> None:
        """See `Transport.resume`."""
        self._transport.resume()

    def stop(self) -> None:
        """See `Transport.stop`."""
        self._transport.stop()
        self._end()

    # --- the file -------------------------------------------------------------------

    def _taken(self, events: Sequence[LinkEvent]) -> None:
        if self._file is not None:
            try:
                self._write([line for event in events if (line := self._line(event)) is not None])
            except Exception as error:
                say(log, logging.ERROR, "recording ended, it cannot be written", error=error)
                self._end()
        self._sink(events)

    def _write(self, lines: Sequence[dict[str, Any]]) -> None:
        if self._file is None or not lines:
            return
        now = round(time.monotonic() - self._began, 3)
        text = "".join(
            compact(line if "recording" in line else {"at": now, **line}) + "\n" for line in lines
        )
        if os.fstat(self._file.fileno()).st_size + len(text.encode(errors=_HALVES)) > self._most:
            say(log, logging.WARNING, "recording ended, it is full", most=self._most)
            self._end()
            return
        self._file.write(text)
        self._file.flush()

    def _end(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                say(log, logging.ERROR, "recording not closed", error=error)

    def _line(self, event: LinkEvent) -> dict[str, Any] | None:
        if isinstance(event, Opened):
            registered = identifier(at(json.loads(event.answer.headers), "reg-uid"))
            self._owners[event.link] = self._disguise.account(registered or "")
            return None
        owner = self._owners.get(event.link)
        if owner is None:
            return None
        line: dict[str, Any] = {"account": owner}
        match event:
            case Closed():
                del self._owners[event.link]
                # One that we closed ourselves says nothing of the server.
                return None if event.trouble == "closed" else {**line, "closed": event.code}
            case Frame(kind="kick" | "session_removed"):
                return {**line, "kick": event.lwp}
            case Frame(payloads=payloads, resync=gap) if payloads or gap:
                around = event.timestamp or int(time.time() * 1000)
                line |= {"time": around}
                if gap:
                    line["gap"] = True
                if payloads:
                    line["lwp"] = self._lwp(event)
                    line["entries"] = self._entries(event, around)
                return line
        return None

    def _lwp(self, frame: Frame) -> str:
        known = frame.lwp is not None and _LWP.fullmatch(frame.lwp)
        return frame.lwp if known and frame.lwp is not None else "/s/sync"

    def _entries(self, frame: Frame, around: int) -> list[dict[str, Any]]:
        data = at(json.loads(frame.body or "null"), "syncPushPackage", "data")
        types = [number(mapping(each).get("objectType")) for each in data or ()]
        entries = []
        for index, payload in enumerate(frame.payloads):
            entry: dict[str, Any] = {"type": types[index] if index < len(types) else None}
            if payload.stage is not None:
                entry["bad"] = payload.stage
            else:
                form = "json" if _is_json(payload.text or "") else "tree"
                entry[form] = self._disguise.tree(payload.tree, around)
            entries.append(entry)
        return entries


def _is_json(payload: str) -> bool:
    # Base64 of "{" begins so; a MessagePack map never does (protocol, section 7).
    return payload.lstrip().startswith(("{", "e"))
