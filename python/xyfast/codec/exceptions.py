"""The exceptions of MessagePack, by the names that msgpack gives them.

Each also is what `xyfast.errors` says, with a reason and a place.
"""

from __future__ import annotations

from xyfast.errors import (
    BufferFull,
    ExtraData,
    FormatError,
    OutOfData,
    StackError,
    UnpackException,
)

__all__ = [
    "BufferFull",
    "ExtraData",
    "FormatError",
    "OutOfData",
    "PackException",
    "PackOverflowError",
    "PackValueError",
    "StackError",
    "UnpackException",
    "UnpackValueError",
]

PackException = Exception
PackOverflowError = OverflowError
PackValueError = ValueError
UnpackValueError = ValueError
