"""What SQLite can hold of the texts and numbers that a server may send."""

from __future__ import annotations

from typing import overload

__all__ = ["from_text", "to_integer", "to_text"]

_MOST = 2**63 - 1


@overload
def to_text(text: str) -> str | bytes: ...
@overload
def to_text(text: None) -> None: ...
def to_text(text: str | None) -> str | bytes | None:
    """``text`` itself, or bytes if it has surrogates, which are no text to SQLite."""
    if text is None or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def from_text(kept: str | bytes) -> str:
    """What `to_text` was given."""
    return kept if isinstance(kept, str) else kept.decode("utf-8", "surrogatepass")


@overload
def to_integer(number: int) -> int: ...
@overload
def to_integer(number: None) -> None: ...
def to_integer(number: int | None) -> int | None:
    """``number``, or the nearest that has 64 bits."""
    if number is None or -_MOST <= number <= _MOST:
        return number
    return _MOST if number > 0 else -_MOST
