"""Canaries: values that nothing may show, in no encoding.

What is searched for is made here, with nothing of the package.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus, unquote

import pytest

from xyfast import Redaction, Secret
from xyfast.instrumentation import Fact, Hooks

WORDS = ("synthetic",)
"""Secrets of tests that are words of other things, too."""

SHORTEST = 8
"""Characters; what is shorter may stand anywhere by chance."""


def encodings(value: str) -> set[str]:
    """``value`` in all the ways in which it may be shown."""
    plain = {value, unquote(value)}
    for each in tuple(plain):
        plain |= {quote(each), quote(each, safe=""), quote_plus(each), _low(quote(each, safe=""))}
        plain |= {quote(quote(each, safe=""), safe="")}
    for each in tuple(plain):
        for ascii_only in (True, False):
            escaped = json.dumps(each, ensure_ascii=ascii_only)[1:-1]
            plain |= {escaped, json.dumps(escaped)[1:-1]}
        plain |= {repr(each)[1:-1], repr(each.encode())[2:-1]}
    return plain | {run for each in plain for run in _base64(each)}


def _low(text: str) -> str:
    """Percent-encoded in lower case, as some libraries do."""
    return "".join(f"%{part[:2].lower()}{part[2:]}" for part in f"  {text}".split("%"))[3:]


def _base64(text: str) -> set[str]:
    """What base64 of any text with ``text`` in it has in it, at each of three places.

    The characters that share bits with what stands around are left out.
    """
    found = set()
    for before in range(3):
        data = bytes(before) + text.encode()
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            run = encode(data).decode().rstrip("=")
            first = -(-before * 8 // 6)
            last = len(data) * 8 // 6
            found.add(run[first:last])
    return {run for run in found if len(run) >= SHORTEST}


def found(text: str, canaries: Iterable[str]) -> set[str]:
    """Those of ``canaries`` that ``text`` shows."""
    return {value for value in canaries if any(each in text for each in encodings(value))}


class Cage:
    """Canaries, and what is searched for them; ``where`` names each text."""

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.texts: list[tuple[str, str]] = []

    def keep(self, *values: str | None) -> None:
        """These are canaries from now on."""
        self.values |= {value for value in values if value and len(value) >= SHORTEST}

    def note(self, where: str, text: object) -> None:
        """Something was shown."""
        self.texts.append((where, str(text)))

    def record(self, record: logging.LogRecord) -> None:
        """A log record, in all its parts and as it is written."""
        where = f"log of {record.name}"
        self.note(where, f"{record.__dict__} {record.args!r}")
        self.note(where, logging.Formatter().format(record))

    def fact(self, fact: object) -> None:
        """A fact for observers."""
        self.note(f"fact {type(fact).__name__}", repr(fact))

    def watch(self, patch: pytest.MonkeyPatch, *, bare: bool) -> None:
        """Keep every secret that is made, and note every fact; ``bare``: nothing is redacted."""
        make, tell = Secret.__init__, Hooks.__call__

        def made(secret: Secret, text: str, /, **options: object) -> None:
            make(secret, text, **options)  # type: ignore[arg-type]
            parts = (text,) if secret._parts is None else secret._parts
            self.keep(*(part for part in parts if part not in WORDS))

        def told(hooks: Hooks, fact: Fact) -> None:
            self.fact(fact)
            tell(hooks, fact)

        patch.setattr(Secret, "__init__", made)
        patch.setattr(Hooks, "__call__", told)
        if bare:
            patch.setattr(Redaction, "filter", lambda self, record: True)

    def escaped(self) -> list[str]:
        """Where canaries were shown: the place, and the beginning of the canary."""
        needles = {each: value for value in self.values for each in encodings(value)}
        return [
            f"{where}: {value[:12]}... as {needle[:12]}..."
            for where, text in self.texts
            for needle, value in needles.items()
            if needle in text
        ]


@contextmanager
def listening(hear: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """Have ``hear`` told all that our loggers and that of asyncio say, at DEBUG."""
    handler = logging.Handler()
    handler.emit = hear  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("xyfast", "asyncio")]
    levels = [log.level for log in loggers]
    for log in loggers:
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for log, level in zip(loggers, levels, strict=True):
            log.removeHandler(handler)
            log.setLevel(level)


Encode = Callable[[str], str]


def within(before: str, after: str, encode: Callable[[bytes], bytes]) -> Encode:
    """Base64 of a longer text."""
    return lambda value: encode(f"{before}{value}{after}".encode()).decode()


ENCODERS: dict[str, Encode] = {
    "as it is": str,
    "percent-encoded": lambda value: quote(value, safe=""),
    "percent-encoded in lower case": lambda value: _low(quote(value, safe="")),
    "percent-encoded twice": lambda value: quote(quote(value, safe=""), safe=""),
    "as a form": quote_plus,
    "decoded": unquote,
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON in JSON": lambda value: json.dumps(json.dumps({"a": value}))[1:-1],
    "JSON with other letters": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "repr of bytes": lambda value: repr(value.encode()),
    "base64": within("", "", base64.b64encode),
    "base64 without padding": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    "base64 behind one byte": within("a", "", base64.b64encode),
    "base64 behind two bytes": within("ab", "c", base64.b64encode),
    "base64 for URLs": within('{"q":"', '"}', base64.urlsafe_b64encode),
    "base64, percent-encoded": lambda v: quote(base64.b64encode(v.encode()).decode(), safe=""),
    "base64 of JSON": lambda v: base64.b64encode(json.dumps({"a": v}).encode()).decode(),
}
"""Ways to show a value; each gives a text in which it stands."""
