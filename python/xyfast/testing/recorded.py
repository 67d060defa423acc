"""Plays a recording back: what links once brought, to the clients of a fake server."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from xyfast import envelope
from xyfast._core import packb, read_payload
from xyfast.disguise import NEAR, compact
from xyfast.recording import VERSION
from xyfast.testing import samples
from xyfast.testing.samples import Sample
from xyfast.testing.server import FakeServer

__all__ = ["play"]

_RENEWED = re.compile(r"(\d+)\.PNM|(?<!\d)(\d{13})(?!\d)", re.ASCII)


async def play(
    server: FakeServer, path: str | os.PathLike[str], /, *, timeout: float = 10.0
) -> list[str]:
    """Do what a recording says, line by line, and return the ids of what was pushed.

    The accounts of the recording become those of ``server``, in the order of their first lines.
    Every line waits, ``timeout`` seconds at most, until its account has a link; it does not wait
    as long as it did when it was recorded. Times move so that every push is made now; message
    ids become new ones, the same for the same, so that a store which has heard the recording
    before takes it for news. Nothing of it is put into histories.

    Raises `ValueError` naming the line for what is no recording, and for more accounts than the
    server has, before anything is done; `OSError` if the file cannot be read; `TimeoutError`.
    """
    player = _Player(server, timeout)
    pushed: list[str] = []
    for line in _lines(path, player):
        pushed += await player.do(line)
    return pushed


def _lines(path: str | os.PathLike[str], player: _Player) -> list[dict[str, Any]]:
    """All lines but the first of each run, after a look at each."""
    found = []
    with open(path, encoding="utf-8") as file:
        texts = file.readlines()
    for number, text in enumerate(texts, 1):
        try:
            line = _read(text, first=number == 1)
            if line is not None:
                player.meet(line["account"])
                found.append(line)
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}, line {number}: {error}") from None
    if not texts:
        raise ValueError(f"{os.fspath(path)} is empty, so it is no recording")
    return found


def _read(text: str, *, first: bool) -> dict[str, Any] | None:
    """One line; None for a first line of version 1."""
    line = json.loads(text)
    if not isinstance(line, dict) or (first and "recording" not in line):
        raise ValueError("is not a recording")
    if "recording" in line:
        if line["recording"] != VERSION:
            raise ValueError(f"version {line['recording']!r} is not known, only {VERSION} is")
        return None
    entries = line.get("entries", [])
    good = isinstance(line.get("account"), str) and isinstance(line.get("time", 0), int)
    if not (good and isinstance(entries, list) and all(map(_is_entry, entries))):
        raise ValueError("is no line of a recording")
    return line


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and bool(entry.keys() & {"tree", "json", "bad"})


class _Player:
    def __init__(self, server: FakeServer, timeout: float) -> None:
        self._server = server
        self._timeout = timeout
        self._accounts: dict[str, str] = {}
        self._messages: dict[str, str] = {}
        self._around = 0

    def meet(self, recorded: str) -> None:
        """Choose the account that one of the recording becomes."""
        if recorded in self._accounts:
            return
        if len(self._accounts) == len(self._server.accounts):
            raise ValueError(f"one account more than the {len(self._accounts)} of the server")
        self._accounts[recorded] = self._server.accounts[len(self._accounts)]

    async def do(self, line: dict[str, Any]) -> Sequence[str]:
        server, account = self._server, self._accounts[line["account"]]
        await server.wait(partial(server.links, account), self._timeout)
        if "closed" in line:
            await self._end_link(account, line["closed"])
        if "kick" in line:
            server.kick(account, line["kick"])
        if line.get("gap"):
            server.announce_gap(account)
        if not line.get("entries"):
            return ()
        self._around = line.get("time", 0)
        batch = [self._sample(entry, account) for entry in line["entries"]]
        return server.push(account, batch, lwp=line.get("lwp", "/s/sync"))

    async def _end_link(self, account: str, code: int | None) -> None:
        """End the link, and wait for the next one."""
        registrations = self._server.ledger(account).registrations
        before = len(registrations)
        if code is not None and 1000 <= code < 5000:
            self._server.close_links(account, code)
        else:
            self._server.reset(account)
        await self._server.wait(lambda: len(registrations) > before, self._timeout)

    def _sample(self, entry: dict[str, Any], account: str) -> Sample:
        object_type = entry.get("type") or 40000
        if "bad" in entry:
            bad = samples.bad_base64() if entry["bad"] == "base64" else samples.bad_msgpack()
            return replace(bad, object_type=object_type)
        form = "json" if "json" in entry else "tree"
        text = _RENEWED.sub(self._renewed, compact(entry[form]))
        data = text.encode() if form == "json" else packb(_wired(json.loads(text)))
        payload = base64.b64encode(data).decode()
        facts = envelope.read(read_payload(payload).tree, account)
        name = "" if facts.kind == "marker" else facts.message_id or ""
        return Sample(payload, name, object_type)

    def _renewed(self, found: re.Match[str]) -> str:
        message, number = found.groups()
        if message is not None:
            if found[0] not in self._messages:
                self._messages[found[0]] = self._server.new_message_id()
            return self._messages[found[0]]
        if number in self._accounts:
            return self._accounts[number]
        past = self._around - int(number)
        return str(self._server.clock() - past) if abs(past) < NEAR else found[0]


def _wired(tree: Any) -> Any:
    """A tree as the wire has it, where maps have numbers for keys that are digits in ours."""
    if isinstance(tree, dict):
        return {int(k) if k.isdigit() else k: _wired(each) for k, each in tree.items()}
    return [_wired(each) for each in tree] if isinstance(tree, list) else tree
