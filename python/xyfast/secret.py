"""Texts that must not be shown, and the index of those that the process holds right now.

`redaction` finds them in what is about to be logged: a text is known to it for as long as a
`Secret` of it lives.
"""

from __future__ import annotations

import hmac
import os
import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Final, NoReturn, final, overload

__all__ = ["HIDDEN", "KNOWN", "PERCENT", "Known", "Secret", "reveal", "undone"]

HIDDEN: Final = "<secret>"
"""What is shown in place of a secret."""

PERCENT: Final = re.compile(rb"%[0-9a-fA-F]{2}")
"""One percent-encoded byte."""

# Bytes by which a secret is looked up, and so the shortest that is: what is shorter (`1`,
# `zh_CN`) stands everywhere.
_HEAD: Final = 6
_UNREAD = 100  # changes that wait until somebody looks into the index


def undone(match: re.Match[bytes]) -> bytes:
    """The byte of a ``%XX``."""
    return bytes((int(match[0][1:], 16),))


def _canonical(text: str) -> bytes:
    """A text as the index has it: nothing is percent-encoded, a space is a plus is a space."""
    data = text.encode("utf-8", "surrogatepass")
    while (plain := PERCENT.sub(undone, data)) != data:
        data = plain
    return data.replace(b"+", b" ")


class Known:
    """All texts that living secrets stand for, by their first bytes.

    Secrets come and go on any thread, also while the garbage collector runs: that is only noted
    down, and read when somebody looks.
    """

    def __init__(self) -> None:
        self._changes: deque[tuple[bool, tuple[str, ...]]] = deque()
        self._heads: dict[bytes, bytes | set[bytes]] = {}
        self._again: Counter[bytes] = Counter()  # those that more than one secret stands for
        self._unlock()
        # A child may be forked while another thread of its parent reads.
        os.register_at_fork(after_in_child=self._unlock)

    def _unlock(self) -> None:
        self._lock = threading.RLock()
        self._reading = False

    def add(self, texts: tuple[str, ...]) -> None:
        """Another secret stands for these."""
        self._changes.append((True, texts))
        if len(self._changes) > _UNREAD:
            with self._lock:
                self._read()

    def drop(self, texts: tuple[str, ...]) -> None:
        """One that was added is gone."""
        self._changes.append((False, texts))

    def find(self, data: bytes) -> list[tuple[int, int]]:
        """Where any of them begins and ends in ``data``, whose pluses are spaces."""
        with self._lock:
            self._read()
            heads = self._heads
            if not heads:
                return []
            last = len(data) - _HEAD
            at = [i for i in range(last + 1) if data[i : i + _HEAD] in heads]
            found = []
            for start in at:
                held = heads[data[start : start + _HEAD]]
                for value in (held,) if isinstance(held, bytes) else tuple(held):
                    if data.startswith(value, start):
                        found.append((start, start + len(value)))
        return found

    def _read(self) -> None:
        if self._reading:  # what a finalizer logs that runs meanwhile
            return
        self._reading = True
        try:
            while self._changes:
                comes, texts = self._changes.popleft()
                for value in map(_canonical, texts):
                    if len(value) >= _HEAD:
                        self._come(value) if comes else self._go(value)
        finally:
            self._reading = False

    def _come(self, value: bytes) -> None:
        head = value[:_HEAD]
        held = self._heads.get(head)
        if held == value or (isinstance(held, set) and value in held):
            self._again[value] += 1
        elif held is None:
            self._heads[head] = value
        elif isinstance(held, set):
            held.add(value)
        else:
            self._heads[head] = {held, value}

    def _go(self, value: bytes) -> None:
        if value in self._again:
            self._again[value] -= 1
            if not self._again[value]:
                del self._again[value]
            return
        head = value[:_HEAD]
        held = self._heads[head]
        if isinstance(held, set):
            held.discard(value)
        if not isinstance(held, set) or not held:
            del self._heads[head]


KNOWN: Final = Known()
"""The index of this process."""


@final
class Secret:
    """A text that only `reveal` gives: nothing of it is in ``str``, ``repr`` or ``format``.

    It is no ``str``, so that nothing takes it for one: joining, JSON and pickle refuse it. Two
    are compared in constant time, and one is never equal to a ``str``. While it lives, what
    xyfast logs is free of it (`xyfast.redact`). ``parts`` are what is looked for there in its
    place: the password of a URL; nothing for an id that may be shown.

    >>> token = Secret("synthetic")
    >>> f"{token} {token!r}"
    '<secret> <secret>'
    >>> token.reveal()
    'synthetic'
    """

    __slots__ = ("_parts", "_text")

    def __init__(self, text: str, /, *, parts: Iterable[str] | None = None) -> None:
        self._parts: tuple[str, ...] | None = ()
        if not isinstance(text, str):
            raise TypeError(f"a secret is a str, not {type(text).__name__}")
        self._text = text
        self._parts = None if parts is None else tuple(parts)
        KNOWN.add((text,) if self._parts is None else self._parts)

    def __del__(self, drop: Callable[[tuple[str, ...]], None] = KNOWN.drop) -> None:
        # Bound when the class was made: at the end of the program the module is empty.
        drop((self._text,) if self._parts is None else self._parts)

    def reveal(self) -> str:
        """The text. Whoever calls this keeps it out of logs, errors and files."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, others = (each._text.encode("utf-8", "surrogatepass") for each in (self, other))
        return hmac.compare_digest(mine, others)

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled; pass on what reveal() gives, if you must")


@overload
def reveal(given: str | Secret, /) -> str: ...
@overload
def reveal(given: str | Secret | None, /) -> str | None: ...
def reveal(given: str | Secret | None, /) -> str | None:
    """The text of what may be a `Secret`, a plain one or None."""
    return given.reveal() if isinstance(given, Secret) else given
