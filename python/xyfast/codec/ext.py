"""Values of extension types, and the one extension type that MessagePack itself defines."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["ExtType", "Timestamp"]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_NANO = 10**9


class _Ext(NamedTuple):
    code: int
    data: bytes


class ExtType(_Ext):
    """A value of an extension type: its ``code``, 0 to 127, and its ``data``."""

    __slots__ = ()

    def __new__(cls, code: int, data: bytes) -> ExtType:
        """Check both parts, because the wire has no room for others."""
        if not isinstance(code, int):
            raise TypeError("code must be int")
        if not isinstance(data, bytes):
            raise TypeError("data must be bytes")
        if not 0 <= code <= 127:
            raise ValueError("code must be within 0 and 127")
        return super().__new__(cls, code, data)


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A moment: seconds since 1970, rounded down, and nanoseconds.

    >>> Timestamp.from_unix_nano(-1)
    Timestamp(seconds=-1, nanoseconds=999999999)
    """

    seconds: int
    nanoseconds: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.seconds, int):
            raise TypeError("seconds must be int")
        if not isinstance(self.nanoseconds, int):
            raise TypeError("nanoseconds must be int")
        if not 0 <= self.nanoseconds < _NANO:
            raise ValueError("nanoseconds must be within 0 and 999999999")

    def __hash__(self) -> int:
        # The hash of a str has a secret, so that no data can be made of moments that collide
        # in a dict. The hash of a tuple of numbers has none.
        return hash(f"{self.seconds:d}.{self.nanoseconds:d}")

    @classmethod
    def from_bytes(cls, b: bytes) -> Timestamp:
        """Read the data of extension type -1: 4, 8 or 12 bytes."""
        if len(b) == 4:
            return cls(int.from_bytes(b, "big"))
        if len(b) == 8:
            both = int.from_bytes(b, "big")
            return cls(both & (1 << 34) - 1, both >> 34)
        if len(b) == 12:
            seconds = int.from_bytes(b[4:], "big", signed=True)
            return cls(seconds, int.from_bytes(b[:4], "big"))
        raise ValueError("a timestamp has 4, 8 or 12 bytes")

    def to_bytes(self) -> bytes:
        """Return the shortest data of extension type -1 for this moment."""
        if self.nanoseconds == 0 and 0 <= self.seconds < 1 << 32:
            return self.seconds.to_bytes(4, "big")
        if 0 <= self.seconds < 1 << 34:
            return (self.nanoseconds << 34 | self.seconds).to_bytes(8, "big")
        return self.nanoseconds.to_bytes(4, "big") + self.seconds.to_bytes(8, "big", signed=True)

    @classmethod
    def from_unix(cls, unix_sec: float) -> Timestamp:
        """Take seconds since 1970 with a fraction."""
        whole = math.floor(unix_sec)
        return cls.from_unix_nano(whole * _NANO + int((unix_sec - whole) * _NANO))

    def to_unix(self) -> float:
        """Return the seconds since 1970 with a fraction, as exactly as a float can."""
        return self.seconds + self.nanoseconds / _NANO

    @classmethod
    def from_unix_nano(cls, unix_ns: int) -> Timestamp:
        """Take nanoseconds since 1970."""
        return cls(*divmod(unix_ns, _NANO))

    def to_unix_nano(self) -> int:
        """Return the nanoseconds since 1970."""
        return self.seconds * _NANO + self.nanoseconds

    @classmethod
    def from_datetime(cls, dt: datetime.datetime) -> Timestamp:
        """Take a datetime; a naive one means local time."""
        since = dt.astimezone(datetime.timezone.utc) - _EPOCH
        return cls(since.days * 86400 + since.seconds, since.microseconds * 1000)

    def to_datetime(self) -> datetime.datetime:
        """Return a datetime in UTC; it has no room for single nanoseconds."""
        microseconds = self.nanoseconds // 1000
        return _EPOCH + datetime.timedelta(seconds=self.seconds, microseconds=microseconds)
