"""MessagePack, base64 and the payloads of the 闲鱼 web IM.

``import xyfast.codec as msgpack`` serves programs that are written for msgpack: the names
and options are those of its version `version`. `xyfast.codec.base64` does the same for the
standard library's ``base64``. Which function is for which job, and what differs from msgpack: see
the page codec of the documentation, and the page msgpack of the documentation.
"""

from __future__ import annotations

from xyfast._core import (
    DedupCache,
    Packer,
    Picker,
    Unpacker,
    b64decode,
    b64encode,
    decode,
    decode_frame,
    decode_many,
    decrypt,
    decrypt_many,
    packb,
    pick,
    unpackb,
)
from xyfast.codec.exceptions import (
    BufferFull,
    ExtraData,
    FormatError,
    OutOfData,
    PackException,
    PackOverflowError,
    PackValueError,
    StackError,
    UnpackException,
    UnpackValueError,
)
from xyfast.codec.ext import ExtType, Timestamp
from xyfast.codec.files import pack, unpack
from xyfast.errors import (
    Base64Error,
    CodecError,
    DecodeError,
    DecryptError,
    EncodeError,
    LoneSurrogate,
    OutOfRange,
    TextError,
    UnhashableKey,
    UnsupportedType,
)

__all__ = [
    "Base64Error",
    "BufferFull",
    "CodecError",
    "DecodeError",
    "DecryptError",
    "DedupCache",
    "EncodeError",
    "ExtType",
    "ExtraData",
    "FormatError",
    "LoneSurrogate",
    "OutOfData",
    "OutOfRange",
    "PackException",
    "PackOverflowError",
    "PackValueError",
    "Packer",
    "Picker",
    "StackError",
    "TextError",
    "Timestamp",
    "UnhashableKey",
    "UnpackException",
    "UnpackValueError",
    "Unpacker",
    "UnsupportedType",
    "b64decode",
    "b64encode",
    "decode",
    "decode_frame",
    "decode_many",
    "decrypt",
    "decrypt_many",
    "dump",
    "dumps",
    "load",
    "loads",
    "pack",
    "packb",
    "pick",
    "unpack",
    "unpackb",
    "version",
]

dump = pack
dumps = packb
load = unpack
loads = unpackb

version = (1, 2, 4)
"""The version of msgpack whose interface this is."""

__version__ = ".".join(map(str, version))
"""The same as text."""
