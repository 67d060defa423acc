"""MessagePack to and from file objects."""

from __future__ import annotations

from typing import Any, Protocol

from xyfast._core import packb, unpackb

__all__ = ["pack", "unpack"]


class _Writer(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Reader(Protocol):
    def read(self) -> bytes: ...


def pack(o: object, stream: _Writer, **options: Any) -> None:
    """Write an object to a file object; the options are those of `packb`."""
    stream.write(packb(o, **options))


def unpack(stream: _Reader, **options: Any) -> Any:
    """Read the one value that a file object holds; the options are those of `unpackb`."""
    return unpackb(stream.read(), **options)
